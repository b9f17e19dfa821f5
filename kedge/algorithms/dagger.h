// DAGGER with the DDP solution as the oracle, as VGPS is compared with [LevineKoltun2013, Sec. 6; Ross2011]: plain, weighted
// by the marginals of the DDP solution, and with the DDP solution adapted to the policy. docs/algorithms/dagger.md.
#pragma once

#include "kedge/algorithms/guided.h"

namespace kedge {

struct DaggerOptions : GuidedOptions {
  bool weighted = false;  ///< weigh a state by its density under the guide's marginal, relative to the largest (Sec. 6)
  bool adapt = false;     ///< optimise the guide again in each iteration, on alpha c - log pi_theta (Sec. 6)
  int thin = 1;           ///< every thin-th step of a rollout enters the data set, >= 1

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// The state before the first iteration. @throws InputError
TrainingState dagger_start(const Task& task, const DaggerOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] TrainingResult dagger(const Task& task, TrainingState state, const DaggerOptions& options, const Run& run,
                                    const TrainingObserver& observe = {});

}  // namespace kedge
