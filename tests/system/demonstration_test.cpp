// Demonstrations: what a controller does is recorded as it happened, and a recording is measured against the system.
#include "kedge/system/demonstration.h"

#include <gtest/gtest.h>

#include <limits>

#include "kedge/system/linear_system.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using namespace kedge::test;

constexpr double inf = std::numeric_limits<double>::infinity();

/// x+ = A x + B u with two controls, of which the second is the only action.
class Recording : public testing::Test {
 protected:
  Recording() {
    Stream random(7, 0, 0, 0);
    A = 0.4 * random_matrix(3, 3, random);
    B = random_matrix(3, 2, random);
    task.system = std::make_shared<LinearSystem>(A, B);
    task.horizon = 6;
    task.control_index = {1};
    task.action_low = vec({-1.0});
    task.action_high = vec({2.0});
  }
  Task task;
  MatrixXd A, B;
};

TEST_F(Recording, FollowsTheSystemUnderActionsWithinTheLimits) {
  const auto controller = [](int t, VectorIn x, VectorOut a) {
    a[0] = t < 3 ? 3.0 * x[0] : -2.0;
    return true;
  };
  const Demonstration shown = record(task, controller, vec({1.0, -1.0, 0.5}), 6);
  ASSERT_EQ(shown.steps(), 6);
  VectorXd x = vec({1.0, -1.0, 0.5});
  for (Index t = 0; t < 6; ++t) {
    EXPECT_TRUE(same_bits(VectorXd(shown.state.col(t)), x));
    const double a = t < 3 ? std::clamp(3.0 * x[0], -1.0, 2.0) : -1.0;
    EXPECT_EQ(shown.action(0, t), a);
    x = shown.state.col(t + 1);
    EXPECT_LT((x - (A * shown.state.col(t) + B.col(1) * a)).norm(), 1e-14);
  }
  EXPECT_EQ(shown.action.minCoeff(), -1.0);
  EXPECT_EQ(replay_error(task, shown), 0.0);
}

TEST_F(Recording, EndsWhereTheControllerStopsOrTheSystemDiverges) {
  const auto until = [](int end) {
    return [end](int t, VectorIn, VectorOut a) {
      a[0] = 0.0;
      return t < end;
    };
  };
  EXPECT_EQ(record(task, until(4), VectorXd::Ones(3), 6).steps(), 4);
  EXPECT_EQ(record(task, until(4), VectorXd::Ones(3), 6).state.cols(), 5);
  EXPECT_EQ(record(task, until(0), VectorXd::Ones(3), 6).steps(), 0);
  task.system = std::make_shared<LinearSystem>(1e200 * A, B);
  EXPECT_EQ(record(task, until(6), VectorXd::Ones(3), 6).steps(), 1);
  task.system = std::make_shared<LinearSystem>(A, B);
  const auto broken = [](int t, VectorIn, VectorOut a) {
    a[0] = t < 2 ? 0.0 : std::numeric_limits<double>::quiet_NaN();
    return true;
  };
  EXPECT_EQ(record(task, broken, VectorXd::Ones(3), 6).steps(), 2);
}

TEST_F(Recording, IsMeasuredStepByStep) {
  const auto still = [](int, VectorIn, VectorOut a) {
    a[0] = 0.5;
    return true;
  };
  Demonstration shown = record(task, still, VectorXd::Ones(3), 6);
  shown.state(2, 6) += 1e-3;  // the last state: no step begins there
  EXPECT_NEAR(replay_error(task, shown), 1e-3, 1e-14);
  shown.action(0, 0) = 2.5;  // beyond the limit, which is 2
  EXPECT_NEAR(replay_error(task, shown), 1.5 * B.col(1).cwiseAbs().maxCoeff(), 1e-12);
  task.system = std::make_shared<LinearSystem>(1e200 * A, 1e308 * B);
  shown.state *= 1e200;
  EXPECT_EQ(replay_error(task, shown), inf);
}

}  // namespace
}  // namespace kedge
