// MOTO: model-free trajectory-based policy optimisation [Akrour2018, Algorithm 1]. Symbols, equations, deviations and
// advice: docs/algorithms/moto.md.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "kedge/core/run.h"
#include "kedge/core/types.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/evaluation/importance_weights.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"
#include "kedge/update/moto_update.h"

namespace kedge {

struct MotoOptions {
  int iterations = 120;   ///< N, outer iterations, >= 0 (0: nothing is learned)
  int rollouts = 20;      ///< M, trajectories per iteration, >= 2
  double epsilon = 0.05;  ///< step size: E KL(new || old) <= epsilon at every time step, nats, > 0 (Eq. 2)
  double beta0 = 0.05;    ///< the entropy of a time step falls by at most this per iteration, nats, >= 0 (Eq. 3)
  bool entropy_constraint = true;  ///< false: no Eq. 3 (the ablation of Fig. 1c)
  double initial_std = 5.0;        ///< standard deviation of every action entry at the start, units of the action, > 0
  double ridge = 1e-3;             ///< lambda of Eq. 6, on whitened features and standardised targets, > 0

  enum class Targets { dynamic_programming, monte_carlo };
  Targets targets = Targets::dynamic_programming;  ///< Sec. 4.1.2 or 4.1.1

  Reuse reuse = Reuse::time_and_iterations;  ///< samples of which steps and iterations enter a regression (Sec. 4.2)
  int window = 5;  ///< K, iterations whose samples are kept, this one included, >= 1 (Sec. 4.2.2)
  double weight_cutoff =
      1e-4;  ///< the lightest samples that hold at most this share of the weight are left out, in [0, 0.1]

  enum class StateDistribution { mixture, forward };
  StateDistribution state_distribution = StateDistribution::mixture;  ///< Sec. 4.3.2 or 4.3.1
  double gamma = 0.7;  ///< decay of the weight of past iterations in the mixture, in [0, 1] (Sec. 4.3.2)

  bool record_updates = false;  ///< hand every update's inputs and outputs to the observer

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// All that MOTO carries from one iteration to the next: continuing from a saved state gives the same numbers as never
/// having stopped.
struct MotoState {
  int iteration = 0;  ///< iterations completed
  std::int64_t rollouts_total = 0;
  std::int64_t steps_total = 0;   ///< control steps simulated
  TvLinearGaussian policy;        ///< last accepted policy
  std::deque<Epoch> window;       ///< the last K iterations, oldest first
  double last_return_mean = 0.0;  ///< of the last completed iteration (for the realised improvement)
};

/// Inputs and outputs of the updates of one iteration, for `--record-updates`.
struct MotoRecord {
  TvLinearGaussian old_policy, new_policy;
  std::vector<Gaussian> rho;        ///< [T]
  std::vector<ActionQuadratic> q;   ///< [T] raw coordinates, return, maximised
  std::vector<MotoUpdate> updates;  ///< [T]
  double epsilon = 0.0;
};

struct MotoResult {
  Stop stop = Stop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  MotoState state;      ///< `state.policy` is the last accepted policy, usable for every `stop`
};

/// Called after each completed iteration, on the calling thread. `record` is null unless options.record_updates.
using MotoObserver = std::function<void(const Iteration&, const MotoState&, const MotoRecord* record)>;

/// The initial state: K = 0, k = middle of the action limits (0 where infinite), Sigma = initial_std^2 I.
MotoState moto_start(const Task& task, const MotoOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] MotoResult moto(const Task& task, MotoState state, const MotoOptions& options, const Run& run,
                              const MotoObserver& observe = {});

}  // namespace kedge
