// A small smooth system with sensors, whose derivatives are known.
#pragma once

#include <cmath>

#include "kedge/system/task.h"

namespace kedge::test {

/// x0' = x0 + h x1, x1' = x1 + h (sin x0 + u0^2 + 2 u1), y = [x0 x1, u0 x0]. It diverges where |x0'| > edge.
class Wave final : public System {
 public:
  explicit Wave(double edge = 1e6) : edge_(edge) {}
  static constexpr double h = 0.1;
  [[nodiscard]] Index nx() const override { return 2; }
  [[nodiscard]] Index nu() const override { return 2; }
  [[nodiscard]] Index nsensor() const override { return 2; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Wave>(*this); }
  void reset(VectorIn x) override { x_ = x; }
  [[nodiscard]] bool step(VectorIn u) override {
    y_ = {x_[0] * x_[1], u[0] * x_[0]};
    x_ = Eigen::Vector2d(x_[0] + h * x_[1], x_[1] + h * (std::sin(x_[0]) + u[0] * u[0] + 2.0 * u[1]));
    return std::abs(x_[0]) < edge_;
  }
  void settle() override { y_ = {x_[0] * x_[1], 0.0}; }
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut y) const override { y = y_; }

 private:
  double edge_;
  Eigen::Vector2d x_ = Eigen::Vector2d::Zero(), y_ = Eigen::Vector2d::Zero();
};

inline CostTerm term(const char* name, Source source, std::vector<Index> index, int horizon) {
  CostTerm t;
  t.name = name;
  const auto n = static_cast<Index>(index.size());
  t.residual = {source, std::move(index), {}, VectorXd::Zero(n), source == Source::action || source == Source::control};
  t.weight = VectorXd::Ones(n);
  t.active.assign(static_cast<std::size_t>(horizon) + 1, 1);
  if (t.residual.needs_action) t.active.back() = 0;
  return t;
}

/// Two actions in [-1, 2]; a cost that reads both sensors.
inline Task wave_task(int horizon, double edge = 1e6) {
  Task task;
  task.name = "wave";
  task.system = std::make_shared<Wave>(edge);
  task.horizon = horizon;
  task.control_step = Wave::h;
  task.observation = {0, 1};
  task.observation_names = {"x0", "x1"};
  task.control_index = {0, 1};
  task.action_names = {"u0", "u1"};
  task.action_low = VectorXd::Constant(2, -1.0);
  task.action_high = VectorXd::Constant(2, 2.0);
  task.start.mean = task.start.spread = VectorXd::Zero(2);
  task.cost = {term("sensors", Source::sensor, {0, 1}, horizon)};
  return task;
}

}  // namespace kedge::test
