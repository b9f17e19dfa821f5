// Cost-weighted policy search, the analogue of PoWER that VGPS is compared with [LevineKoltun2013, Sec. 6]: the variational
// distribution is made of rollouts of the policy, weighted by the exponential of their cost. docs/algorithms/cost_weighted.md.
#pragma once

#include "kedge/algorithms/guided.h"

namespace kedge {

struct CostWeightedOptions : GuidedOptions {
  /// @throws InputError naming option, value and rule.
  void validate() const { GuidedOptions::validate(); }
};

/// The state before the first iteration. @throws InputError
TrainingState cost_weighted_start(const Task& task, const CostWeightedOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] TrainingResult cost_weighted(const Task& task, TrainingState state, const CostWeightedOptions& options,
                                           const Run& run, const TrainingObserver& observe = {});

}  // namespace kedge
