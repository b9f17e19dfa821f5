// Random search on a linear-quadratic task. What it promises as every algorithm does: contract_test.cpp.
#include "kedge/algorithms/random_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_tasks.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;

TEST(RandomSearch, FindsAControllerNearTheOptimum) {
  const DoubleIntegrator model;
  const Task task = model.task();
  RandomSearchOptions options;
  options.iterations = 150;
  options.spread = 0.3;
  options.step = 0.3;
  options.rollouts = 4;
  const RandomSearchState start = random_search_start(task, options);
  const RandomSearchResult result = random_search(task, start, options, kedge::Run{.seed = 1, .threads = 2});
  ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
  EXPECT_GT(model.expected_cost(start.policy), 2.0 * model.least_cost());
  EXPECT_LT(model.expected_cost(result.state.policy), 1.3 * model.least_cost());  // one gain for all steps
}

TEST(RandomSearch, CountsAllItsRollouts) {
  const Task task = DoubleIntegrator().task();
  RandomSearchOptions options;
  options.iterations = 3;
  const RandomSearchResult result =
      random_search(task, random_search_start(task, options), options, kedge::Run{.seed = 1, .threads = 1});
  EXPECT_EQ(result.state.rollouts_total, 3 * (2 + 2 * 8 * 2));
  EXPECT_EQ(result.state.steps_total, 15 * result.state.rollouts_total);
}

TEST(RandomSearch, StartsWithoutFeedbackInTheMiddleOfTheLimits) {
  Task task = DoubleIntegrator().task();
  task.action_low[0] = -1.0;
  task.action_high[0] = 3.0;
  const RandomSearchState start = random_search_start(task, {});
  EXPECT_TRUE(start.policy[4].K.isZero(0));
  EXPECT_EQ(start.policy[4].k[0], 1.0);
}

}  // namespace
}  // namespace kedge
