// Cost-weighted policy search, the analogue of PoWER that VGPS is compared with [LevineKoltun2013, Sec. 6]: the
// variational distribution is made of rollouts of the policy, weighted by the exponential of their cost.
// docs/algorithms/cost_weighted.md.
#pragma once

#include "kedge/algorithms/network_training.h"

namespace kedge {

struct CostWeightedOptions : GuidedOptions {
  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, CostWeightedOptions>
void describe(O& o, Visit&& visit) { describe_guided(o, visit); }

struct CostWeightedState : LoopState {
  MlpGaussian policy;
  double initial_cost = 0.0;  ///< cost of the DDP solution that the first network was trained on
};

template <class S, class Visit>
requires IsOptions<S, CostWeightedState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("initial_cost", s.initial_cost);
}

using CostWeightedResult = LoopResult<CostWeightedState>;
using CostWeightedObserver = LoopObserver<CostWeightedState>;

/// Returns the state before the first iteration. @throws InputError
CostWeightedState cost_weighted_start(const Task& task, const CostWeightedOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] CostWeightedResult cost_weighted(const Task& task, CostWeightedState state,
                                               const CostWeightedOptions& options, const Run& run,
                                               const CostWeightedObserver& observe = {});

}  // namespace kedge
