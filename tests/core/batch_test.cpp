// The layout of a batch and its summaries, against sums written out.
#include "kedge/core/batch.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::vec;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Four rollouts of three steps with one observation. Rollout 1 diverged in its first step, rollout 3 at its final state.
Batch example() {
  Batch batch;
  batch.rollouts = 4;
  batch.horizon = 3;
  batch.diverged_at = {-1, 0, -1, 3};
  batch.observation = MatrixXd(1, 16);
  for (Index i = 0; i < 16; ++i) batch.observation(0, i) = static_cast<double>(i);
  batch.cost = MatrixXd::Zero(4, 4);
  batch.cost.col(0) << 1, 2, 4, 8;
  batch.cost.col(2) << 16, 0, 0, 1;
  batch.cost.col(3) << 5, 5, 5, 0;
  batch.success = vec({0.5, nan, 0.25, nan});
  return batch;
}

TEST(Batch, StoresTheStepsOfARolloutInAdjacentColumns) {
  const Batch batch = example();
  EXPECT_EQ(batch.at(0, 0), 0);
  EXPECT_EQ(batch.at(0, 3), 3);
  EXPECT_EQ(batch.at(3, 3), 4 * 4 - 1);
  EXPECT_EQ(batch.step(1, 0), 3);
  EXPECT_EQ(batch.step(3, 2), 4 * 3 - 1);
}

TEST(Batch, UsesOnlyRolloutsThatDidNotDiverge) {
  const Batch batch = example();
  EXPECT_TRUE(batch.usable(0));
  EXPECT_FALSE(batch.usable(1));
  EXPECT_FALSE(batch.usable(3));
  EXPECT_EQ(usable_rollouts(batch), 2);
  EXPECT_EQ(diverged_rollouts(batch), 2);
  EXPECT_EQ(returns(batch), (std::vector<double>{-15, -17}));
  EXPECT_EQ(return_mean(batch), -16);
  EXPECT_EQ(rollout_return(batch, 3), -15) << "the steps before it diverged";
  EXPECT_EQ(observations_at(batch, 1), (MatrixXd(1, 2) << 1, 9).finished());
  EXPECT_EQ(observations_at(batch, 3), (MatrixXd(1, 2) << 3, 11).finished());
}

TEST(Batch, CountsSimulatedStepsUpToTheOneThatDiverged) { EXPECT_EQ(simulated_steps(example()), 3 + 1 + 3 + 3); }

TEST(Batch, SuccessRateIsTheShareOfAllRolloutsBelowTheLimit) {
  const Batch batch = example();
  EXPECT_EQ(success_rate(batch, 0.2), 0.0);
  EXPECT_EQ(success_rate(batch, 0.5), 0.25) << "at the limit is not below it";
  EXPECT_EQ(success_rate(batch, 0.6), 0.5);
  EXPECT_EQ(success_rate(batch, nan), 0.0) << "no measure is declared";
}

TEST(Batch, WithoutUsableRolloutHasNoReturns) {
  Batch batch = example();
  batch.diverged_at = {0, 0, 0, 0};
  EXPECT_EQ(usable_rollouts(batch), 0);
  EXPECT_TRUE(returns(batch).empty());
  EXPECT_EQ(observations_at(batch, 0).cols(), 0);
  EXPECT_EQ(simulated_steps(batch), 4);
}

}  // namespace
}  // namespace kedge
