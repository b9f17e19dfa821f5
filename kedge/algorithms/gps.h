// The trajectory optimiser of guided policy search under unknown dynamics [LevineAbbeel2014, Sec. 3]. Symbols, equations,
// deviations and advice: docs/algorithms/gps.md.
#pragma once

#include "kedge/algorithms/exploration.h"
#include "kedge/algorithms/loop.h"
#include "kedge/algorithms/update_record.h"
#include "kedge/core/option.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// `describe` below gives the meaning and the range of each option.
struct GpsOptions {
  enum class Kl { trajectory, step };
  enum class Prior { none, gmm };

  int iterations = 60;
  int rollouts = 0;
  double epsilon = 0.1;
  bool entropy_constraint = true;
  double beta0 = 0.1;
  ActionNumbers initial_std = default_exploration();
  Kl kl = Kl::trajectory;
  Prior prior = Prior::gmm;
  int clusters = 20;
  double prior_strength = 1.0;
  int window = 3;
  double ridge = 1e-6;
  bool adapt_step = false;

  /// @throws InputError naming option, value and rule
  void validate() const;
};

template <class O, class Visit>
requires IsOptions<O, GpsOptions>
void describe(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned"});
  visit("rollouts", o.rollouts, at_least(0),
        {"trajectories per iteration, at least 2; 0: 20, or a fifth more than the fitted dynamics have coefficients, "
         "ds + "
         "da + 1, whatever is more"});
  visit("epsilon", o.epsilon, above(0),
        {"step size per time step: the new policy stays within this expected KL of the old one, on average over the "
         "trajectory or at every step",
         "nats", "Sec. 3.1"});
  visit("entropy_constraint", o.entropy_constraint, TrueOrFalse{},
        {"keep MOTO's bound on the loss of entropy; false is the algorithm of the paper"});
  visit("beta0", o.beta0, at_least(0), {"the entropy of a time step falls by at most this per iteration", "nats"});
  visit("initial_std", o.initial_std, above(0), kInitialStdText);
  visit("kl", o.kl, Choices{"trajectory", "step"},
        {"bounded quantity: the sum of the KL over the trajectory, divided by its length, or the KL of every step", "",
         "Sec. 3.1"});
  visit("prior", o.prior, Choices{"none", "gmm"},
        {"prior of the fitted dynamics: none, or a mixture of Gaussians over stored transitions", "", "Sec. 3.2"});
  visit("clusters", o.clusters, at_least(1), {"components of the mixture, at most"});
  visit("prior_strength", o.prior_strength, above(0),
        {"samples of a time step that the prior is worth", "", "Sec. 3.2"});
  visit("window", o.window, at_least(1),
        {"iterations whose transitions the mixture is fitted to, the present one included"});
  visit("ridge", o.ridge, at_least(0), {"ridge of the fitted dynamics, share of the variance of every input"});
  visit("adapt_step", o.adapt_step, TrueOrFalse{},
        {"scale epsilon by predicted against realised improvement", "", "supplement"});
}

struct GpsState : LoopState {
  TvLinearGaussian policy;
  Window window;                ///< iterations whose transitions the prior is fitted to; the last one without a prior
  double step = 1.0;            ///< step size in units of epsilon
  double cost_before = 0.0;     ///< expected cost before the last update, under its model
  double cost_predicted = 0.0;  ///< expected cost after the last update, under its model
};

template <class S, class Visit>
requires IsOptions<S, GpsState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("window", s.window);
  visit("step", s.step);
  visit("cost_before", s.cost_before);
  visit("cost_predicted", s.cost_predicted);
}

/// Returns the number of trajectories of an iteration. @throws InputError if it is 1
int rollouts_of(const Task& task, const GpsOptions& options);

using GpsResult = LoopResult<GpsState>;
using GpsObserver = LoopObserver<GpsState>;

/// Returns the state before the first iteration: see `first_policy`.
/// @throws InputError
GpsState gps_start(const Task& task, const GpsOptions& options);
/// Returns the same with the mean actions of another policy, K and k of every step.
/// @throws InputError as above, or if `from` has another horizon or other sizes than the task
GpsState gps_start_from(const Task& task, const GpsOptions& options, const TvLinearGaussian& from);

/// Returns the factor by which the step size changes [LevineAbbeel2014, supplement]. If the predicted improvement is
/// a eps and the error of the prediction is predicted - realised = b eps^2, the best step is eps times
/// predicted / (2 (predicted - realised)).
/// @param predicted, realised improvements of the last update (falls of the expected cost)
/// @return in [0.1, 5]; 1 if nothing was predicted
double step_factor(double predicted, double realised);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] GpsResult gps(const Task& task, GpsState state, const GpsOptions& options, const Run& run,
                            const GpsObserver& observe = {});

}  // namespace kedge
