// What MOTO reports of an iteration: the numbers by which a user judges it, and warnings in plain words.
#pragma once

#include <vector>

#include "kedge/algorithms/moto.h"
#include "kedge/evaluation/quadratic_fit.h"

namespace kedge {

/// Of the regression at one step.
struct StepDiagnostics {
  double effective_samples = 0.0;
  double samples_used = 0.0;
  double weight_left_out = 0.0;
  double r2 = 0.0;
};

/// Metrics and warnings of the iteration whose data is `epoch`; docs/algorithms/moto.md explains every column.
/// @param fits, updates, steps [T]  @param before state of the loop before this iteration
Iteration moto_report(const Task& task, const Epoch& epoch, const std::vector<QuadraticFit>& fits,
                      const std::vector<GaussianStep>& updates, const std::vector<StepDiagnostics>& steps,
                      const MotoState& before, int threads);

}  // namespace kedge
