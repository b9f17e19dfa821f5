// Variational guided policy search [LevineKoltun2013, Algorithm 1]. Symbols, equations, deviations and advice:
// docs/algorithms/vgps.md.
#pragma once

#include "kedge/algorithms/guided.h"

namespace kedge {

struct VgpsOptions : GuidedOptions {
  int conditions = 1;  ///< initial states, each with a guide of its own, for one policy, >= 1 (Sec. 8)

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// The state before the first iteration: no guide yet, a network that does nothing.
/// @throws InputError
TrainingState vgps_start(const Task& task, const VgpsOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] TrainingResult vgps(const Task& task, TrainingState state, const VgpsOptions& options, const Run& run,
                                  const TrainingObserver& observe = {});

}  // namespace kedge
