// A system of one's own in C++, without MuJoCo: a pendulum, whose swing-up MOTO learns from rollouts and iLQR plans from the
// model. docs/api.md explains the parts.
#include <kedge/algorithms/ilqr.h>
#include <kedge/algorithms/moto.h>
#include <kedge/system/task.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

/// x = (angle from upright, angular velocity), u = torque; one step is 0.05 s.
class Pendulum final : public kedge::System {
 public:
  kedge::Index nx() const override { return 2; }
  kedge::Index nu() const override { return 1; }
  kedge::Index nsensor() const override { return 0; }
  std::unique_ptr<kedge::System> clone() const override { return std::make_unique<Pendulum>(*this); }
  void reset(kedge::VectorIn x) override { x_ = x; }
  bool step(kedge::VectorIn u) override {
    x_[1] += 0.05 * (9.81 * std::sin(x_[0]) - 0.1 * x_[1] + u[0]);
    x_[0] += 0.05 * x_[1];
    return x_.allFinite();
  }
  void settle() override {}
  void state(kedge::VectorOut x) const override { x = x_; }
  void sensors(kedge::VectorOut) const override {}

 private:
  kedge::VectorXd x_ = kedge::VectorXd::Zero(2);
};

kedge::Task swing_up() {
  kedge::Task task;
  task.name = "pendulum";
  task.system = std::make_shared<Pendulum>();
  task.horizon = 60;
  task.control_step = 0.05;
  task.observation = {0, 1};
  task.observation_names = {"angle", "velocity"};
  task.control_index = {0};
  task.action_names = {"torque"};
  task.action_low = kedge::VectorXd::Constant(1, -6.0);  // not enough to lift it at once
  task.action_high = kedge::VectorXd::Constant(1, 6.0);
  task.start.mean = Eigen::Vector2d(3.14159, 0.0);
  task.start.spread = Eigen::Vector2d(0.05, 0.05);
  const std::vector<char> always(61, 1);
  std::vector<char> decisions = always;
  decisions.back() = 0;  // the final state has no action
  const auto squared = [](const char* name, kedge::Source source, std::vector<kedge::Index> of, kedge::VectorXd weight,
                          std::vector<char> active) {
    const auto n = static_cast<kedge::Index>(of.size());
    return kedge::CostTerm{
        name,   {source, std::move(of), {}, kedge::VectorXd::Zero(n), source == kedge::Source::action},
        weight, kedge::Norm::quadratic,
        0.0,    std::move(active)};
  };
  task.cost = {squared("upright", kedge::Source::state, {0, 1}, Eigen::Vector2d(1.0, 0.1), always),
               squared("effort", kedge::Source::action, {0}, kedge::VectorXd::Constant(1, 0.01), decisions)};
  return task;
}

int main() {
  const kedge::Task task = swing_up();
  const kedge::Run run{.seed = 1, .threads = 2};

  kedge::IlqrOptions known;
  known.box = true;
  known.initial_noise = 0.5;
  const auto planned = kedge::ilqr(task, kedge::ilqr_start(task, known), known, run);
  std::printf("iLQR: %s; return %.1f\n", planned.message.c_str(), planned.state.last_return_mean);

  kedge::MotoOptions learned;
  learned.iterations = 100;
  learned.initial_std = 3.0;
  learned.epsilon = 0.1;
  double first = 0.0;
  const auto result = kedge::moto(task, kedge::moto_start(task, learned), learned, run,
                                  [&](const kedge::Iteration& i, const kedge::MotoState& now, const auto*) {
                                    if (i.number == 0) first = now.last_return_mean;
                                  });
  std::printf("MOTO: %s; mean return %.1f -> %.1f\n", result.message.c_str(), first, result.state.last_return_mean);
  return result.state.last_return_mean > 1.1 * planned.state.last_return_mean ? 0 : 1;  // returns are negative
}
