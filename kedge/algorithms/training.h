// What the training loops have in common: what they carry from iteration to iteration, what they hand to whoever watches,
// how they end.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "kedge/core/run.h"
#include "kedge/core/types.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/any_policy.h"
#include "kedge/system/task.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

/// A matrix that an algorithm carries from one iteration to the next: a trajectory, parameters, stored samples.
struct NamedMatrix {
  std::string name;
  MatrixXd value;
};

/// All that an algorithm carries from one iteration to the next: continuing from a saved state gives the same numbers as
/// never having stopped.
struct TrainingState {
  int iteration = 0;  ///< iterations completed
  std::int64_t rollouts_total = 0;
  std::int64_t steps_total = 0;       ///< control steps simulated
  AnyPolicy policy;                   ///< last accepted policy
  std::deque<Epoch> window;           ///< the last iterations, as many as the algorithm keeps, oldest first
  double last_return_mean = 0.0;      ///< of the last completed iteration (for the realised improvement)
  std::vector<Metric> numbers;        ///< the algorithm's own, in its order; finite
  std::vector<NamedMatrix> matrices;  ///< the algorithm's own, in its order; finite
};

/// Inputs and outputs of the updates of one iteration, for `--record-updates`.
struct UpdateRecord {
  TvLinearGaussian old_policy, new_policy;
  std::vector<Gaussian> rho;          ///< [T] the states under which the KL is taken; L may be empty
  std::vector<ActionQuadratic> q;     ///< [T] raw coordinates, return, maximised
  std::vector<GaussianStep> updates;  ///< [T]
  double epsilon = 0.0;               ///< bound on the KL, nats per step
};

struct TrainingResult {
  Stop stop = Stop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  TrainingState state;  ///< `state.policy` is the last accepted policy, usable for every `stop`
};

/// Called after each completed iteration, on the calling thread. `record` is null unless updates are to be recorded.
using TrainingObserver = std::function<void(const Iteration&, const TrainingState&, const UpdateRecord* record)>;

/// The state before the first iteration: K = 0, k = middle of the action limits (0 where infinite), Sigma = initial_std^2 I.
/// @throws InputError if the task is not valid
TrainingState training_start(const Task& task, double initial_std);

/// For algorithms that learn a time-varying linear-Gaussian policy.
/// @throws InputError if policy or stored rollouts do not fit the task, or `numbers` are not those that the algorithm names
void require_fit(const Task& task, const TrainingState& state, const std::vector<std::string>& numbers);

/// The time-varying policy of a state whose algorithm learns one.
inline const TvLinearGaussian& time_varying(const TrainingState& state) {
  return std::get<TvLinearGaussian>(state.policy);
}

/// The matrix of this name. @throws InputError if the state has none: it belongs to another algorithm
const MatrixXd& matrix(const TrainingState& state, const std::string& name);

/// Wall time by phase.
class PhaseClock {
 public:
  void lap(const char* phase) {
    const auto now = std::chrono::steady_clock::now();
    seconds.emplace_back(phase, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }
  std::vector<Metric> seconds;

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace kedge
