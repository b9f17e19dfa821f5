// What MOTO promises beside learning: the same numbers for any number of threads and however often it was stopped, typed
// failures that keep the last policy, refusal of what does not fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kedge/algorithms/moto.h"
#include "kedge/core/errors.h"
#include "kedge/system/linear_system.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Every combination of Reuse, StateDistribution and Targets that is allowed.
std::vector<MotoOptions> combinations() {
  using S = MotoOptions::StateDistribution;
  using V = MotoOptions::Targets;
  std::vector<MotoOptions> all;
  for (const Reuse reuse : {Reuse::none, Reuse::time, Reuse::iterations, Reuse::time_and_iterations})
    for (const S state_distribution : {S::mixture, S::forward})
      for (const V targets : {V::dynamic_programming, V::monte_carlo}) {
        if (targets == V::monte_carlo && (reuse == Reuse::time || reuse == Reuse::time_and_iterations)) continue;
        MotoOptions options = small_options();
        options.reuse = reuse;
        options.state_distribution = state_distribution;
        options.targets = targets;
        options.iterations = 7;
        options.record_updates = false;
        all.push_back(options);
      }
  return all;
}

std::string name_of(const MotoOptions& o) {
  return fmt::format("reuse {}, state distribution {}, targets {}", static_cast<int>(o.reuse),
                     static_cast<int>(o.state_distribution), static_cast<int>(o.targets));
}

void expect_same(const Recording& a, const Recording& b) {
  ASSERT_EQ(a.iterations.size(), b.iterations.size());
  for (std::size_t i = 0; i < a.iterations.size(); ++i) {
    EXPECT_TRUE(same(a.iterations[i], b.iterations[i])) << "iteration " << i;
    EXPECT_TRUE(same_bits(a.policies[i], b.policies[i])) << "iteration " << i;
  }
}

// ---- determinism ---------------------------------------------------------------------------------------------------

TEST(Moto, IsTheSameForAnyNumberOfThreads) {
  const Task task = DoubleIntegrator().task();
  for (const MotoOptions& options : combinations()) {
    SCOPED_TRACE(name_of(options));
    const MotoState start = moto_start(task, options);
    const Recording one = record(task, start, options, kedge::Run{5, 1, {}});
    ASSERT_EQ(one.iterations.size(), 7u);
    expect_same(one, record(task, start, options, kedge::Run{5, 2, {}}));
    expect_same(one, record(task, start, options, kedge::Run{5, 8, {}}));
  }
}

TEST(Moto, IsAnotherOneForAnotherSeed) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 1;
  const MotoState start = moto_start(task, options);
  EXPECT_FALSE(same_bits(record(task, start, options, kedge::Run{5, 1, {}}).policies[0],
                         record(task, start, options, kedge::Run{6, 1, {}}).policies[0]));
}

TEST(Moto, ContinuedFromASavedStateIsTheSameAsNeverStopped) {
  const Task task = DoubleIntegrator().task();
  for (const MotoOptions& options : combinations()) {
    SCOPED_TRACE(name_of(options));
    const Recording whole = record(task, moto_start(task, options), options, kedge::Run{8, 1, {}});
    for (const int k : {1, 4, 6}) {
      MotoOptions first = options;
      first.iterations = k;
      Recording parts = record(task, moto_start(task, options), first, kedge::Run{8, 2, {}});
      EXPECT_EQ(parts.result.state.iteration, k);
      const Recording rest = record(task, parts.result.state, options, kedge::Run{8, 1, {}});
      parts.iterations.insert(parts.iterations.end(), rest.iterations.begin(), rest.iterations.end());
      parts.policies.insert(parts.policies.end(), rest.policies.begin(), rest.policies.end());
      expect_same(whole, parts);
      EXPECT_EQ(rest.result.state.rollouts_total, whole.result.state.rollouts_total);
      EXPECT_EQ(rest.result.state.steps_total, whole.result.state.steps_total);
      EXPECT_EQ(rest.result.state.window.size(), whole.result.state.window.size());
    }
  }
}

// ---- the loop ------------------------------------------------------------------------------------------------------

TEST(Moto, ShowsEveryIterationOnceAndInOrder) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 6;
  std::vector<int> seen;
  const MotoResult result =
      moto(task, moto_start(task, options), options, {1, 2, {}},
           [&](const Iteration& i, const MotoState& state, const MotoRecord*) {
             seen.push_back(i.number);
             EXPECT_EQ(state.iteration, i.number + 1);
             EXPECT_EQ(state.window.back().iteration, i.number);
             EXPECT_EQ(static_cast<int>(state.window.size()), std::min(i.number + 1, options.window));
           });
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(result.stop, Stop::max_iterations);
  EXPECT_EQ(result.message, "6 iterations done");
}

TEST(Moto, NeedsNobodyToWatch) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 3;
  const MotoState start = moto_start(task, options);
  EXPECT_TRUE(same_bits(time_varying(moto(task, start, options, {1, 1, {}}).state),
                        time_varying(record(task, start, options, kedge::Run{1, 1, {}}).result.state)));
}

TEST(Moto, OfNoIterationsReturnsTheStart) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 0;
  const MotoState start = moto_start(task, options);
  const Recording r = record(task, start, options, kedge::Run{1, 1, {}});
  EXPECT_EQ(r.result.stop, Stop::max_iterations);
  EXPECT_TRUE(r.iterations.empty());
  EXPECT_TRUE(same_bits(time_varying(r.result.state), time_varying(start)));
}

TEST(MotoStart, IsTheMiddleOfTheLimitsWithoutFeedback) {
  Task task = DoubleIntegrator().task();
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(2, 2), MatrixXd::Ones(2, 4));
  task.control_index = {0, 1, 2, 3};
  task.action_low.resize(4), task.action_high.resize(4);
  task.action_low << -1, -inf, 2, -inf;
  task.action_high << 3, inf, inf, 5;
  MotoOptions options;
  options.initial_std = 0.5;
  const MotoState start = moto_start(task, options);
  EXPECT_EQ(start.iteration, 0);
  EXPECT_EQ(time_varying(start).horizon(), 15);
  EXPECT_TRUE(start.window.empty());
  for (int t = 0; t < 15; ++t) {
    EXPECT_TRUE(time_varying(start)[t].K.isZero(0));
    EXPECT_EQ(time_varying(start)[t].K.cols(), 2);
    EXPECT_EQ(time_varying(start)[t].k, (Eigen::Vector4d(1, 0, 0, 0)));
    EXPECT_EQ(time_varying(start)[t].Sigma, (0.25 * MatrixXd::Identity(4, 4)));
  }
}

// ---- failure and cancellation --------------------------------------------------------------------------------------

TEST(Moto, StopsWithTheOldPolicyWhenAllRolloutsDiverge) {
  const DoubleIntegrator model;
  MotoOptions options = small_options();
  const MotoState start = moto_start(model.task(), options);
  const Recording r = record(model.task(0.01), start, options, kedge::Run{1, 2, {}});  // the start lies beyond the edge
  EXPECT_EQ(r.result.stop, Stop::numerical_failure);
  EXPECT_THAT(r.result.message, HasSubstr("iteration 0"));
  EXPECT_THAT(r.result.message, HasSubstr("0 of 20 rollouts are usable"));
  EXPECT_TRUE(r.iterations.empty());
  EXPECT_EQ(r.result.state.iteration, 0);
  EXPECT_TRUE(same_bits(time_varying(r.result.state), time_varying(start)));
}

TEST(Moto, ThatFailsLaterKeepsTheLastGoodPolicyAndCanGoOn) {
  const DoubleIntegrator model;
  MotoOptions options = small_options();
  options.iterations = 4;
  const Recording good = record(model.task(), moto_start(model.task(), options), options, kedge::Run{1, 1, {}});
  options.iterations = 6;
  const Recording bad = record(model.task(0.01), good.result.state, options, kedge::Run{1, 1, {}});
  EXPECT_EQ(bad.result.stop, Stop::numerical_failure);
  EXPECT_THAT(bad.result.message, HasSubstr("iteration 4"));
  EXPECT_TRUE(same_bits(time_varying(bad.result.state), time_varying(good.result.state)));
  EXPECT_EQ(bad.result.state.window.size(), good.result.state.window.size());
  // nothing of the failed iteration is left: going on gives what an undisturbed run gives
  const Recording on = record(model.task(), bad.result.state, options, kedge::Run{1, 1, {}});
  const Recording whole = record(model.task(), moto_start(model.task(), options), options, kedge::Run{1, 1, {}});
  EXPECT_TRUE(same_bits(time_varying(on.result.state), time_varying(whole.result.state)));
}

TEST(Moto, LeavesOutTheRolloutsThatDivergeAndCountsThem) {
  const DoubleIntegrator model;
  const Task task = model.task(1.6);
  MotoOptions options = small_options();
  options.initial_std = 8.0;
  options.iterations = 10;
  const Recording r = record(task, moto_start(task, options), options, kedge::Run{1, 1, {}});
  ASSERT_EQ(r.result.stop, Stop::max_iterations) << r.result.message;
  double diverged = 0;
  for (const Iteration& iteration : r.iterations) {
    diverged += metric(iteration, "diverged");
    for (const auto& [name, value] : iteration.metrics) EXPECT_TRUE(std::isfinite(value)) << name;
  }
  EXPECT_GT(diverged, 0);
  EXPECT_EQ(r.result.state.rollouts_total, 200);
  EXPECT_LT(r.result.state.steps_total, 200 * 15);  // those that diverged were shorter
  EXPECT_GT(r.result.state.steps_total, 200);
}

TEST(Moto, ToldToStopKeepsTheLastPolicy) {
  const Task task = DoubleIntegrator().task();
  const MotoOptions options = small_options();
  const MotoState start = moto_start(task, options);
  std::stop_source source;
  TvLinearGaussian last;
  const MotoResult result = moto(task, start, options, {1, 2, source.get_token()},
                                 [&](const Iteration& i, const MotoState& state, const MotoRecord*) {
                                   last = time_varying(state);
                                   if (i.number == 2) source.request_stop();
                                 });
  EXPECT_EQ(result.stop, Stop::cancelled);
  EXPECT_EQ(result.message, "cancelled after 3 iterations");
  EXPECT_EQ(result.state.iteration, 3);
  EXPECT_TRUE(same_bits(time_varying(result.state), last));
  // and goes on as if it had not been stopped
  const Recording rest = record(task, result.state, options, kedge::Run{1, 1, {}}),
                  whole = record(task, start, options, kedge::Run{1, 1, {}});
  EXPECT_TRUE(same_bits(time_varying(rest.result.state), time_varying(whole.result.state)));

  const MotoResult at_once = moto(task, start, options, {1, 2, source.get_token()});
  EXPECT_EQ(at_once.stop, Stop::cancelled);
  EXPECT_TRUE(same_bits(time_varying(at_once.state), time_varying(start)));
}

// ---- mistakes ------------------------------------------------------------------------------------------------------

struct Mistake {
  std::function<void(MotoOptions&)> make;
  const char* message;
};

TEST(MotoOptions, AreRefusedByNameValueAndRule) {
  const std::vector<Mistake> mistakes = {
      {[](MotoOptions& o) { o.iterations = -1; }, "iterations = -1, but must be >= 0"},
      {[](MotoOptions& o) { o.rollouts = 1; }, "rollouts = 1, but must be >= 2"},
      {[](MotoOptions& o) { o.epsilon = 0; }, "epsilon = 0, but must be > 0 (nats)"},
      {[](MotoOptions& o) { o.epsilon = inf; }, "epsilon = inf"},
      {[](MotoOptions& o) { o.epsilon = nan; }, "epsilon = nan"},
      {[](MotoOptions& o) { o.beta0 = -0.1; }, "beta0 = -0.1, but must be >= 0 (nats)"},
      {[](MotoOptions& o) { o.beta0 = nan; }, "beta0 = nan"},
      {[](MotoOptions& o) { o.initial_std = 0; }, "initial_std = 0, but must be > 0"},
      {[](MotoOptions& o) { o.initial_std = inf; }, "initial_std = inf"},
      {[](MotoOptions& o) { o.ridge = 0; }, "ridge = 0, but must be > 0"},
      {[](MotoOptions& o) { o.ridge = nan; }, "ridge = nan"},
      {[](MotoOptions& o) { o.window = 0; }, "window = 0, but must be >= 1"},
      {[](MotoOptions& o) { o.weight_cutoff = -1e-9; }, "weight_cutoff = -1e-09, but must be in [0, 0.1]"},
      {[](MotoOptions& o) { o.weight_cutoff = 0.2; }, "weight_cutoff = 0.2"},
      {[](MotoOptions& o) { o.gamma = -0.1; }, "gamma = -0.1, but must be in [0, 1]"},
      {[](MotoOptions& o) { o.gamma = 1.1; }, "gamma = 1.1"},
      {[](MotoOptions& o) { o.gamma = nan; }, "gamma = nan"},
      {[](MotoOptions& o) { o.targets = MotoOptions::Targets::monte_carlo, o.reuse = Reuse::time; },
       "reuse must be none or iterations"},
      {[](MotoOptions& o) { o.targets = MotoOptions::Targets::monte_carlo; }, "reuse must be none or iterations"},
  };
  const Task task = DoubleIntegrator().task();
  const MotoState start = moto_start(task, small_options());
  for (const Mistake& mistake : mistakes) {
    SCOPED_TRACE(mistake.message);
    MotoOptions options = small_options();
    mistake.make(options);
    const auto message = [&](const std::function<void()>& act) -> std::string {
      try {
        act();
      } catch (const InputError& error) {
        return error.what();
      }
      return "accepted";
    };
    EXPECT_THAT(message([&] { options.validate(); }), HasSubstr(mistake.message));
    EXPECT_THAT(message([&] { (void)moto_start(task, options); }), HasSubstr(mistake.message));
    EXPECT_THAT(message([&] { (void)moto(task, start, options, {}); }), HasSubstr(mistake.message));
  }
  EXPECT_NO_THROW(MotoOptions{}.validate());
}

TEST(Moto, RefusesAStateThatDoesNotFitTheTask) {
  const DoubleIntegrator model;
  const Task task = model.task();
  MotoOptions options = small_options();
  options.iterations = 2;
  const MotoState good = record(task, moto_start(task, options), options, kedge::Run{1, 1, {}}).result.state;
  options.iterations = 4;
  const std::vector<std::pair<const char*, std::function<void(MotoState&)>>> mistakes = {
      {"no policy", [](MotoState& s) { s.policy = TvLinearGaussian(); }},
      {"policy of another horizon",
       [](MotoState& s) { s.policy = TvLinearGaussian::constant(14, 2, VectorXd::Zero(1), VectorXd::Ones(1)); }},
      {"policy of other observations",
       [](MotoState& s) { s.policy = TvLinearGaussian::constant(15, 3, VectorXd::Zero(1), VectorXd::Ones(1)); }},
      {"policy of other actions",
       [](MotoState& s) { s.policy = TvLinearGaussian::constant(15, 2, VectorXd::Zero(2), VectorXd::Ones(2)); }},
      {"stored policy of other observations",
       [](MotoState& s) {
         s.window[0].policy = TvLinearGaussian::constant(15, 3, VectorXd::Zero(1), VectorXd::Ones(1));
       }},
      {"stored rollouts of another horizon", [](MotoState& s) { s.window[1].batch.horizon = 14; }},
      {"stored rollouts with other cost terms",
       [](MotoState& s) { s.window[1].batch.terms.conservativeResize(2, Eigen::NoChange); }},
      {"stored rollouts without a state distribution", [](MotoState& s) { s.window[0].rho.pop_back(); }},
      {"stored rollouts of other observations",
       [](MotoState& s) { s.window[0].batch.observation.conservativeResize(1, Eigen::NoChange); }},
      {"stored rollouts of other actions",
       [](MotoState& s) { s.window[0].batch.action = MatrixXd::Zero(2, s.window[0].batch.action.cols()); }},
      {"stored state distribution of another dimension",
       [](MotoState& s) { s.window[0].rho[3] = *make_gaussian(VectorXd::Zero(1), MatrixXd::Identity(1, 1)); }},
      {"negative iteration", [](MotoState& s) { s.iteration = -1; }},
  };
  EXPECT_EQ(moto(task, good, options, {1, 1, {}}).stop, Stop::max_iterations);
  for (const auto& [name, make] : mistakes) {
    SCOPED_TRACE(name);
    MotoState state = good;
    make(state);
    EXPECT_THROW((void)moto(task, state, options, {1, 1, {}}), InputError);
  }
  Task other = task;
  other.horizon = 0;
  EXPECT_THROW((void)moto(other, good, options, {}), InputError);
}

}  // namespace
}  // namespace kedge
