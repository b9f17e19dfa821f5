// Controllers that outlive their horizon: the rest that is found, the gains there, and why there are none.
#include "kedge/algorithms/hold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/rollout/rollout.h"
#include "kedge/system/linear_system.h"
#include "kedge/update/stationary_lqr.h"
#include "small_tasks.h"
#include "tests/support/policies.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using test::vec;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// A pendulum with x = (angle from upright, velocity) and a torque; with a drift, it turns on, whatever the torque.
class Pendulum final : public System {
 public:
  explicit Pendulum(double drift = 0.0) : drift_(drift) {}
  [[nodiscard]] Index nx() const override { return 2; }
  [[nodiscard]] Index nu() const override { return 1; }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Pendulum>(*this); }
  void reset(VectorIn x) override { x_ = x; }
  [[nodiscard]] bool step(VectorIn u) override {
    constexpr double h = 0.05;
    if (drift_ == 0.0) x_[1] += h * (std::sin(x_[0]) + u[0]);
    x_[0] += drift_ == 0.0 ? h * x_[1] : drift_;
    return x_.allFinite();
  }
  void settle() override {}
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut) const override {}

 private:
  double drift_;
  VectorXd x_ = VectorXd::Zero(2);
};

/// Of the double integrator's shape, with a target of the angle.
Task pendulum_task(double target, double limit, double drift = 0.0) {
  DoubleIntegrator like;
  like.T = 40;
  Task task = like.task(1e100, limit);
  task.system = std::make_shared<Pendulum>(drift);
  task.start.mean = vec({0.3, 0.0});
  for (const int term : {0, 2}) task.cost[static_cast<std::size_t>(term)].residual.target = vec({target, 0.0});
  return task;
}

/// Brings either system near its target; the last step is different, so that the policy is not stationary.
TvLinearGaussian falls_into_place(const Task& task, double target, double offset = 0.0) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < task.horizon; ++t)
    steps.push_back(make_linear_gaussian(
        MatrixXd{{-4.0, -4.0}}, vec({4.0 * target + offset + (t + 1 < task.horizon ? 0.0 : 0.01)}), MatrixXd{{0.04}}));
  return TvLinearGaussian(std::move(steps));
}

TvLinearGaussian held_linear(const Task& task, const AnyPolicy& policy, int steps) {
  return std::get<TvLinearGaussian>(held_policy(task, policy, steps, kedge::Run{}));
}

TEST(Hold, OfALinearSystemIsItsInfiniteHorizonRegulator) {
  const DoubleIntegrator d;
  Task task = d.task();
  for (const int term : {0, 2}) task.cost[static_cast<std::size_t>(term)].residual.target = vec({0.5, 0.0});
  const TvLinearGaussian policy = falls_into_place(task, 0.5);
  const TvLinearGaussian lasts = held_linear(task, policy, 7);
  ASSERT_EQ(lasts.horizon(), d.T + 7);
  for (int t = 0; t < d.T; ++t) EXPECT_TRUE(lasts[t].K == policy[t].K && lasts[t].k == policy[t].k) << t;
  StageCost q = StageCost::zero(2, 1);
  q.Hxx = 2.0 * (d.Q + d.Qf);
  q.Huu = 2.0 * d.R;
  const MatrixXd K = stationary_lqr(d.A, d.B, q).K;
  for (int t = d.T; t < d.T + 7; ++t) {
    EXPECT_LT((lasts[t].K - K).norm(), 1e-7 * K.norm());
    EXPECT_LT((lasts[t].k + K * vec({0.5, 0.0})).norm(), 1e-7 * K.norm());
    EXPECT_EQ(lasts[t].Sigma, policy[d.T - 1].Sigma);
  }
}

TEST(Hold, FindsTheRestOfLeastCostAndStaysThere) {
  // A rest is (x, 0) with a = -sin(x). Its cost is 51 (x - 0.4)^2 + 0.01 sin(x)^2.
  const Task task = pendulum_task(0.4, 5.0);
  const TvLinearGaussian lasts = held_linear(task, falls_into_place(task, 0.4, -0.4), 200);
  double rest = 0.4;
  for (int i = 0; i < 50; ++i) rest = 0.4 - 0.01 * std::sin(rest) * std::cos(rest) / 51.0;
  Task longer = held_task(task, 200);
  const Batch batch = *rollout(longer, lasts, {.rollouts = 5, .explore = false}, kedge::Run{.seed = 1});
  for (int n = 0; n < 5; ++n) {
    ASSERT_TRUE(batch.usable(n));
    EXPECT_NEAR(batch.state(0, batch.at(n, longer.horizon)), rest, 1e-7);
    EXPECT_NEAR(batch.action(0, batch.step(n, longer.horizon - 1)), -std::sin(rest), 1e-6);
    EXPECT_LT(batch.success[n], 0.5);
  }
  const Batch before = *rollout(task, falls_into_place(task, 0.4, -0.4), {.rollouts = 5}, kedge::Run{.seed = 1});
  const Batch noisy = *rollout(longer, lasts, {.rollouts = 5}, kedge::Run{.seed = 1});
  for (int n = 0; n < 5; ++n)
    for (int t = 0; t < task.horizon; ++t)
      EXPECT_EQ(noisy.action.col(noisy.step(n, t)), before.action.col(before.step(n, t))) << "nothing changes before";
}

TEST(Hold, MeasuresTheHeldTime) {
  const Task task = DoubleIntegrator().task(), longer = held_task(task, 3);
  EXPECT_EQ(longer.horizon, task.horizon + 3);
  EXPECT_NO_THROW(validate(longer));
  for (int t = 0; t <= longer.horizon; ++t) {
    const auto i = static_cast<std::size_t>(t);
    const bool after = t >= task.horizon, last = t == longer.horizon;
    EXPECT_EQ(longer.success[0].active[i], after);
    EXPECT_TRUE(longer.cost[0].active[i]) << "the state's cost goes on";
    EXPECT_EQ(longer.cost[1].active[i], !last) << "so does that of the force, which needs a step";
    EXPECT_EQ(longer.cost[2].active[i], after) << "the final state's cost is that of being there";
  }
  EXPECT_THAT(longer.success[0].text, HasSubstr("15..18 (held)"));
}

TEST(Hold, StationaryPoliciesGoOnAsTheyAre) {
  const Task task = DoubleIntegrator().task();
  TvLinearGaussian same = TvLinearGaussian::constant(task.horizon, 2, vec({0.1}), vec({1.0}));
  const TvLinearGaussian lasts = held_linear(task, same, 4);
  EXPECT_EQ(lasts.horizon(), task.horizon + 4);
  EXPECT_EQ(lasts[task.horizon + 3].k, same[0].k);
  const MlpGaussian network = test::examples(std::type_identity<MlpGaussian>()).front();
  EXPECT_EQ(std::get<MlpGaussian>(held_policy(task, network, 4, kedge::Run{})).theta(), network.theta());
}

void expect_refused(const Task& task, const AnyPolicy& policy, const std::string& why) {
  EXPECT_THAT([&] { (void)held_policy(task, policy, 50, kedge::Run{}); }, ThrowsMessage<InputError>(HasSubstr(why)));
}

TEST(Hold, SaysWhyThereIsNothingToHold) {
  const DoubleIntegrator d;
  const Task task = d.task();
  const TvLinearGaussian policy = falls_into_place(task, 0.0);
  EXPECT_NO_THROW((void)held_policy(task, policy, 50, kedge::Run{}));

  Task blind = task;
  blind.cost[0].weight.setZero();
  blind.cost[2].weight.setZero();
  expect_refused(blind, policy, "hold: no cost at the end of the task sees a mode with eigenvalue 1");
  Task free = task;
  free.cost[1].weight.setZero();
  expect_refused(free, policy, "hold: an action costs nothing at the end of the task");
  Task apart = task;
  apart.system = std::make_shared<LinearSystem>(MatrixXd{{1.0, 0.0}, {0.0, 1.01}}, MatrixXd{{0.1}, {0.0}});
  expect_refused(apart, policy, "cannot be stabilised: no action moves a mode with eigenvalue 1.01+0i, largest in v");
  expect_refused(pendulum_task(0.4, 0.1), falls_into_place(pendulum_task(0.4, 0.1), 0.4), "hold: the rest where the");
  const Task turning = pendulum_task(0.4, 5.0, 0.1);
  expect_refused(turning, falls_into_place(turning, 0.4), "hold: there is no rest near the end of the trajectory");

  // Left alone it falls to about 1 rad by the end of the task, and 0.3 N m do not lift it from there.
  const Task weak = pendulum_task(0.0, 0.3);
  TvLinearGaussian alone = TvLinearGaussian::constant(weak.horizon, 2, vec({0.0}), vec({1.0}));
  alone[weak.horizon - 1].k[0] = 0.01;
  expect_refused(weak, alone, "hold: the rest nearest to the end of the trajectory is not reached from there");
  Task ends = task;
  ends.termination = {{.name = "near",
                       .residual = {Source::state, {0}, {}, VectorXd::Zero(1), false},
                       .low = vec({-1e9}),
                       .high = vec({0.0}),
                       .cost = 0.0,
                       .missing_step = 0.0}};
  expect_refused(ends, policy, "hold: the trajectory from the middle of the start ends early");

  Task half = task;
  half.observation = {0};
  half.observation_names = {"x"};
  std::vector<LinearGaussian> steps(static_cast<std::size_t>(task.horizon),
                                    make_linear_gaussian(MatrixXd{{-0.1}}, vec({0.0}), MatrixXd{{1.0}}));
  steps.back().k[0] = 0.01;
  expect_refused(half, TvLinearGaussian(steps),
                 "feeds back the whole state, but the policy does not see entry 1 of it");

  expect_refused(task, test::examples(std::type_identity<DmpPolicy>()).front(), "hold: the policy is a movement");
  expect_refused(task, test::examples(std::type_identity<MlpGaussian>())[2], "hold: the network sees the time");
}

}  // namespace
}  // namespace kedge
