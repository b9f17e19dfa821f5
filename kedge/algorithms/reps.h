// REPS: relative entropy policy search over the parameters of a controller, plain [Peters2010] or contextual [Kupcsik2013].
// docs/algorithms/reps.md.
#pragma once

#include "kedge/algorithms/episodic.h"

namespace kedge {

/// `describe` below says what each option means and may be.
struct RepsOptions : EpisodicOptions {
  double epsilon = 0.7;
  double search_epsilon = 0.7;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, RepsOptions>
void describe(O& o, Visit&& visit) {
  describe_episodic(o, visit);
  visit("epsilon", o.epsilon, above(0),
        {"step size: KL of the samples' new weights from those that they came with", "nats", "epsilon"});
  visit("search_epsilon", o.search_epsilon, above(0),
        {"bound on the KL of the new search distribution from the old one; the distribution that is fitted to the "
         "weighted samples moves much further than their weights",
         "nats"});
}

struct RepsState : EpisodicState {};

template <class S, class Visit>
requires IsOptions<S, RepsState>
void describe(S& s, Visit&& visit) { describe_episodic_state(s, visit); }

using RepsResult = LoopResult<RepsState>;
using RepsObserver = LoopObserver<RepsState>;

/// Returns the state before the first iteration. @throws InputError if the task lacks what controller or context need
RepsState reps_start(const Task& task, const RepsOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] RepsResult reps(const Task& task, RepsState state, const RepsOptions& options, const Run& run,
                              const RepsObserver& observe = {});

}  // namespace kedge
