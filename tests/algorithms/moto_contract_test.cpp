// What MOTO promises besides learning and what every algorithm promises (contract_test.cpp): typed failures, refusal of what
// does not fit.
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

/// What is wrong; empty if nothing is.
std::string complaint(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(Moto, DependsOnTheSeed) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 1;
  const MotoState start = moto_start(task, options);
  EXPECT_FALSE(same_bits(record(task, start, options, kedge::Run{5, 1, {}}).policies[0],
                         record(task, start, options, kedge::Run{6, 1, {}}).policies[0]));
}

TEST(MotoStart, FollowsTheDemonstrationAsLongAsItLasts) {
  Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.initial_mean = MotoOptions::FirstMean::demonstration;
  EXPECT_THAT(complaint([&] { moto_start(task, options); }), HasSubstr("has no [demonstration]"));
  Stream random(1, 2, 3, 4);
  task.demonstration =
      std::make_shared<const Demonstration>(Demonstration{random_matrix(2, 11, random), random_matrix(1, 10, random)});
  const MotoState start = moto_start(task, options);
  for (int t = 0; t < 15; ++t) {
    EXPECT_TRUE(start.policy[t].K.isZero(0));
    EXPECT_EQ(start.policy[t].k[0], t < 10 ? task.demonstration->action(0, t) : 0.0);
  }
}

TEST(MotoOptions, HaveFloorsOfObservationsByName) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.state_floor = ActionNumbers::share_of_range(0.1);
  EXPECT_THAT(complaint([&] { moto_start(task, options); }), HasSubstr("a share has no meaning"));
  options.state_floor = {};
  options.state_floor.number = {{1e-3, false}, {2e-3, false}, {3e-3, false}};
  EXPECT_THAT(complaint([&] { moto_start(task, options); }),
              HasSubstr("state_floor = [0.001, 0.002, 0.003] has 3 numbers"));
  options.state_floor.number = {{1e-3, false}, {2e-3, false}};
  options.state_floor.name = {task.observation_names[0], "nothing"};
  EXPECT_THAT(complaint([&] { moto_start(task, options); }), HasSubstr("has no observation \"nothing\""));
  options.state_floor.name[1] = task.observation_names[1];
  options.iterations = 2;
  const auto seen = record(task, moto_start(task, options), options, kedge::Run{5, 1, {}});
  options.state_floor = 0.0;
  const auto plain = record(task, moto_start(task, options), options, kedge::Run{5, 1, {}});
  const auto first = [](const auto& recording) { return recording.records[0].rho[0].cov; };
  EXPECT_NEAR(first(seen)(1, 1), first(plain)(1, 1) + 4e-6, 1e-15);
}

// ---- the loop ------------------------------------------------------------------------------------------------------

TEST(Moto, ShowsEveryIterationOnceAndInOrder) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 6;
  std::vector<int> seen;
  const MotoResult result =
      moto(task, moto_start(task, options), options, {1, 2, {}},
           [&](const Iteration& i, const MotoState& state, const UpdateRecord*) {
             seen.push_back(i.number);
             EXPECT_EQ(state.iteration, i.number + 1);
             EXPECT_EQ(state.window.back().iteration, i.number);
             EXPECT_EQ(static_cast<int>(state.window.size()), std::min(i.number + 1, options.window));
           });
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(result.stop, Stop::max_iterations);
  EXPECT_EQ(result.message, "6 iterations done");
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
  EXPECT_EQ(start.policy.horizon(), 15);
  EXPECT_TRUE(start.window.empty());
  for (int t = 0; t < 15; ++t) {
    EXPECT_TRUE(start.policy[t].K.isZero(0));
    EXPECT_EQ(start.policy[t].K.cols(), 2);
    EXPECT_EQ(start.policy[t].k, (Eigen::Vector4d(1, 0, 0, 0)));
    EXPECT_EQ(start.policy[t].Sigma, (0.25 * MatrixXd::Identity(4, 4)));
  }
}

// ---- failure and cancellation --------------------------------------------------------------------------------------

TEST(Moto, StopsWithTheOldPolicyWhenAllRolloutsDiverge) {
  const DoubleIntegrator model;
  MotoOptions options = small_options();
  const MotoState start = moto_start(model.task(), options);
  const Recording<MotoState> r =
      record(model.task(0.01), start, options, kedge::Run{1, 2, {}});  // the start lies beyond the edge
  EXPECT_EQ(r.result.stop, Stop::numerical_failure);
  EXPECT_THAT(r.result.message, HasSubstr("iteration 0"));
  EXPECT_THAT(r.result.message, HasSubstr("0 of 20 rollouts are usable"));
  EXPECT_TRUE(r.iterations.empty());
  EXPECT_EQ(r.result.state.iteration, 0);
  EXPECT_TRUE(same_bits(r.result.state.policy, start.policy));
}

TEST(Moto, KeepsTheLastGoodPolicyWhenItFailsLaterAndCanContinue) {
  const DoubleIntegrator model;
  MotoOptions options = small_options();
  options.iterations = 4;
  const Recording<MotoState> good =
      record(model.task(), moto_start(model.task(), options), options, kedge::Run{1, 1, {}});
  options.iterations = 6;
  const Recording<MotoState> bad = record(model.task(0.01), good.result.state, options, kedge::Run{1, 1, {}});
  EXPECT_EQ(bad.result.stop, Stop::numerical_failure);
  EXPECT_THAT(bad.result.message, HasSubstr("iteration 4"));
  EXPECT_TRUE(same_bits(bad.result.state.policy, good.result.state.policy));
  EXPECT_EQ(bad.result.state.window.size(), good.result.state.window.size());
  // nothing of the failed iteration is left: going on gives what an undisturbed run gives
  const Recording<MotoState> on = record(model.task(), bad.result.state, options, kedge::Run{1, 1, {}});
  const Recording<MotoState> whole =
      record(model.task(), moto_start(model.task(), options), options, kedge::Run{1, 1, {}});
  EXPECT_TRUE(same_bits(on.result.state.policy, whole.result.state.policy));
}

TEST(Moto, LeavesOutTheRolloutsThatDivergeAndCountsThem) {
  const DoubleIntegrator model;
  const Task task = model.task(1.6);
  MotoOptions options = small_options();
  options.initial_std = 8.0;
  options.iterations = 10;
  const Recording<MotoState> r = record(task, moto_start(task, options), options, kedge::Run{1, 1, {}});
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
         s.window.change(0).policy = TvLinearGaussian::constant(15, 3, VectorXd::Zero(1), VectorXd::Ones(1));
       }},
      {"stored rollouts of another horizon", [](MotoState& s) { s.window.change(1).batch.horizon = 14; }},
      {"stored rollouts with other cost terms",
       [](MotoState& s) { s.window.change(1).batch.terms.conservativeResize(2, Eigen::NoChange); }},
      {"stored rollouts without a state distribution", [](MotoState& s) { s.window.change(0).rho.pop_back(); }},
      {"stored rollouts of other observations",
       [](MotoState& s) { s.window.change(0).batch.observation.conservativeResize(1, Eigen::NoChange); }},
      {"stored rollouts of other actions",
       [](MotoState& s) { s.window.change(0).batch.action = MatrixXd::Zero(2, s.window[0].batch.action.cols()); }},
      {"stored state distribution of another dimension",
       [](MotoState& s) { s.window.change(0).rho[3] = *make_gaussian(VectorXd::Zero(1), MatrixXd::Identity(1, 1)); }},
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
