// MOTO's report of an iteration: the numbers by which a user judges it, and warnings in plain words.
#pragma once

#include <vector>

#include "kedge/algorithms/moto.h"
#include "kedge/evaluation/backward_fit.h"
#include "kedge/evaluation/step_diagnostics.h"

namespace kedge {

/// Returns the metrics and warnings of the iteration whose data is `epoch`; docs/algorithms/moto.md explains every column.
/// @param updates [T]  @param before state of the loop before this iteration
Iteration moto_report(const Task& task, const Epoch& epoch, const BackwardFit& model,
                      const std::vector<GaussianStep>& updates, const StepDiagnostics& diagnostics,
                      const MotoState& before);

}  // namespace kedge
