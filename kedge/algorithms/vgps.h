// Variational guided policy search [LevineKoltun2013, Algorithm 1]. Symbols, equations, deviations and advice:
// docs/algorithms/vgps.md.
#pragma once

#include "kedge/algorithms/network_training.h"

namespace kedge {

struct VgpsOptions : GuidedOptions {
  int conditions = 1;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, VgpsOptions>
void describe(O& o, Visit&& visit) {
  describe_guided(o, visit);
  visit("conditions", o.conditions, at_least(1),
        {"initial states, each with a guide of its own, for one policy", "", "Sec. 8"});
}

struct VgpsState : LoopState {
  MlpGaussian policy;
  std::vector<Guide> guides;  ///< one for each condition, without marginals; none before the first iteration
  double initial_cost = 0.0;  ///< mean over conditions of the first guides, before any policy: the DDP line of Fig. 1
  double guide_cost = 0.0;    ///< mean over conditions of the present guides
};

template <class S, class Visit>
requires IsOptions<S, VgpsState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("guides", s.guides);
  visit("initial_cost", s.initial_cost);
  visit("guide_cost", s.guide_cost);
}

using VgpsResult = LoopResult<VgpsState>;
using VgpsObserver = LoopObserver<VgpsState>;

/// Returns the state before the first iteration: no guide yet, a network that does nothing.
/// @throws InputError
VgpsState vgps_start(const Task& task, const VgpsOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] VgpsResult vgps(const Task& task, VgpsState state, const VgpsOptions& options, const Run& run,
                              const VgpsObserver& observe = {});

}  // namespace kedge
