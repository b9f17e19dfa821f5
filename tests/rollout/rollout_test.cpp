// Rollouts against a plain loop, bit for bit; what does not change them; divergence, limits, success, cancellation.
#include "kedge/rollout/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "kedge/core/errors.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "tests/rollout/toy.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool same(const Batch& a, const Batch& b) {
  return a.rollouts == b.rollouts && a.horizon == b.horizon && same_bits(a.state, b.state) &&
         same_bits(a.observation, b.observation) && same_bits(a.action, b.action) && same_bits(a.terms, b.terms) &&
         same_bits(a.cost, b.cost) && a.diverged_at == b.diverged_at && same_bits(a.success, b.success) &&
         a.saturated == b.saturated;
}

Batch run_toy(const Task& task, const Policy& policy, const RolloutOptions& options, std::uint64_t seed = 5,
              int threads = 1) {
  auto batch = rollout(task, policy, options, kedge::Run{seed, threads, {}});
  EXPECT_TRUE(batch);
  return *batch;
}

/// Compares rollout n with the ten lines that a rollout is. Only for rollouts that do not diverge.
void expect_plain_loop(const Task& task, const TvLinearGaussian& policy, const RolloutOptions& options,
                       std::uint64_t seed, const Batch& batch, int n) {
  const auto rollout_number = static_cast<std::uint32_t>(n);
  Stream start(seed, options.iteration, rollout_number, 0);
  VectorXd x = sample_start(task.start, start), u = VectorXd::Zero(3), y(2), s(2), a(2);
  Toy toy;
  toy.reset(x);
  for (int t = 0; t <= task.horizon; ++t) {
    toy.state(x);
    s << x[1], x[0];
    ASSERT_TRUE(same_bits(batch.state.col(batch.at(n, t)), x)) << "t = " << t;
    ASSERT_TRUE(same_bits(batch.observation.col(batch.at(n, t)), s));
    if (t < task.horizon) {
      Stream noise(seed, options.iteration, rollout_number, static_cast<std::uint32_t>(t) + 1);
      options.explore ? policy.sample(t, s, noise, a) : policy.mean(t, s, a);
      ASSERT_TRUE(same_bits(batch.action.col(batch.step(n, t)), a));
      u[2] = std::min(std::max(a[0], -0.5), 0.5);
      u[0] = std::min(a[1], 0.8);
      ASSERT_TRUE(toy.step(u));
    } else {
      toy.settle();
    }
    toy.sensors(y);
    double cost = 0.0;
    for (std::size_t i = 0; i < task.cost.size(); ++i) {
      const bool defined = t < task.horizon || !task.cost[i].residual.needs_action;
      const double value = defined ? term_value(task.cost[i], x, a, u, y) : 0.0;
      ASSERT_EQ(batch.terms(static_cast<Index>(i), batch.at(n, t)), value) << "term " << i << ", t = " << t;
      if (task.cost[i].active[static_cast<std::size_t>(t)]) cost += value;
    }
    ASSERT_EQ(batch.cost(t, n), cost);
  }
}

TEST(Rollout, IsItsPlainLoopBitForBit) {
  const Task task = toy_task();
  const TvLinearGaussian policy = toy_policy();
  for (const bool explore : {true, false}) {
    const RolloutOptions options{12, 3, explore};
    const Batch batch = run_toy(task, policy, options);
    int compared = 0;
    for (int n = 0; n < options.rollouts; ++n)
      if (batch.usable(n)) expect_plain_loop(task, policy, options, 5, batch, n), ++compared;
    EXPECT_GE(compared, 8);
  }
}

TEST(Rollout, IsTheSameForAnyNumberOfThreads) {
  const Task task = toy_task();
  const Batch one = run_toy(task, toy_policy(), {31, 2, true}, 9, 1);
  EXPECT_TRUE(same(one, run_toy(task, toy_policy(), {31, 2, true}, 9, 2)));
  EXPECT_TRUE(same(one, run_toy(task, toy_policy(), {31, 2, true}, 9, 8)));
}

TEST(Rollout, NumberNDoesNotDependOnHowManyThereAre) {
  const Task task = toy_task();
  const Batch many = run_toy(task, toy_policy(), {20, 2, true}), few = run_toy(task, toy_policy(), {6, 2, true});
  EXPECT_TRUE(same_bits(few.state, many.state.leftCols(few.state.cols()).eval()));
  EXPECT_TRUE(same_bits(few.action, many.action.leftCols(few.action.cols()).eval()));
  EXPECT_TRUE(same_bits(few.terms, many.terms.leftCols(few.terms.cols()).eval()));
  EXPECT_TRUE(same_bits(few.cost, many.cost.leftCols(6).eval()));
}

TEST(Rollout, HasOtherNumbersForAnotherSeedIterationOrRollout) {
  const Task task = toy_task();
  const Batch base = run_toy(task, toy_policy(), {2, 2, true}, 5);
  EXPECT_NE(base.state.col(0), base.state.col(base.at(1, 0)));
  EXPECT_NE(base.state.col(0), run_toy(task, toy_policy(), {2, 2, true}, 6).state.col(0));
  EXPECT_NE(base.state.col(0), run_toy(task, toy_policy(), {2, 1, true}, 5).state.col(0));
  // the noise of the actions, which the start state does not explain: actions minus their means
  const auto noise = [&](const Batch& batch, int n, int t) {
    VectorXd mean(2);
    toy_policy().mean(t, batch.observation.col(batch.at(n, t)), mean);
    return VectorXd(batch.action.col(batch.step(n, t)) - mean);
  };
  EXPECT_GT((noise(base, 0, 0) - noise(base, 1, 0)).norm(), 1e-3);
  EXPECT_GT((toy_policy()[0].C.inverse() * noise(base, 0, 0) - toy_policy()[1].C.inverse() * noise(base, 0, 1)).norm(),
            1e-3);
}

/// Acts by the first entry of the initial state.
class ByStart final : public Policy {
 public:
  explicit ByStart(double action = nan) : action_(action) {}
  [[nodiscard]] int horizon() const override { return kEndless; }
  [[nodiscard]] Index observation_dim() const override { return 2; }
  [[nodiscard]] Index action_dim() const override { return 2; }
  void mean(int, VectorIn, VectorOut a) const override { a.setConstant(action_); }
  void sample(int, VectorIn, Stream&, VectorOut a) const override { a.setConstant(2.0 * action_); }
  [[nodiscard]] double log_prob(int, VectorIn, VectorIn) const override { return 0.0; }
  [[nodiscard]] std::unique_ptr<Policy> for_episode(VectorIn x0,
                                                    const std::function<InverseDynamics()>& model) const override {
    EXPECT_FALSE(model()) << "the toy has none";
    return std::make_unique<ByStart>(0.1 * x0[0]);
  }

 private:
  double action_;
};

TEST(Rollout, APolicyMayChooseByTheInitialState) {
  for (const bool explore : {true, false}) {
    const Batch batch = run_toy(toy_task(), ByStart(), {6, 2, explore}, 5, 2);
    for (int n = 0; n < 6; ++n)
      if (batch.usable(n)) {
        const double by_start = 0.1 * batch.state(0, batch.at(n, 0));
        EXPECT_EQ(batch.action(0, batch.step(n, 0)), explore ? 2.0 * by_start : by_start);
      }
    EXPECT_GE(usable_rollouts(batch), 3);
  }
}

/// Three coordinates of which the first and the last are driven, by controls in another order than the actions.
class Driven final : public System {
 public:
  [[nodiscard]] Index nx() const override { return 6; }
  [[nodiscard]] Index nu() const override { return 3; }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Driven>(); }
  void reset(VectorIn) override {}
  [[nodiscard]] bool step(VectorIn) override { return true; }
  void settle() override {}
  void state(VectorOut x) const override { x.setZero(); }
  void sensors(VectorOut) const override {}
  [[nodiscard]] std::vector<Drive> drives() const override { return {{2, 0, 3}, {0, 2, 5}}; }
  [[nodiscard]] bool inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) override {
    inertia << 2.0, 0.5, 0.5, x[1];
    u = inertia * acceleration + VectorXd{{x[0] + 10.0 * x[3], x[2] + 10.0 * x[5]}};
    return x[0] < 100.0;
  }
};

TEST(InverseDynamics, IsThatOfTheActions) {
  Task task = toy_task();
  task.system = std::make_shared<Driven>();
  task.start.mean = VectorXd::Constant(6, 7.0);
  task.control_index = {0, 2};  // the first action drives the last coordinate
  ASSERT_EQ(driven(task).size(), 2U);
  EXPECT_EQ(driven(task)[0].position, 2);
  Driven system;
  const InverseDynamics model = inverse_dynamics(task, system);
  ASSERT_TRUE(model);
  VectorXd a(2);
  MatrixXd M(2, 2);
  model(VectorXd{{0.3, 0.4}}, VectorXd{{1.0, 2.0}}, VectorXd{{5.0, 6.0}}, a, M);
  EXPECT_EQ(M, (MatrixXd{{7.0, 0.5}, {0.5, 2.0}}));
  EXPECT_NEAR(a[0], 7.0 * 5.0 + 0.5 * 6.0 + 0.3 + 10.0, 1e-12);
  EXPECT_NEAR(a[1], 0.5 * 5.0 + 2.0 * 6.0 + 0.4 + 20.0, 1e-12);
  model(VectorXd{{0.3, 200.0}}, VectorXd{{1.0, 2.0}}, VectorXd{{5.0, 6.0}}, a, M);
  EXPECT_TRUE(std::isnan(a[0])) << "the system failed";
  task.control_index = {0, 1};
  EXPECT_TRUE(driven(task).empty()) << "no coordinate of the second action";
  EXPECT_FALSE(inverse_dynamics(task, system));
}

TEST(Rollout, WithoutExplorationFollowsTheMean) {
  Task task = toy_task();
  task.start.spread.setZero();
  const Batch batch = run_toy(task, toy_policy(), {2, 2, false});
  EXPECT_TRUE(same_bits(batch.state.leftCols(T + 1).eval(), batch.state.rightCols(T + 1).eval()));
  VectorXd mean(2);
  toy_policy().mean(0, batch.observation.col(0), mean);
  EXPECT_EQ(batch.action.col(0), mean);
}

// ---- divergence ----------------------------------------------------------------------------------------------------

/// The toy that starts at (x0, 0) for sure.
Task growing_task(double x0) {
  Task task = toy_task();
  task.start.mean = vec({x0, 0, 0});
  task.start.spread.setZero();
  return task;
}

/// The step at which it then diverges without controls; T: never.
int diverging_step(double x0) {
  Toy toy;
  toy.reset(vec({x0, 0, 0}));
  for (int t = 0; t < T; ++t)
    if (!toy.step(VectorXd::Zero(3))) return t;
  return T;
}

TvLinearGaussian still_policy() { return TvLinearGaussian::constant(T, 2, vec({0, 0}), vec({1e-9, 1e-9})); }

TEST(Rollout, ReportsTheStepThatDivergedAndKeepsTheStepsBefore) {
  std::set<int> seen;
  for (double x0 = 3.5; diverging_step(x0) < T; x0 *= 0.95) {
    const int expected = diverging_step(x0);
    seen.insert(expected);
    const Batch batch = run_toy(growing_task(x0), still_policy(), {2, 0, false});
    ASSERT_EQ(batch.diverged_at[0], expected);
    EXPECT_FALSE(batch.usable(0));
    EXPECT_TRUE(std::isnan(batch.success[0]));
    EXPECT_TRUE(batch.state.allFinite() && batch.action.allFinite() && batch.cost.allFinite() &&
                batch.terms.allFinite());
    for (int t = 0; t <= T; ++t) {  // state finite and present up to and including the step that diverged; then zero
      const auto state = batch.state.col(batch.at(0, t));
      EXPECT_EQ(state.isZero(0), t > expected) << t;
      EXPECT_EQ(batch.cost(t, 0) == 0.0, t >= expected) << t;
      EXPECT_EQ(batch.terms.col(batch.at(0, t)).isZero(0), t >= expected) << t;
      EXPECT_TRUE(t < expected || t == T || batch.action.col(batch.step(0, t)).isZero(0)) << t;
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(T));
}

TEST(Rollout, ThatDivergesLeavesTheNextOneOfTheSameWorkerAlone) {
  const Task task = toy_task();
  const TvLinearGaussian wild = toy_policy(1.5);
  const Batch batch = run_toy(task, wild, {40, 0, true});
  int diverged = 0;
  for (int n = 0; n < batch.rollouts; ++n) {
    diverged += !batch.usable(n);
    if (batch.usable(n)) expect_plain_loop(task, wild, {40, 0, true}, 5, batch, n);
  }
  EXPECT_GT(diverged, 3);
  EXPECT_LT(diverged, 37);
}

TEST(Rollout, DivergesWhereACostTermIsNotFiniteActiveOrNot) {
  Task task = toy_task();
  task.cost[0].residual = {Source::state, {2}, {}, vec({0}), false};  // the number of the step, squared, times a weight
  for (const char active : {'\0', '\1'}) {
    task.cost[0].active.assign(T + 1, active);
    task.cost[0].weight = vec({6e306});  // 6^2 of it is too much
    const Batch at_last_step = run_toy(task, still_policy(), {1, 0, false});
    EXPECT_EQ(at_last_step.diverged_at[0], T - 1);
    task.cost[0].weight = vec({4e306});  // 7^2 of it is
    const Batch at_final_state = run_toy(task, still_policy(), {1, 0, false});
    EXPECT_EQ(at_final_state.diverged_at[0], T);
    for (const Batch& batch : {at_last_step, at_final_state}) {
      EXPECT_TRUE(batch.state.allFinite() && batch.cost.allFinite() && batch.terms.allFinite());
      EXPECT_TRUE(std::isnan(batch.success[0]));
    }
  }
}

TEST(Rollout, DivergesWhereTheActionIsNotFinite) {
  TvLinearGaussian policy = still_policy();
  policy[3].k[1] = nan;
  const Batch batch = run_toy(growing_task(0.1), policy, {2, 0, false});
  EXPECT_EQ(batch.diverged_at[0], 3);
  EXPECT_TRUE(batch.action.allFinite());
}

// ---- limits, costs, success ----------------------------------------------------------------------------------------

TEST(Rollout, CountsCommandedEntriesBeyondTheirLimits) {
  const Task task = growing_task(0.1);
  TvLinearGaussian policy = still_policy();
  policy[1].k = vec({0.6, 0.9});  // both beyond
  policy[4].k = vec({-0.6, -2});  // the second has no lower limit
  policy[5].k = vec({0.5, 0.8});  // at the limits is within them
  const Batch batch = run_toy(task, policy, {4, 0, false});
  ASSERT_TRUE(batch.usable(0));
  EXPECT_DOUBLE_EQ(batch.saturated, 3.0 / (2 * T));
  EXPECT_EQ(batch.action.col(batch.step(0, 1)), vec({0.6, 0.9}));           // as commanded
  EXPECT_DOUBLE_EQ(batch.terms(2, batch.at(0, 1)), 0.5 * 0.5 + 0.8 * 0.8);  // as applied
  EXPECT_DOUBLE_EQ(batch.terms(1, batch.at(0, 1)), 0.1 * 0.6 + 0.2 * 0.9);
}

TEST(Rollout, CountsTheActionsThatWereCommandedWhenSomeDiverge) {
  const Task task = growing_task(3.5);  // diverges in the first step
  TvLinearGaussian policy = still_policy();
  policy[0].k = vec({0.6, 0.9});
  EXPECT_DOUBLE_EQ(run_toy(task, policy, {3, 0, false}).saturated, 1.0);
}

TEST(Rollout, ReturnIsMinusTheSummedCostOfTheActiveTerms) {
  const Task task = toy_task();
  const Batch batch = run_toy(task, toy_policy(), {5, 0, true});
  for (int n = 0; n < 5; ++n) {
    if (!batch.usable(n)) continue;
    double sum = 0.0;
    for (int t = 0; t <= T; ++t)
      for (std::size_t i = 0; i < task.cost.size(); ++i)
        if (task.cost[i].active[static_cast<std::size_t>(t)]) sum += batch.terms(static_cast<Index>(i), batch.at(n, t));
    EXPECT_NEAR(rollout_return(batch, n), -sum, 1e-12 * sum);
    EXPECT_EQ(batch.terms(1, batch.at(n, T)), 0.0);  // needs an action: no value at the final state
  }
}

TEST(Rollout, ReadsSuccessAsMeanOrLargestResidualOverTheActiveSteps) {
  Task task = toy_task();
  const auto values = [&](Success::Statistic statistic) {
    task.success[0].statistic = statistic;
    return run_toy(task, toy_policy(), {5, 0, true});
  };
  const Batch mean = values(Success::Statistic::mean_abs), largest = values(Success::Statistic::max_abs);
  for (int n = 0; n < 5; ++n) {
    if (!mean.usable(n)) continue;
    VectorXd r(4);
    r << mean.state.col(mean.at(n, T - 2)).head(2), mean.state.col(mean.at(n, T)).head(2);
    EXPECT_NEAR(mean.success[n], r.cwiseAbs().mean(), 1e-14);
    EXPECT_EQ(largest.success[n], r.cwiseAbs().maxCoeff());
  }
  task.success.clear();
  EXPECT_TRUE(std::isnan(run_toy(task, toy_policy(), {1, 0, true}).success[0]));
}

// ---- cancellation and mistakes -------------------------------------------------------------------------------------

TEST(Rollout, ReturnsNothingAfterAStopRequest) {
  std::stop_source source;
  const Task task = toy_task();
  const TvLinearGaussian policy = toy_policy();
  EXPECT_TRUE(rollout(task, policy, {4, 0, true}, kedge::Run{1, 2, source.get_token()}));
  source.request_stop();
  EXPECT_FALSE(rollout(task, policy, {4, 0, true}, kedge::Run{1, 1, source.get_token()}));
  EXPECT_FALSE(rollout(task, policy, {4, 0, true}, kedge::Run{1, 8, source.get_token()}));
}

/// Asks the run to stop at the first action of its third rollout.
struct StoppingPolicy final : Policy {
  std::stop_source* source;
  mutable int asked = 0;
  explicit StoppingPolicy(std::stop_source* s) : source(s) {}
  [[nodiscard]] int horizon() const override { return T; }
  [[nodiscard]] Index observation_dim() const override { return 2; }
  [[nodiscard]] Index action_dim() const override { return 2; }
  void mean(int t, VectorIn, VectorOut a) const override {
    if (t == 0 && ++asked == 3) source->request_stop();
    a.setZero();
  }
  void sample(int t, VectorIn s, Stream&, VectorOut a) const override { mean(t, s, a); }
  [[nodiscard]] double log_prob(int, VectorIn, VectorIn) const override { return 0.0; }
};

TEST(Rollout, StopsBetweenRollouts) {
  std::stop_source source;
  const StoppingPolicy policy(&source);
  EXPECT_FALSE(rollout(toy_task(), policy, {1000, 0, true}, kedge::Run{1, 1, source.get_token()}));
  EXPECT_EQ(policy.asked, 3);
}

TEST(Rollout, NumbersItsRolloutsFromTheFirst) {
  const TvLinearGaussian policy = TvLinearGaussian::constant(T, 2, VectorXd::Zero(2), VectorXd::Ones(2));
  const auto all = rollout(toy_task(), policy, {.rollouts = 5, .iteration = 4}, kedge::Run{1, 1, {}});
  const auto last = rollout(toy_task(), policy, {.rollouts = 2, .iteration = 4, .first = 3}, kedge::Run{1, 1, {}});
  EXPECT_EQ(last->state, all->state.rightCols(last->state.cols()));
  EXPECT_EQ(last->action, all->action.rightCols(last->action.cols()));
  EXPECT_THROW((void)rollout(toy_task(), policy, {.first = -1}, kedge::Run{1, 1, {}}), InputError);
}

TEST(Rollout, RefusesAPolicyThatDoesNotFit) {
  const auto message = [](const TvLinearGaussian& policy, const RolloutOptions& options, int threads) -> std::string {
    try {
      (void)rollout(toy_task(), policy, options, kedge::Run{1, threads, {}});
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto policy = [](int horizon, Index ds, Index da) {
    return TvLinearGaussian::constant(horizon, ds, VectorXd::Zero(da), VectorXd::Ones(da));
  };
  EXPECT_EQ(message(policy(T + 3, 2, 2), {1, 0, true}, 1), "accepted");  // a longer policy is fine
  EXPECT_THAT(message(policy(T - 1, 2, 2), {1, 0, true}, 1), HasSubstr("policy horizon = 6, but must be >= 7"));
  EXPECT_THAT(message(policy(T, 3, 2), {1, 0, true}, 1), HasSubstr("policy observation size = 3, but must be 2"));
  EXPECT_THAT(message(policy(T, 2, 1), {1, 0, true}, 1), HasSubstr("policy action size = 1, but must be 2"));
  EXPECT_THAT(message(policy(T, 2, 2), {0, 0, true}, 1), HasSubstr("rollouts = 0, but must be >= 1"));
  EXPECT_THAT(message(policy(T, 2, 2), {1, 0, true}, 0), HasSubstr("threads = 0, but must be >= 1"));
}

}  // namespace
}  // namespace kedge
