// MORE: model-based relative entropy stochastic search over the parameters of a controller [Abdolmaleki2015], plain or
// contextual. Its update is that of MOTO, gaussian_step.h, for parameters and contexts instead of actions and states.
// docs/algorithms/more.md.
#pragma once

#include "kedge/algorithms/episodic.h"

namespace kedge {

/// `describe` below says what each option means and may be.
struct MoreOptions : EpisodicOptions {
  enum class Surrogate { ridge, projections };
  enum class Schedule { linear, exponential };

  double epsilon = 1.0;
  Schedule schedule = Schedule::linear;
  double beta0 = 0.5;
  double gamma = 0.99;
  double least_std = 1e-3;
  Surrogate surrogate = Surrogate::ridge;
  double ridge = 0.05;
  int projections = 200;
  int projected = 7;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, MoreOptions>
void describe(O& o, Visit&& visit) {
  describe_episodic(o, visit);
  visit("epsilon", o.epsilon, above(0),
        {"step size: bound on the KL of the new search distribution from the old one", "nats", "epsilon"});
  visit("schedule", o.schedule, Choices{"linear", "exponential"},
        {"how the entropy may fall: by beta0 in each iteration, or by the share 1 - gamma of what is left; in both "
         "cases to that of least_std",
         "", "Sec. 3.3"});
  visit("beta0", o.beta0, at_least(0), {"the entropy falls by at most this per iteration (schedule = linear)", "nats"});
  visit(
      "gamma", o.gamma, between(0, 1),
      {"share of its distance from the least entropy that the entropy keeps in each iteration (schedule = exponential)",
       "", "gamma"});
  visit("least_std", o.least_std, above(0),
        {"the entropy does not fall below that of a distribution so much narrower than the first in every direction",
         "", "H_0"});
  visit("surrogate", o.surrogate, Choices{"ridge", "projections"},
        {"quadratic model of the return: ridge regression on all parameters, or the Bayesian average over random "
         "projections",
         "", "Sec. 4"});
  visit("ridge", o.ridge, above(0), {"ridge of the regression, on whitened features and standardised returns"});
  visit("projections", o.projections, between(1, 100000),
        {"random projections that are averaged (surrogate = projections)"});
  visit("projected", o.projected, between(1, 100), {"dimensions of a projection (surrogate = projections)"});
}

struct MoreState : EpisodicState {
  double first_entropy = 0.0;  ///< of the first search distribution, from which least_std counts, nats
};

template <class S, class Visit>
requires IsOptions<S, MoreState>
void describe(S& s, Visit&& visit) {
  describe_episodic_state(s, visit);
  visit("first_entropy", s.first_entropy);
}

using MoreResult = LoopResult<MoreState>;
using MoreObserver = LoopObserver<MoreState>;

/// Returns the state before the first iteration. @throws InputError if the task lacks what controller or context need
MoreState more_start(const Task& task, const MoreOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] MoreResult more(const Task& task, MoreState state, const MoreOptions& options, const Run& run,
                              const MoreObserver& observe = {});

}  // namespace kedge
