// A small nonlinear task with limits, sensors and every kind of cost term, and policies for it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"
#include "tests/support/numbers.h"

namespace kedge::test {

/// Three states, of which the third counts the steps. Actions drive controls 0 and 2, none drives control 1. Two sensors: the
/// first state and control 0, at the beginning of the step. It diverges where |x0| exceeds 3.
class Toy : public System {
 public:
  [[nodiscard]] Index nx() const override { return 3; }
  [[nodiscard]] Index nu() const override { return 3; }
  [[nodiscard]] Index nsensor() const override { return 2; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Toy>(*this); }
  void reset(VectorIn x) override { x_ = x; }
  [[gnu::noinline]] [[nodiscard]] bool step(VectorIn u) override {  // one machine code, wherever it is called
    y_ = vec({x_[0], u[0]});
    if (u[1] != 0.0) ADD_FAILURE() << "a control that no action drives is " << u[1];
    const double x0 = x_[0];
    x_[0] = 1.2 * x0 + 0.3 * std::sin(x_[1]) + 0.5 * u[0];
    x_[1] += 0.1 * x0 + u[2];
    x_[2] += 1.0;
    return std::abs(x0) <= 3.0;
  }
  void settle() override { y_ = vec({x_[0], 0.0}); }
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut y) const override { y = y_; }

 private:
  VectorXd x_ = VectorXd::Zero(3), y_ = VectorXd::Zero(2);
};

/// Its sensors are no numbers while nothing acts.
class BlindToy final : public Toy {
 public:
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<BlindToy>(*this); }
  void settle() override { blind_ = true; }
  void sensors(VectorOut y) const override {
    Toy::sensors(y);
    if (blind_) y.setConstant(std::numeric_limits<double>::quiet_NaN());
  }

 private:
  bool blind_ = false;
};

inline constexpr int T = 7;

inline Task toy_task() {
  Task task;
  task.name = "toy";
  task.system = std::make_shared<Toy>();
  task.horizon = T;
  task.control_step = 0.1;
  task.observation = {1, 0};
  task.control_index = {2, 0};
  task.action_low = vec({-0.5, -std::numeric_limits<double>::infinity()});
  task.action_high = vec({0.5, 0.8});
  task.start.mean = vec({0.1, -0.2, 0});
  task.start.spread = vec({0.3, 0.3, 0});
  const std::vector<char> always(T + 1, 1), never(T + 1, 0);
  std::vector<char> late(T + 1, 0), steps(T + 1, 1);
  late[T - 1] = late[T] = 1;
  steps[T] = 0;
  task.cost.push_back(
      {"place", {Source::state, {0, 1}, {}, vec({0, 0.5}), false}, vec({1, 2}), Norm::quadratic, 0, late});
  task.cost.push_back(
      {"effort", {Source::action, {0, 1}, {}, vec({0, 0}), true}, vec({0.1, 0.2}), Norm::absolute, 0, steps});
  task.cost.push_back(
      {"applied", {Source::control, {0, 1, 2}, {}, vec({0, 0, 0}), true}, vec({1, 1, 1}), Norm::quadratic, 0, never});
  task.cost.push_back(
      {"sensor", {Source::sensor, {0, 1}, {}, vec({0, 0}), false}, vec({1, 1}), Norm::smooth, 0.1, always});
  std::vector<char> last = never;
  last[T - 2] = last[T] = 1;
  task.success.push_back(
      {{Source::state, {0, 1}, {}, vec({0, 0}), false}, Success::Statistic::mean_abs, 0.5, last, ""});
  return task;
}

inline TvLinearGaussian toy_policy(double std = 0.3) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < T; ++t) {
    Stream random(1, 0, 0, static_cast<std::uint32_t>(t));
    MatrixXd K(2, 2), A(2, 2);
    VectorXd k(2);
    for (Index j = 0; j < 2; ++j) random.normal(K.col(j));
    for (Index j = 0; j < 2; ++j) random.normal(A.col(j));
    random.normal(k);
    steps.push_back(make_linear_gaussian(0.3 * K, 0.1 * k, std * std * (MatrixXd::Identity(2, 2) + A * A.transpose())));
  }
  return TvLinearGaussian(steps);
}

}  // namespace kedge::test
