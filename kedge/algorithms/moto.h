// MOTO: model-free trajectory-based policy optimisation [Akrour2018, Algorithm 1]. Symbols, equations, deviations and
// advice: docs/algorithms/moto.md.
#pragma once

#include "kedge/algorithms/training.h"
#include "kedge/evaluation/importance_weights.h"

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
      1e-3;  ///< the lightest samples that hold at most this share of the weight are left out, in [0, 0.1]

  enum class StateDistribution { mixture, forward };
  StateDistribution state_distribution = StateDistribution::mixture;  ///< Sec. 4.3.2 or 4.3.1
  double gamma = 0.7;  ///< decay of the weight of past iterations in the mixture, in [0, 1] (Sec. 4.3.2)

  bool record_updates = false;  ///< hand every update's inputs and outputs to the observer

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

using MotoState = TrainingState;  ///< `numbers` is empty
using MotoRecord = UpdateRecord;
using MotoResult = TrainingResult;
using MotoObserver = TrainingObserver;

/// See training_start. @throws InputError
MotoState moto_start(const Task& task, const MotoOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] MotoResult moto(const Task& task, MotoState state, const MotoOptions& options, const Run& run,
                              const MotoObserver& observe = {});

}  // namespace kedge
