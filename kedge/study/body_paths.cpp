#include "kedge/study/body_paths.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/mujoco/scene.h"

namespace kedge {

namespace {

using Points = std::vector<Eigen::Vector3d>;

/// Pixels of a panel: its width, what is left around the plot, and the plot's width.
constexpr int kPanelWidth = 520, kLeft = 150, kRight = 15, kTop = 40, kBottom = 60,
              kPlotWidth = kPanelWidth - kLeft - kRight;
constexpr double kTallest = 4.0;     ///< a plot's height in widths: one of robots that stay where they are gets wider
constexpr double kLeastRow = 0.1;    ///< a row's height in widths: room for its name
constexpr double kLeastSpan = 1e-3;  ///< m

struct Row {
  MatrixXd centres;  ///< [3, n] m
  Points ends;       ///< of lines, two of each
};

/// The axis of a shape as a half-length along it, in the body's frame; 0 where it has no long side.
Eigen::Vector3d half_axis(const SceneShape& shape) {
  Eigen::Vector3d axis = Eigen::Vector3d::Zero();
  if (shape.shape == Shape::capsule || shape.shape == Shape::cylinder)
    axis.z() = shape.size[1];
  else if (shape.shape == Shape::box || shape.shape == Shape::ellipsoid) {
    const auto longest = std::max_element(shape.size.begin(), shape.size.end()) - shape.size.begin();
    axis[longest] = shape.size[static_cast<std::size_t>(longest)];
  }
  const auto& q = shape.rotation;
  return Eigen::Quaterniond(q[0], q[1], q[2], q[3]) * axis;
}

Row drawn_row(const PathPanel& panel, const Scene& scene, const Path& path, int bodies) {
  if (path.states.cols() < 1) throw InputError(fmt::format("the path \"{}\" has no states", path.label));
  Row row{centres_of_mass(*panel.system, path.states), {}};
  const Index last = path.states.cols() - 1;
  MatrixXd moments(path.states.rows(), bodies);
  for (int i = 0; i < bodies; ++i)
    moments.col(i) = path.states.col(bodies == 1 ? 0 : std::lround(double(i) * double(last) / (bodies - 1)));
  const std::vector<float> poses = body_poses(*panel.system, moments);
  const std::size_t moving = scene.bodies.size() - 1;
  for (std::size_t i = 0; i < static_cast<std::size_t>(bodies); ++i)
    for (const SceneShape& shape : scene.shapes) {
      const Eigen::Vector3d axis = half_axis(shape);
      if (shape.body == 0 || axis.isZero()) continue;
      const float* pose = poses.data() + 7 * (i * moving + static_cast<std::size_t>(shape.body) - 1);
      const Eigen::Vector3d origin(pose[0], pose[1], pose[2]);
      const Eigen::Quaterniond turn(pose[3], pose[4], pose[5], pose[6]);
      const Eigen::Vector3d middle(shape.position[0], shape.position[1], shape.position[2]);
      row.ends.push_back(origin + turn * (middle - axis));
      row.ends.push_back(origin + turn * (middle + axis));
    }
  return row;
}

/// What all points of the rows span. @return low, high
std::pair<Eigen::Vector3d, Eigen::Vector3d> box_of(const std::vector<Row>& rows) {
  Eigen::Vector3d low = rows.front().centres.col(0), high = low;
  const auto widen = [&](const Eigen::Vector3d& p) {
    low = low.cwiseMin(p);
    high = high.cwiseMax(p);
  };
  for (const Row& row : rows) {
    for (Index t = 0; t < row.centres.cols(); ++t) widen(row.centres.col(t));
    for (const Eigen::Vector3d& p : row.ends) widen(p);
  }
  return {low, high};
}

/// 1, 2 or 5 times a power of ten, at least three of them in a span.
double tick_of(double span) {
  const double power = std::pow(10.0, std::floor(std::log10(span / 3)));
  for (const double digit : {5.0, 2.0})
    if (digit * power <= span / 3) return digit * power;
  return power;
}

struct DrawnPanel {
  std::string script;
  int plot_height = 0;  ///< pixels
};

DrawnPanel drawn_panel(const PathPanel& panel, std::size_t number, int bodies) {
  static constexpr std::array<const char*, 3> axis_names{"x", "y", "z"};
  if (panel.paths.empty()) throw InputError(fmt::format("the panel \"{}\" has no paths", panel.title));
  const Scene shown = scene(*panel.system);
  std::vector<Row> rows;
  for (const Path& path : panel.paths) rows.push_back(drawn_row(panel, shown, path, bodies));
  const auto [low, high] = box_of(rows);

  Index hidden = 0;
  (high - low).minCoeff(&hidden);
  const Index across = hidden == 0 ? 1 : 0, up = hidden == 2 ? 1 : 2;
  const double length = high[across] - low[across];
  const double height = std::max({kLeastSpan, 1.15 * (high[up] - low[up]), kLeastRow * length});
  const double top = height, bottom = -height * (double(rows.size()) - 0.9);
  const double middle = (low[across] + high[across]) / 2;
  const double half = std::max({kLeastSpan, 0.54 * length, (top - bottom) / (2 * kTallest)});
  const double left = middle - half, right = middle + half;

  std::string script =
      fmt::format("set title {} noenhanced\nset xlabel '{}, m'\nset xtics {}\n", gnuplot_text(panel.title),
                  axis_names[static_cast<std::size_t>(across)], tick_of(right - left));
  script += fmt::format("set xrange [{}:{}]\nset yrange [{}:{}]\nset ytics (", left, right, bottom, top);
  for (std::size_t r = 0; r < rows.size(); ++r)
    script +=
        fmt::format("{}{} {}", r == 0 ? "" : ", ", gnuplot_text(panel.paths[r].label), height * (0.4 - double(r)));
  script += ") noenhanced\n";
  std::string plots;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const double floor = low[up] + height * double(r);
    script += fmt::format("$body{0}_{1} << EOD\n", number, r);
    for (std::size_t i = 0; i + 1 < rows[r].ends.size(); i += 2)
      for (std::size_t end = i; end <= i + 1; ++end)
        script += fmt::format("{:.4f} {:.4f}\n{}", rows[r].ends[end][across], rows[r].ends[end][up] - floor,
                              end == i ? "" : "\n");
    script += fmt::format("EOD\n$centre{0}_{1} << EOD\n", number, r);
    for (Index t = 0; t < rows[r].centres.cols(); ++t)
      script += fmt::format("{:.4f} {:.4f}\n", rows[r].centres(across, t), rows[r].centres(up, t) - floor);
    script += "EOD\n";
    plots += fmt::format(
        "{0}$body{1}_{2} using 1:2 with lines lw 1.5 lc rgb '#999999' notitle, $centre{1}_{2} using 1:2 with lines lw "
        "2 lc rgb '#0072b2' notitle",
        r == 0 ? "plot " : ", ", number, r);
  }
  return {script + plots + "\n", static_cast<int>(std::lround(kPlotWidth * (top - bottom) / (right - left)))};
}

}  // namespace

PathsDrawing paths_drawing(const std::vector<PathPanel>& panels, int bodies) {
  require(bodies >= 1, "bodies", bodies, ">= 1");
  if (panels.empty()) throw InputError("there are no paths to draw");
  std::vector<DrawnPanel> drawn;
  int tallest = 0;
  for (const PathPanel& panel : panels) {
    drawn.push_back(drawn_panel(panel, drawn.size(), bodies));
    tallest = std::max(tallest, drawn.back().plot_height);
  }
  const DrawingSize size{kPanelWidth * static_cast<int>(panels.size()), kTop + tallest + kBottom};
  std::string script = "set border 1\nset tics nomirror scale 0.5\nset ytics scale 0\nset multiplot\n";
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    const double from = kPanelWidth * double(i) + kLeft, down = kTop + drawn[i].plot_height;
    script += fmt::format(
        "set lmargin at screen {}\nset rmargin at screen {}\nset tmargin at screen {}\nset bmargin at screen {}\n",
        from / size.width, (from + kPlotWidth) / size.width, 1.0 - double(kTop) / size.height,
        1.0 - down / size.height);
    script += drawn[i].script;
  }
  return {script + "unset multiplot\n", size};
}

}  // namespace kedge
