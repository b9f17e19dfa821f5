// The loops that train a network on trajectories of a known model: what they reach on a task whose optimum is known. What they
// promise as every algorithm does: contract_test.cpp.
#include "kedge/algorithms/vgps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "kedge/algorithms/cost_weighted.h"
#include "kedge/algorithms/dagger.h"
#include "kedge/algorithms/gps_is.h"
#include "kedge/core/errors.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using testing::HasSubstr;

/// Everything that an observer sees, and the result.
template <class State>
struct Watched {
  std::vector<Iteration> iterations;
  LoopResult<State> result;
};

template <class Options>
Options small() {
  Options options;
  options.iterations = 4;
  options.rollouts = 6;
  options.hidden = 3;
  options.fit_samples = 6;
  options.policy_samples = 4;
  options.first_evaluations = 150;
  options.evaluations = 30;
  options.start_spread = 1.0;
  options.alpha_first = options.alpha_last = 10.0;
  return options;
}

/// @param loop vgps, dagger, ...  @param state its start
template <class Loop, class State, class Options>
Watched<State> watch(const Loop& loop, const Task& task, State state, const Options& options, const Run& run) {
  Watched<State> w;
  w.result = loop(task, std::move(state), options, run,
                  [&](const Iteration& i, const State&, const UpdateRecord*) { w.iterations.push_back(i); });
  return w;
}

/// The optimal controller varies with time; a stationary network that is fitted to it is nearly as good on this task.
TEST(Vgps, LearnsAPolicyNearlyAsGoodAsTheOptimum) {
  const DoubleIntegrator model;
  const Task task = model.task();
  VgpsOptions options = small<VgpsOptions>();
  options.iterations = 15;
  options.rollouts = 200;
  options.alpha_first = options.alpha_last = 100.0;
  const auto w = watch(vgps, task, vgps_start(task, options), options, kedge::Run{1, 2, {}});
  ASSERT_EQ(w.result.stop, Stop::max_iterations) << w.result.message;
  EXPECT_LT(-test::metric(w.iterations.back(), "return_mean"), 1.3 * model.least_cost());
  EXPECT_GT(-test::metric(w.iterations.back(), "return_mean"), 0.8 * model.least_cost());
}

TEST(Vgps, OfSeveralConditionsTeachesOneNetwork) {
  const Task task = DoubleIntegrator().task();
  VgpsOptions options = small<VgpsOptions>();
  options.conditions = 3;
  const auto w = watch(vgps, task, vgps_start(task, options), options, kedge::Run{1, 1, {}});
  ASSERT_EQ(w.result.stop, Stop::max_iterations) << w.result.message;
  ASSERT_EQ(w.result.state.guides.size(), 3U);
  EXPECT_EQ(w.result.state.guides[0].q.x.col(0), task.start.mean);
  EXPECT_NE(w.result.state.guides[2].q.x.col(0), task.start.mean);
}

TEST(Vgps, StartsItsConditionsAsFarApartAsItsMarginals) {
  const Task task = DoubleIntegrator().task();
  VgpsOptions options = small<VgpsOptions>();
  options.conditions = 2;
  options.iterations = 1;
  const auto moved = [&](double start_spread) -> VectorXd {
    options.start_spread = start_spread;
    const auto w = watch(vgps, task, vgps_start(task, options), options, kedge::Run{1, 1, {}});
    return w.result.state.guides.at(1).q.x.col(0) - task.start.mean;
  };
  const VectorXd once = moved(1.0);
  EXPECT_GT(once.norm(), 0.0);
  EXPECT_TRUE(moved(3.0).isApprox(3.0 * once));
  EXPECT_TRUE(moved(0.0).isZero());
}

TEST(Dagger, PlainUsesEveryVisitedStateAndWeightedTheNearOnes) {
  const Task task = DoubleIntegrator().task();
  DaggerOptions options = small<DaggerOptions>();
  const auto plain = watch(dagger, task, dagger_start(task, options), options, kedge::Run{1, 1, {}});
  options.weighted = true;
  const auto weighted = watch(dagger, task, dagger_start(task, options), options, kedge::Run{1, 1, {}});
  const double all = 4.0 * 6 * 15;
  EXPECT_EQ(test::metric(plain.iterations.back(), "visited_used"), all);
  EXPECT_EQ(test::metric(plain.iterations.back(), "visited_weight"), all);
  EXPECT_LT(test::metric(weighted.iterations.back(), "visited_weight"), all);
  EXPECT_GT(test::metric(weighted.iterations.back(), "visited_weight"), 0.0);
  options.thin = 5;
  const auto thin = watch(dagger, task, dagger_start(task, options), options, kedge::Run{1, 1, {}});
  EXPECT_EQ(test::metric(thin.iterations.back(), "visited_states"), all / 5);
}

/// `fit_samples` changes the oracle's own states, and nothing else once there is a network.
TEST(Dagger, LearnsFromTheOraclesOwnStatesAsLongAsItIsToldTo) {
  using Own = DaggerOptions::OwnStates;
  const Task task = DoubleIntegrator().task();
  const auto matters = [&](Own own, int iteration) {
    DaggerOptions options = small<DaggerOptions>();
    options.own_states = own;
    options.iterations = iteration;
    const auto before = watch(dagger, task, dagger_start(task, options), options, kedge::Run{1, 1, {}});
    ++options.iterations;
    const auto one = watch(dagger, task, before.result.state, options, kedge::Run{1, 1, {}});
    ++options.fit_samples;
    const auto other = watch(dagger, task, before.result.state, options, kedge::Run{1, 1, {}});
    EXPECT_EQ(one.result.state.iteration, iteration + 1) << one.result.message;
    return (one.result.state.policy.theta().array() != other.result.state.policy.theta().array()).any();
  };
  EXPECT_TRUE(matters(Own::always, 1));
  EXPECT_TRUE(matters(Own::always, 2));
  EXPECT_FALSE(matters(Own::first, 1));
  EXPECT_FALSE(matters(Own::never, 1));

  DaggerOptions options = small<DaggerOptions>();
  options.iterations = 1;
  std::vector<VectorXd> theta;
  for (const Own own : {Own::always, Own::first, Own::never}) {
    options.own_states = own;
    theta.push_back(
        watch(dagger, task, dagger_start(task, options), options, kedge::Run{1, 1, {}}).result.state.policy.theta());
  }
  EXPECT_EQ(theta[0], theta[1]) << "the first data set holds them";
  EXPECT_NE(theta[1], theta[2]);
}

/// A fit of five evaluations leaves much to gain. Every seed must gain, with the guide as it was and with an adapted one; how much
/// is the affair of the median, since rounding decides about single runs.
TEST(GpsIs, ImprovesOnTheFirstFit) {
  const Task task = DoubleIntegrator().task();
  for (const bool adapt : {false, true}) {
    std::vector<double> left;
    for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
      GpsIsOptions options = small<GpsIsOptions>();
      options.adapt = adapt;
      options.first_evaluations = 5;
      options.evaluations = 60;
      options.regulariser = 10.0;
      options.rollouts = 40;
      options.iterations = 12;
      const auto w = watch(gps_is, task, gps_is_start(task, options), options, kedge::Run{seed, 2, {}});
      ASSERT_EQ(w.result.stop, Stop::max_iterations) << w.result.message;
      EXPECT_GE(test::metric(w.iterations[1], "regulariser"), 1.0);  // it falls tenfold at most
      left.push_back(test::metric(w.iterations.back(), "return_mean") / test::metric(w.iterations[0], "return_mean"));
      EXPECT_LT(left.back(), 0.9) << "adapt " << adapt << " seed " << seed;
    }
    std::sort(left.begin(), left.end());
    EXPECT_LT(left[2], 0.3) << "adapt " << adapt;
  }
}

/// A rollout that diverges leaves no samples, so the estimate does not know of it. Near the edge some rollout of every candidate
/// diverges; far from it the same candidates are taken.
TEST(GpsIs, TakesNoCandidateOfWhichARolloutDiverges) {
  const auto accepted = [](double edge) {
    const Task task = DoubleIntegrator().task(edge);
    GpsIsOptions options = small<GpsIsOptions>();
    options.first_evaluations = 5;
    options.rollouts = 40;
    options.iterations = 6;
    options.alpha_first = options.alpha_last = 0.5;
    const auto w = watch(gps_is, task, gps_is_start(task, options), options, kedge::Run{1, 2, {}});
    EXPECT_EQ(w.result.stop, Stop::max_iterations) << w.result.message;
    double sum = 0.0;
    for (const Iteration& i : w.iterations) sum += test::metric(i, "accepted");
    return sum;
  };
  EXPECT_EQ(accepted(1.05), 0.0);
  EXPECT_GT(accepted(1e100), 0.0);
}

TEST(CostWeighted, WarnsWhenOneRolloutTakesAllTheWeight) {
  const Task task = DoubleIntegrator().task();
  CostWeightedOptions options = small<CostWeightedOptions>();
  options.alpha_first = options.alpha_last = 1e6;
  const auto w = watch(cost_weighted, task, cost_weighted_start(task, options), options, kedge::Run{1, 1, {}});
  ASSERT_FALSE(w.iterations.empty());
  ASSERT_FALSE(w.iterations[0].warnings.empty());
  EXPECT_THAT(w.iterations[0].warnings.back(), HasSubstr("one rollout has nearly all the weight"));
}

}  // namespace
}  // namespace kedge
