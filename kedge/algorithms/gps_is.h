// Guided policy search by importance sampling [LevineKoltun2013b: Guided Policy Search, ICML 2013], and its adaptive form, as
// VGPS is compared with [LevineKoltun2013, Sec. 6]. docs/algorithms/gps_is.md.
#pragma once

#include "kedge/algorithms/guided.h"

namespace kedge {

struct GpsIsOptions : GuidedOptions {
  bool adapt = false;          ///< optimise the guide again in each iteration, and add samples of it
  int guide_rollouts = 40;     ///< of the DDP solution, >= 1
  int window = 10;             ///< iterations whose rollouts are kept, beside the guide's, >= 1
  double regulariser = 1e-2;   ///< w_r at the start and at most, in the unit alpha c; it may fall to 1e-4 of this; >= 0
  double least_effective = 1;  ///< effective samples of a step below which an update is refused, >= 1

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// The state before the first iteration. @throws InputError
TrainingState gps_is_start(const Task& task, const GpsIsOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] TrainingResult gps_is(const Task& task, TrainingState state, const GpsIsOptions& options, const Run& run,
                                    const TrainingObserver& observe = {});

}  // namespace kedge
