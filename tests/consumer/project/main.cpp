// Uses an installed kedge: a system of our own, MOTO on it, and Eigen types by value in both directions across the
// boundary between code that was compiled for this machine (the library) and code that was not (this file).
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

kedge::Task drive_to_the_origin() {
  constexpr int T = 20;
  kedge::CostTerm distance{.name = "distance",
                           .residual = {.source = kedge::Source::state, .index = {0, 1}, .target = Eigen::Vector2d::Zero()},
                           .weight = Eigen::Vector2d(1.0, 0.1),
                           .active = std::vector<char>(T + 1, 1)};
  kedge::CostTerm effort{.name = "effort",
                         .residual = {.source = kedge::Source::action,
                                      .index = {0},
                                      .target = Eigen::VectorXd::Zero(1),
                                      .needs_action = true},
                         .weight = Eigen::VectorXd::Constant(1, 0.01),
                         .active = std::vector<char>(T + 1, 1)};
  effort.active[T] = 0;
  return {.name = "cart",
          .summary = "a cart is driven to the origin",
          .system = std::make_shared<Cart>(),
          .horizon = T,
          .control_step = 0.1,
          .observation = {0, 1},
          .observation_names = {"position", "velocity"},
          .control_index = {0},
          .action_names = {"force"},
          .action_low = Eigen::VectorXd::Constant(1, -20.0),
          .action_high = Eigen::VectorXd::Constant(1, 20.0),
          .start = {.mean = Eigen::Vector2d(1.0, 0.0), .spread = Eigen::Vector2d(0.05, 0.05)},
          .cost = {distance, effort}};
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
  const kedge::MotoOptions options{.iterations = 30, .rollouts = 20, .epsilon = 0.2, .initial_std = 3.0};
  const kedge::Run run{.seed = 1, .threads = 2};
  double first = 0.0, last = 0.0;
  const auto observe = [&](const kedge::Iteration& iteration, const kedge::MotoState& state, const kedge::MotoRecord*) {
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
