// The trajectory optimiser of guided policy search under unknown dynamics [LevineAbbeel2014, Sec. 3]. Symbols, equations,
// deviations and advice: docs/algorithms/gps.md.
#pragma once

#include "kedge/algorithms/training.h"

namespace kedge {

struct GpsOptions {
  int iterations = 60;   ///< outer iterations, >= 0 (0: nothing is learned)
  int rollouts = 20;     ///< M, trajectories per iteration, >= 2
  double epsilon = 0.1;  ///< step size, nats per time step, > 0: the trajectory may move by T epsilon (Sec. 3.1)
  bool entropy_constraint = true;  ///< keep MOTO's entropy bound; false: the algorithm of the paper
  double beta0 = 0.1;              ///< the entropy of a time step falls by at most this per iteration, nats, >= 0
  double initial_std = 5.0;        ///< standard deviation of every action entry at the start, units of the action, > 0

  enum class Kl { trajectory, step };
  Kl kl = Kl::trajectory;  ///< one bound on the sum over the trajectory (Sec. 3.1), or one for every step

  enum class Prior { none, gmm };
  Prior prior = Prior::none;    ///< of the dynamics: a mixture of Gaussians over stored transitions (Sec. 3.2)
  int clusters = 20;            ///< components of the mixture, >= 1
  double prior_strength = 1.0;  ///< samples of a step that the prior is worth, > 0
  int window = 3;               ///< iterations whose transitions the mixture is fitted to, this one included, >= 1
  double ridge = 1e-6;          ///< of the fitted dynamics, share of the variance of every input, >= 0

  bool adapt_step = false;  ///< scale epsilon by predicted against realised improvement (supplement)

  bool record_updates = false;  ///< hand every update's inputs and outputs to the observer

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// The state before the first iteration: see training_start.
/// @throws InputError
TrainingState gps_start(const Task& task, const GpsOptions& options);

/// The factor by which the step size changes [LevineAbbeel2014, supplement]: with an improvement of predicted = a eps and an
/// error of the prediction predicted - realised = b eps^2, the best step is eps times predicted / (2 (predicted - realised)).
/// @param predicted, realised improvements of the last update (falls of the expected cost)
/// @return in [0.1, 5]; 1 if nothing was predicted
double step_factor(double predicted, double realised);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together, or a cost is not a function of observation and
///         action (see require_expandable). Numerical failure is a result, not an exception.
[[nodiscard]] TrainingResult gps(const Task& task, TrainingState state, const GpsOptions& options, const Run& run,
                                 const TrainingObserver& observe = {});

}  // namespace kedge
