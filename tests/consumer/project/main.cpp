// Uses an installed kedge: a system of our own, MOTO on it, and Eigen types by value in both directions across the
// boundary between code that was compiled for this machine (the library) and code that was not (this file).
#include <cmath>
#include <filesystem>
#include <iostream>

#include "kedge/algorithms/moto.h"
#include "kedge/math/gaussian.h"
#include "kedge/rollout/rollout.h"
#include "kedge/system/system.h"

namespace {

using kedge::Index;
using kedge::VectorIn;
using kedge::VectorOut;

// A cart of 1 kg on a line, pushed by a force; 0.1 s a step.
struct Cart final : kedge::System {
  Eigen::Vector2d x = Eigen::Vector2d::Zero();  // position [m], velocity [m/s]
  Index nx() const override { return 2; }
  Index nu() const override { return 1; }
  Index nsensor() const override { return 0; }
  std::unique_ptr<kedge::System> clone() const override { return std::make_unique<Cart>(*this); }
  void reset(VectorIn start) override { x = start; }
  bool step(VectorIn u) override {
    x[0] += 0.1 * x[1];
    x[1] += 0.1 * u[0];
    return x.allFinite();
  }
  void settle() override {}
  void state(VectorOut out) const override { out = x; }
  void sensors(VectorOut) const override {}
};

kedge::CostTerm squared(const char* name, kedge::Source source, std::vector<Index> index, Eigen::VectorXd weight,
                        int T) {
  kedge::CostTerm term;
  term.name = name;
  term.residual.source = source;
  term.residual.target = Eigen::VectorXd::Zero(weight.size());
  term.residual.needs_action = source == kedge::Source::action;
  term.residual.index = std::move(index);
  term.weight = std::move(weight);
  term.active.assign(static_cast<std::size_t>(T) + 1, 1);
  if (term.residual.needs_action) term.active.back() = 0;
  return term;
}

kedge::Task drive_to_the_origin() {
  kedge::Task task;
  task.name = "cart";
  task.summary = "a cart is driven to the origin";
  task.system = std::make_shared<Cart>();
  task.horizon = 20;
  task.control_step = 0.1;
  task.observation = {0, 1};
  task.observation_names = {"position", "velocity"};
  task.control_index = {0};
  task.action_names = {"force"};
  task.action_low = Eigen::VectorXd::Constant(1, -20.0);
  task.action_high = Eigen::VectorXd::Constant(1, 20.0);
  task.start.mean = Eigen::Vector2d(1.0, 0.0);
  task.start.spread = Eigen::Vector2d(0.05, 0.05);
  task.cost = {squared("distance", kedge::Source::state, {0, 1}, Eigen::Vector2d(1.0, 0.1), task.horizon),
               squared("effort", kedge::Source::action, {0}, Eigen::VectorXd::Constant(1, 0.01), task.horizon)};
  return task;
}

}  // namespace

int main() {
  // Gaussians out of the library, by value.
  const auto wide = kedge::make_gaussian(Eigen::VectorXd::Ones(7), 2.0 * Eigen::MatrixXd::Identity(7, 7));
  const auto narrow = kedge::make_gaussian(Eigen::VectorXd::Ones(7), Eigen::MatrixXd::Identity(7, 7));
  const double divergence = kedge::kl(*narrow, *wide), expected = 3.5 * (std::log(2.0) - 0.5);
  if (!(std::abs(divergence - expected) < 1e-12)) {
    std::cerr << "KL is " << divergence << ", but should be " << expected << '\n';
    return 1;
  }

  // Learning, with a task that lives here and threads of the library that call back into it.
  const kedge::Task task = drive_to_the_origin();
  kedge::MotoOptions options;
  options.iterations = 30;
  options.epsilon = 0.2;
  options.initial_std = 3.0;
  kedge::Run run;
  run.seed = 1;
  run.threads = 2;
  double first = 0.0, last = 0.0;
  const auto observe = [&](const kedge::Iteration& iteration, const kedge::MotoState& state,
                           const kedge::UpdateRecord*) {
    if (iteration.number == 0) first = state.last_return_mean;
    last = state.last_return_mean;
  };
  const kedge::MotoResult result = kedge::moto(task, kedge::moto_start(task, options), options, run, observe);
  std::cout << result.message << ": mean return " << first << " -> " << last << '\n';
  if (result.stop != kedge::Stop::max_iterations || !(last > first / 2)) return 1;

  if (!std::filesystem::is_directory(KEDGE_TASKS_DIR)) {
    std::cerr << "no bundled tasks in " KEDGE_TASKS_DIR "\n";
    return 1;
  }
}
