// GPS's report of an iteration: the numbers by which a user judges it, and warnings in plain words.
#pragma once

#include "kedge/algorithms/gps.h"
#include "kedge/evaluation/linear_dynamics.h"
#include "kedge/update/kl_lqr.h"

namespace kedge {

/// Returns the metrics and warnings of the iteration whose data is `epoch`; docs/algorithms/gps.md explains every column.
/// @param step_size epsilon in effect  @param components of the mixture, 0 without prior
/// @param before state of the loop before this iteration
Iteration gps_report(const Task& task, const Epoch& epoch, const DynamicsFit& fit, const KlLqrUpdate& update,
                     double step_size, Index components, const GpsState& before);

}  // namespace kedge
