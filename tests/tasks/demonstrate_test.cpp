// What a demonstration is worth, against sums written out.
#include "kedge/tasks/demonstrate.h"

#include <gtest/gtest.h>

#include "kedge/system/demonstration.h"
#include "kedge/system/linear_system.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using namespace kedge::test;

/// x+ = x + u in two dimensions, five steps, with a demonstration of four.
Task example() {
  Task task;
  task.name = "example";
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(2, 2), MatrixXd::Identity(2, 2));
  task.horizon = 5;
  task.control_step = 0.1;
  task.observation = {1};
  task.control_index = {0, 1};
  task.action_low = vec({-1, -1});
  task.action_high = vec({1, 1});
  task.start.mean = vec({7, 7});
  task.start.spread = vec({1, 1});
  task.cost.push_back(
      {"place", {Source::state, {0}, {}, vec({2}), false}, vec({3}), Norm::quadratic, 0.0, {0, 1, 1, 1, 1, 1}});
  task.cost.push_back({"effort",
                       {Source::control, {0, 1}, {}, vec({0, 0}), true},
                       vec({1, 1}),
                       Norm::quadratic,
                       0.0,
                       {1, 1, 1, 1, 1, 0}});
  task.success.push_back(
      {{Source::state, {1}, {}, vec({0}), false}, Success::Statistic::max_abs, 0.5, {0, 0, 0, 0, 0, 1}, ""});
  Demonstration shown{MatrixXd(2, 5), MatrixXd(2, 4)};
  shown.state << 0, 1, 2, 2, 2, 1, 1, 1, 1, 0.25;
  shown.action << 1, 3, 0, 0, 0, 0, 0, -0.75;  // 3 is beyond the limit
  task.demonstration = std::make_shared<const Demonstration>(shown);
  return task;
}

TEST(Demonstrate, PlaysTheActionsFromTheFirstState) {
  const Task task = example();
  const DemonstrationReport report = demonstrate(task);
  EXPECT_EQ(report.batch.state, task.demonstration->state);
  EXPECT_EQ(report.batch.action, task.demonstration->action);
  EXPECT_EQ(report.replay_error, 0.0);
  EXPECT_EQ(report.batch.success[0], 0.25);  // of the final state, which is that after step 4

  ASSERT_EQ(report.terms.size(), 2U);
  EXPECT_EQ(report.terms[0].name, "place");
  EXPECT_DOUBLE_EQ(report.terms[0].cost, 3 * (1 + 0 + 0 + 0));  // x_1 ... x_3 and the final x_4
  EXPECT_DOUBLE_EQ(report.terms[0].mean[0], (1 + 2 + 2 + 2) / 4.0);
  EXPECT_EQ(report.terms[0].target[0], 2);
  EXPECT_DOUBLE_EQ(report.terms[1].cost, 1 + 1 + 0.75 * 0.75);  // after limits
  EXPECT_DOUBLE_EQ(report.terms[1].rms[0], std::sqrt(2 / 4.0));
  EXPECT_DOUBLE_EQ(report.terms[1].mean[1], -0.75 / 4);
}

TEST(Demonstrate, SaysHowFarARecordingIsFromTheSimulation) {
  Task task = example();
  Demonstration shown = *task.demonstration;
  shown.state(1, 2) += 0.125;
  task.demonstration = std::make_shared<const Demonstration>(shown);
  const DemonstrationReport report = demonstrate(task);
  EXPECT_EQ(report.replay_error, 0.125);
  EXPECT_EQ(report.batch.state(1, 2), 1.0) << "the simulation's states, not the recorded ones";
}

}  // namespace
}  // namespace kedge
