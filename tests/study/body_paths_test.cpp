#include "kedge/study/body_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "kedge/core/errors.h"
#include "kedge/tasks/bundled.h"

namespace kedge {
namespace {

/// The swimmer at `count` moments, `speed` metres further each time along x, its joints at an angle.
PathPanel swimmer(const std::string& title, double speed, const std::vector<std::string>& labels, int count = 5,
                  double angle = 1.0) {
  static const TaskFile file = load_task(find_task("swimmer"));
  const auto* system = dynamic_cast<const MujocoSystem*>(file.task.system.get());
  PathPanel panel{title, system, {}};
  for (const std::string& label : labels) {
    MatrixXd states = file.task.start.mean.replicate(1, count);
    states.middleRows(3, 2).setConstant(angle);
    for (Index t = 0; t < count; ++t) states(0, t) += speed * static_cast<double>(t);
    panel.paths.push_back({label, states});
  }
  return panel;
}

/// All values of "set NAME [at screen] A" or "set NAME [A:B]", in order.
std::vector<double> values(const std::string& script, const std::string& name) {
  const std::regex setting("set " + name + " (?:at screen )?\\[?([-+.e0-9]+)(?::([-+.e0-9]+)\\])?\n");
  std::vector<double> all;
  for (auto it = std::sregex_iterator(script.begin(), script.end(), setting); it != std::sregex_iterator(); ++it) {
    all.push_back(std::stod((*it)[1]));
    if ((*it)[2].matched) all.push_back(std::stod((*it)[2]));
  }
  return all;
}

TEST(Paths, AMetreIsAsLongUpwardsAsAlong) {
  const PathsDrawing drawing = paths_drawing(
      {swimmer("fast", 2.0, {"a", "b", "c"}), swimmer("slow", 0.1, {"a"}), swimmer("at rest", 0.0, {"a", "b"})});
  const auto x = values(drawing.script, "xrange"), y = values(drawing.script, "yrange");
  const auto left = values(drawing.script, "lmargin"), right = values(drawing.script, "rmargin");
  const auto top = values(drawing.script, "tmargin"), bottom = values(drawing.script, "bmargin");
  ASSERT_EQ(x.size(), 6U);
  ASSERT_EQ(y.size(), 6U);
  ASSERT_EQ(left.size(), 3U);
  ASSERT_EQ(top.size(), 3U);
  double tallest = 0.0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double width = (right[i] - left[i]) * drawing.size.width, height = (top[i] - bottom[i]) * drawing.size.height;
    const double pixels_a_metre = width / (x[2 * i + 1] - x[2 * i]);
    EXPECT_NEAR(height, pixels_a_metre * (y[2 * i + 1] - y[2 * i]), 1.0) << i;  // whole pixels
    EXPECT_GT(left[i], i == 0 ? 0.0 : right[i - 1]);
    tallest = std::max(tallest, height);
  }
  EXPECT_NEAR(drawing.size.height - tallest, (1.0 - top[0]) * drawing.size.height + 60, 1e-6);
}

TEST(Paths, TellsRowsAndTicks) {
  const PathsDrawing drawing = paths_drawing({swimmer("P", 1.0, {"first", "second"}, 8)});
  const std::size_t first = drawing.script.find("\"first\""), second = drawing.script.find("\"second\"");
  ASSERT_NE(second, std::string::npos);
  EXPECT_LT(first, second);
  for (const double speed : {0.01, 0.3, 1.0, 2.0, 40.0}) {
    const std::string script = paths_drawing({swimmer("P", speed, {"a"})}).script;
    const auto x = values(script, "xrange"), tick = values(script, "xtics");
    ASSERT_EQ(tick.size(), 1U);
    EXPECT_GE((x[1] - x[0]) / tick[0], 3.0) << speed;
    EXPECT_LT((x[1] - x[0]) / tick[0], 7.5) << speed;
  }
}

TEST(Paths, OfARobotAtRestHaveABoundedHeight) {
  const std::vector<std::string> nine(9, "a");
  const PathsDrawing drawing = paths_drawing({swimmer("P", 0.0, nine)});
  EXPECT_LT(drawing.size.height, 4 * drawing.size.width);
}

TEST(Paths, AFlatRobotHasRoomForItsName) {
  const PathsDrawing drawing = paths_drawing({swimmer("P", 1.0, {"a", "b", "c"}, 5, 0.0)});
  EXPECT_GT(drawing.size.height, 100 + 3 * 30);
}

TEST(Paths, RejectsPanelsWithoutPathsStatesOrBodies) {
  EXPECT_THROW((void)paths_drawing({}), InputError);
  EXPECT_THROW((void)paths_drawing({swimmer("P", 1.0, {})}), InputError);
  EXPECT_THROW((void)paths_drawing({swimmer("P", 1.0, {"a"}, 0)}), InputError);
  EXPECT_THROW((void)paths_drawing({swimmer("P", 1.0, {"a"})}, 0), InputError);
}

}  // namespace
}  // namespace kedge
