#include "kedge/pages/film.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/process.h"
#include "kedge/core/text.h"
#include "kedge/files/atomic_file.h"
#include "kedge/mujoco/marks.h"

namespace kedge {

namespace {

constexpr int kFramesPerSecond = 30;

SceneShape world_shape(Shape shape, std::array<double, 3> size, const Eigen::Vector3d& at,
                       std::array<float, 4> colour) {
  SceneShape made;
  made.shape = shape;
  made.size = size;
  made.position = {at[0], at[1], at[2]};
  made.colour = colour;
  return made;
}

/// Adds what a world marks: the path of the first rollout, and the results of all as discs, yellow where they are good.
void add_marks(const Marked& world, const Batch& batch, Scene& shown) {
  constexpr std::array<float, 4> blue{0.34F, 0.71F, 0.91F, 1}, yellow{0.94F, 0.89F, 0.26F, 1},
      vermilion{0.84F, 0.37F, 0, 1};
  const double size = 0.01 * shown.extent;
  const MatrixXd path = world.path(batch.state.leftCols(batch.steps(0) + 1));
  for (Index i = 0; i + 1 < path.cols(); ++i) {
    const Eigen::Vector3d way = path.col(i + 1) - path.col(i);
    if (way.isZero()) continue;
    SceneShape piece =
        world_shape(Shape::capsule, {0.4 * size, 0.5 * way.norm(), 0}, 0.5 * (path.col(i) + path.col(i + 1)), blue);
    const auto turn = Eigen::Quaterniond::FromTwoVectors(Eigen::Vector3d::UnitZ(), way);
    piece.rotation = {turn.w(), turn.x(), turn.y(), turn.z()};
    shown.shapes.push_back(piece);
  }
  for (int n = 0; n < batch.rollouts; ++n) {
    if (!batch.usable(n)) continue;
    if (const auto mark = world.mark(batch.state.col(batch.at(n, batch.steps(n)))))
      shown.shapes.push_back(
          world_shape(Shape::cylinder, {2 * size, 0.2 * size, 0}, mark->at, mark->good ? yellow : vermilion));
  }
}

/// The scene of a replay, with what its world marks.
Scene marked_scene(const Replay& replay) {
  Scene shown = replay.scene;
  const Batch& batch = replay.policies.back().evaluation.batch;
  const auto* world = dynamic_cast<const Marked*>(replay.subject.task.task.system.get());
  if (world && batch.usable(0)) add_marks(*world, batch, shown);
  return shown;
}

/// The first rollout of the last policy, at any time.
class Film {
 public:
  explicit Film(const Replay& replay)
      : scene_(marked_scene(replay)),
        framing_(replay.framing),
        bodies_(scene_.bodies.size() - 1),
        poses_(motion_of(shown_system(replay.subject.task), replay.policies.back().evaluation.batch, 0)),
        last_(static_cast<int>(poses_.size() / (7 * bodies_)) - 1),
        control_step_(replay.subject.task.task.control_step),
        painter_(scene_) {}

  /// Control steps in it.
  [[nodiscard]] int last() const { return last_; }
  [[nodiscard]] double control_step() const { return control_step_; }

  /// @param step  in [0, last], between steps too
  [[nodiscard]] Image frame(double step, int width, int height) const {
    const std::vector<float> now = poses(step);
    return painter_.paint(now, viewpoint(scene_, framing_, now), width, height);
  }

 private:
  [[nodiscard]] std::vector<float> poses(double step) const {
    const int before = std::min(static_cast<int>(step), last_), after = std::min(before + 1, last_);
    const auto share = static_cast<float>(step - before);
    std::vector<float> all(7 * bodies_);
    for (std::size_t body = 0; body < bodies_; ++body) {
      const float* a = poses_.data() + 7 * (std::size_t(before) * bodies_ + body);
      const float* b = poses_.data() + 7 * (std::size_t(after) * bodies_ + body);
      for (std::size_t i = 0; i < 3; ++i) all[7 * body + i] = a[i] + share * (b[i] - a[i]);
      const Eigen::Quaternionf turned =
          Eigen::Quaternionf(a[3], a[4], a[5], a[6]).slerp(share, Eigen::Quaternionf(b[3], b[4], b[5], b[6]));
      const std::array<float, 4> q{turned.w(), turned.x(), turned.y(), turned.z()};
      std::copy(q.begin(), q.end(), all.begin() + static_cast<std::ptrdiff_t>(7 * body + 3));
    }
    return all;
  }

  Scene scene_;
  const Framing& framing_;
  std::size_t bodies_;  ///< without the world
  Motion poses_;
  int last_;
  double control_step_;
  Painter painter_;
};

void copy_into(Image& whole, const Image& part, int x, int y) {
  for (int row = 0; row < part.height; ++row)
    std::copy_n(part.pixels.begin() + std::ptrdiff_t{3} * row * part.width, 3 * part.width,
                whole.pixels.begin() + std::ptrdiff_t{3} * ((y + row) * whole.width + x));
}

/// What a strip shows, for people: "hopper, after 17 iterations: return -18.35, succeeds".
std::string caption(const Replay& replay) {
  const ReplayedPolicy& policy = replay.policies.back();
  const Batch& batch = policy.evaluation.batch;
  const Task& task = replay.subject.task.task;
  std::string text = task.name;
  if (policy.iterations >= 0) text += fmt::format(", after {} iterations", policy.iterations);
  if (!batch.usable(0)) return text + fmt::format(": diverges at step {}", batch.diverged_at.front());
  text += fmt::format(": return {:.4g}", -batch.cost.col(0).sum());
  if (!task.success.empty())
    text += batch.success[0] < task.success.front().below ? ", succeeds" : ", does not succeed";
  return text;
}

}  // namespace

Image film_strip(const Replay& replay, int frames, int side) {
  require(frames >= 1 && frames <= 64, "frames", frames, "in [1, 64]");
  constexpr int gap = 4, title = 26;
  const Film film(replay);
  const int rows = (frames + 7) / 8, columns = (frames + rows - 1) / rows;
  Image strip;
  strip.width = columns * side + (columns - 1) * gap;
  strip.height = title + rows * side + (rows - 1) * gap;
  strip.pixels.assign(std::size_t{3} * static_cast<std::size_t>(strip.width) * static_cast<std::size_t>(strip.height),
                      255);
  write_text(strip, 8, 6, caption(replay));
  for (int i = 0; i < frames; ++i) {
    const double step = frames == 1 ? 0.0 : std::round(double(i) * film.last() / (frames - 1));
    const int x = i % columns * (side + gap), y = title + i / columns * (side + gap);
    copy_into(strip, film.frame(step, side, side), x, y);
    write_text(strip, x + 8, y + side - 22, fmt::format("{:.2f} s", step * film.control_step()));
  }
  return strip;
}

void write_video(const std::filesystem::path& file, const Replay& replay, int width, int height) {
  const Film film(replay);
  const std::string size = fmt::format("{}x{}", width, height), rate = fmt::format("{}", kFramesPerSecond);
  // Its output is a file in memory, which it can go back in, as this format wants.
  // clang-format off
  Process ffmpeg({.arguments = {"ffmpeg", "-loglevel", "error", "-nostdin", "-y",
                                "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate, "-i", "pipe:0",
                                "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
                                "-f", "mp4", "/proc/self/fd/1"},
                  .input = true,
                  .purpose = "which makes videos",
                  .remedy = "install it (Debian: ffmpeg)"});
  // clang-format on
  const int frames = 1 + static_cast<int>(std::lround(film.last() * film.control_step() * kFramesPerSecond));
  bool taken = true;
  for (int i = 0; i < frames && taken; ++i) {
    const double step = std::min<double>(i / (kFramesPerSecond * film.control_step()), film.last());
    const Image image = film.frame(step, width, height);
    taken = ffmpeg.write({reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()});
  }
  if (const int code = ffmpeg.wait(); code != 0 || !taken)
    throw SystemError(
        fmt::format("{}: ffmpeg failed to make the video (exit code {}) {}", file.string(), code, ffmpeg.error_tail()));
  write_file(file, ffmpeg.output(), Durability::process);
}

}  // namespace kedge
