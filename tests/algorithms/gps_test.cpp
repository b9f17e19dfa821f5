// GPS on a linear-quadratic task: it reaches the optimum within its bounds, reports what happened, and gives the same
// numbers for any number of threads and however often it was stopped.
#include "kedge/algorithms/gps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/update/kl_lqr.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::Contains;
using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

GpsOptions gps_small() {
  GpsOptions options;
  options.iterations = 12;
  options.rollouts = 12;
  options.epsilon = 0.2;
  options.beta0 = 0.3;
  options.initial_std = 3.0;
  options.prior = GpsOptions::Prior::none;
  return options;
}

/// Every variant that is an option.
std::vector<std::pair<std::string, GpsOptions>> variants() {
  std::vector<std::pair<std::string, GpsOptions>> all = {{"default", gps_small()}};
  const auto add = [&](const char* name, const std::function<void(GpsOptions&)>& change) {
    all.emplace_back(name, gps_small());
    change(all.back().second);
  };
  add("no entropy constraint", [](GpsOptions& o) { o.entropy_constraint = false; });
  add("a bound for every step", [](GpsOptions& o) { o.kl = GpsOptions::Kl::step; });
  add("prior", [](GpsOptions& o) { o.prior = GpsOptions::Prior::gmm, o.clusters = 4, o.rollouts = 6; });
  add("adapted step", [](GpsOptions& o) { o.adapt_step = true; });
  return all;
}

// ---- learning ------------------------------------------------------------------------------------------------------

TEST(Gps, ReachesTheOptimumOfALinearQuadraticTask) {
  const DoubleIntegrator model;
  for (const auto& [name, options] : variants()) {
    SCOPED_TRACE(name);
    GpsOptions longer = options;
    longer.iterations = 40;
    longer.ridge = 0.0;
    const GpsState start = gps_start(model.task(), longer);
    const Recording<GpsState> r = record(model.task(), start, longer, kedge::Run{1, 2, {}});
    ASSERT_EQ(r.result.stop, Stop::max_iterations) << r.result.message;
    const double before = model.expected_cost(start.policy), after = model.expected_cost(r.result.state.policy);
    EXPECT_GT(before, 3 * model.least_cost());
    EXPECT_GE(after, model.least_cost() * (1 - 1e-12));
    EXPECT_LT(after, (name == "prior" ? 1.02 : 1 + 1e-6) * model.least_cost());
  }
}

TEST(Gps, PredictsTheImprovementOfALinearQuadraticTask) {
  const DoubleIntegrator model;
  GpsOptions options = gps_small();
  options.ridge = 0.0;
  options.rollouts = 4000;  // what the model predicts of the mean, the mean return must show
  options.iterations = 3;
  const Recording<GpsState> r = record(model.task(), gps_start(model.task(), options), options, kedge::Run{1, 2, {}});
  for (std::size_t i = 0; i + 1 < r.iterations.size(); ++i) {
    const Iteration &now = r.iterations[i], &next = r.iterations[i + 1];
    EXPECT_NEAR(metric(now, "model_return"), metric(now, "return_mean"), 0.05 * metric(now, "return_std"));
    EXPECT_NEAR(metric(next, "return_mean"), metric(now, "model_return_next"), 0.05 * metric(now, "return_std"));
    EXPECT_GT(metric(now, "improvement_predicted"), 0.0);
  }
}

TEST(Gps, KeepsItsBoundsInEveryIteration) {
  const Task task = DoubleIntegrator().task();
  for (const auto& [name, options] : variants()) {
    SCOPED_TRACE(name);
    const Recording<GpsState> r = record(task, gps_start(task, options), options, kedge::Run{2, 1, {}});
    ASSERT_EQ(r.records.size(), 12U);
    double largest = 0.0;
    for (const UpdateRecord& u : r.records) {
      double total = 0.0;
      for (int t = 0; t < task.horizon; ++t) {
        const auto at = static_cast<std::size_t>(t);
        const double kl = expected_kl(u.new_policy[t], u.old_policy[t], Moments{u.rho[at].mean, u.rho[at].cov});
        EXPECT_NEAR(kl, u.updates[at].kl, 1e-12);
        total += kl;
        const double fall = entropy(u.old_policy[t].C) - entropy(u.new_policy[t].C);
        EXPECT_LE(kl, (options.kl == GpsOptions::Kl::step ? u.epsilon : inf) * (1 + 1e-9));
        EXPECT_LE(fall, (options.entropy_constraint ? options.beta0 : inf) + 1e-9);
      }
      EXPECT_LE(total, task.horizon * u.epsilon * (1 + 1e-9));
      largest = std::max(largest, total / (task.horizon * u.epsilon));
    }
    EXPECT_GT(largest, options.kl == GpsOptions::Kl::trajectory ? 1 - 1e-9 : 0.5);  // and uses what it may
  }
}

TEST(Gps, ReportsFiniteNumbersUnderTheSameNamesInEveryIteration) {
  const std::vector<std::string> common = {"iteration",  "rollouts_total", "steps_total",          "return_mean",
                                           "return_std", "return_min",     "return_max",           "kl_max",
                                           "kl_mean",    "entropy_mean",   "eta_median",           "omega_median",
                                           "ess_median", "q_r2_median",    "improvement_predicted"};
  const Task task = DoubleIntegrator().task();
  for (const auto& [name, options] : variants()) {
    SCOPED_TRACE(name);
    const Recording<GpsState> r = record(task, gps_start(task, options), options, kedge::Run{3, 1, {}});
    for (const Iteration& iteration : r.iterations) {
      for (std::size_t m = 0; m < common.size(); ++m) EXPECT_EQ(iteration.metrics[m].first, common[m]);
      ASSERT_EQ(iteration.metrics.size(), r.iterations[0].metrics.size());
      for (std::size_t m = 0; m < iteration.metrics.size(); ++m) {
        EXPECT_TRUE(std::isfinite(iteration.metrics[m].second)) << iteration.metrics[m].first;
        EXPECT_EQ(iteration.metrics[m].first, r.iterations[0].metrics[m].first);
      }
      EXPECT_LE(metric(iteration, "kl_residual_max"), 1e-9);
      EXPECT_LE(metric(iteration, "entropy_residual_max"), 1e-9);
      EXPECT_GE(metric(iteration, "improvement_predicted"), 0.0);
      EXPECT_DOUBLE_EQ(metric(iteration, "ess_median"), options.rollouts);
    }
  }
}

// ---- the step size -------------------------------------------------------------------------------------------------

TEST(GpsStepFactor, IsTheMinimumOfTheParabolaThatItAssumes) {
  // improvement a e - b e^2 at e = 1: best at a / (2 b)
  EXPECT_DOUBLE_EQ(step_factor(2.0, 2.0 - 1.0), 1.0);
  EXPECT_DOUBLE_EQ(step_factor(2.0, 2.0 - 4.0), 0.25);
  EXPECT_DOUBLE_EQ(step_factor(2.0, 2.0 - 0.5), 2.0);
  EXPECT_DOUBLE_EQ(step_factor(2.0, 2.0), 5.0);
  EXPECT_DOUBLE_EQ(step_factor(2.0, 3.0), 5.0);
  EXPECT_DOUBLE_EQ(step_factor(2.0, -1e9), 0.1);
  EXPECT_DOUBLE_EQ(step_factor(0.0, 1.0), 1.0);
}

TEST(Gps, EnlargesTheStepWherePredictionsAreAccurate) {
  const Task task = DoubleIntegrator().task();
  GpsOptions options = gps_small();
  options.adapt_step = true;
  options.epsilon = 0.01;
  const Recording<GpsState> r = record(task, gps_start(task, options), options, kedge::Run{1, 1, {}});
  EXPECT_EQ(metric(r.iterations[0], "step_size"), 0.01);
  EXPECT_DOUBLE_EQ(metric(r.iterations[2], "step_size"), 0.1);  // five times, then the limit
}

// ---- failure and cancellation --------------------------------------------------------------------------------------

TEST(Gps, StopsWithTheLastPolicyAndSaysWhy) {
  const DoubleIntegrator model;
  const auto failure = [&](const Task& task, const std::function<void(GpsOptions&)>& change) {
    GpsOptions options = gps_small();
    change(options);
    GpsOptions enough = options;  // gps_start refuses too few rollouts
    enough.rollouts = gps_small().rollouts;
    const GpsState start = gps_start(task, enough);
    const Recording<GpsState> r = record(task, start, options, kedge::Run{1, 2, {}});
    EXPECT_EQ(r.result.stop, Stop::numerical_failure);
    EXPECT_TRUE(r.iterations.empty());
    EXPECT_TRUE(same_bits(r.result.state.policy, start.policy));
    EXPECT_THAT(r.result.message, HasSubstr("iteration 0: "));
    EXPECT_THAT(r.result.message, HasSubstr("the policy of the last iteration is kept"));
    return r.result.message;
  };
  for (const auto prior : {GpsOptions::Prior::none, GpsOptions::Prior::gmm})
    EXPECT_THAT(failure(model.task(0.01), [&](GpsOptions& o) { o.prior = prior; }),
                HasSubstr("0 of 12 rollouts are usable"));
  EXPECT_THAT(failure(model.task(), [](GpsOptions& o) { o.rollouts = 3; }),
              HasSubstr("4 coefficients for each observation, but only 3 of 3 rollouts are usable (rank)"));
  Task fixed = model.task();  // the velocity follows from the position: dependent, and no ridge to decide
  fixed.observation = {0, 0};
  fixed.cost.erase(fixed.cost.begin(), fixed.cost.begin() + 1);
  fixed.cost.pop_back();
  EXPECT_THAT(failure(fixed, [](GpsOptions& o) { o.ridge = 0.0; }), HasSubstr("are linearly dependent (rank)"));
  Task dear = model.task();  // the expected cost is beyond the range of floating point
  for (CostTerm& term : dear.cost) term.weight *= 1e306;
  EXPECT_THAT(failure(dear, [](GpsOptions& o) { o.initial_std = 1e-2; }), HasSubstr("(infeasible)"));
}

TEST(Gps, LeavesOutTheRolloutsThatDivergeAndWarns) {
  const Task task = DoubleIntegrator().task(1.6);
  GpsOptions options = gps_small();
  options.initial_std = 5.0;
  options.iterations = 3;
  const Recording<GpsState> r = record(task, gps_start(task, options), options, kedge::Run{1, 1, {}});
  ASSERT_EQ(r.result.stop, Stop::max_iterations) << r.result.message;
  EXPECT_GT(metric(r.iterations[0], "diverged"), 0.0);
  EXPECT_THAT(r.iterations[0].warnings, Contains(HasSubstr("of 12 rollouts diverged and were left out")));
  options.rollouts = 5;
  const Task safe = DoubleIntegrator().task();
  EXPECT_THAT(record(safe, gps_start(safe, options), options, kedge::Run{1, 1, {}}).iterations[0].warnings,
              Contains(HasSubstr("few rollouts: 5 for dynamics with 4 coefficients")));
}

TEST(Gps, TakesAsManyRolloutsAsItsDynamicsNeed) {
  const auto rollouts = [](Index observed, int asked) {
    Task task = DoubleIntegrator().task();
    task.observation.assign(static_cast<std::size_t>(observed), 0);
    GpsOptions options;
    options.rollouts = asked;
    return rollouts_of(task, options);
  };
  EXPECT_EQ(rollouts(2, 0), 20);
  EXPECT_EQ(rollouts(14, 0), 20);  // 16 coefficients and a fifth more: 19.2
  EXPECT_EQ(rollouts(15, 0), 21);
  EXPECT_EQ(rollouts(23, 0), 30);
  EXPECT_EQ(rollouts(23, 7), 7);

  const DoubleIntegrator model;
  GpsOptions options = gps_small();
  options.rollouts = 0;
  options.iterations = 1;
  const auto r = record(model.task(), gps_start(model.task(), options), options, kedge::Run{1, 2, {}});
  EXPECT_EQ(r.result.state.rollouts_total, 20);
  for (const auto prior : {GpsOptions::Prior::none, GpsOptions::Prior::gmm}) {
    options.rollouts = 1;
    options.prior = prior;
    EXPECT_THROW((void)gps_start(model.task(), options), InputError);
    EXPECT_THROW((void)gps(model.task(), gps_start(model.task(), gps_small()), options, {}), InputError);
  }
}

// ---- mistakes ------------------------------------------------------------------------------------------------------

TEST(GpsOptions, AreRefusedByNameValueAndRule) {
  const std::vector<std::pair<std::function<void(GpsOptions&)>, const char*>> mistakes = {
      {[](GpsOptions& o) { o.iterations = -1; }, "iterations = -1, but must be >= 0"},
      {[](GpsOptions& o) { o.rollouts = -1; }, "rollouts = -1, but must be >= 0"},
      {[](GpsOptions& o) { o.epsilon = 0; }, "epsilon = 0, but must be > 0 (nats)"},
      {[](GpsOptions& o) { o.epsilon = nan; }, "epsilon = nan"},
      {[](GpsOptions& o) { o.beta0 = -0.1; }, "beta0 = -0.1, but must be >= 0 (nats)"},
      {[](GpsOptions& o) { o.initial_std = inf; }, "initial_std = inf"},
      {[](GpsOptions& o) { o.clusters = 0; }, "clusters = 0, but must be >= 1"},
      {[](GpsOptions& o) { o.prior_strength = 0; }, "prior_strength = 0, but must be > 0"},
      {[](GpsOptions& o) { o.window = 0; }, "window = 0, but must be >= 1"},
      {[](GpsOptions& o) { o.ridge = -1; }, "ridge = -1, but must be >= 0"},
  };
  const Task task = DoubleIntegrator().task();
  const GpsState start = gps_start(task, gps_small());
  for (const auto& [make, text] : mistakes) {
    SCOPED_TRACE(text);
    GpsOptions options = gps_small();
    make(options);
    const auto message = [&](const std::function<void()>& act) -> std::string {
      try {
        act();
      } catch (const InputError& error) {
        return error.what();
      }
      return "accepted";
    };
    EXPECT_THAT(message([&] { options.validate(); }), HasSubstr(text));
    EXPECT_THAT(message([&] { (void)gps_start(task, options); }), HasSubstr(text));
    EXPECT_THAT(message([&] { (void)gps(task, start, options, {}); }), HasSubstr(text));
  }
  EXPECT_NO_THROW(GpsOptions{}.validate());
}

TEST(Gps, RejectsTasksAndStatesThatDoNotFit) {
  const Task task = DoubleIntegrator().task();
  const GpsOptions options = gps_small();
  GpsState other = gps_start(task, options);
  other.policy = TvLinearGaussian::constant(14, 2, VectorXd::Zero(1), VectorXd::Ones(1));
  EXPECT_THROW((void)gps(task, other, options, {1, 1, {}}), InputError);
}

}  // namespace
}  // namespace kedge
