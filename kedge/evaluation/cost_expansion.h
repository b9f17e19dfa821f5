// Quadratic models of the declared costs of a task in observations and actions, as linear-quadratic updates need them.
#pragma once

#include <vector>

#include "kedge/core/batch.h"
#include "kedge/math/lq.h"
#include "kedge/system/task.h"

namespace kedge {

/// Checks that every cost is a function of observation and action.
/// @throws InputError naming the first cost term that reads sensors or a state entry that is not observed
void require_expandable(const Task& task);

/// Returns the cost of step t as q(z) = c + g'z + z'H z / 2 with H >= 0, minimised: z = [s; a] for t < T, z = s for t = T.
/// Residuals are linear in z, so that only the norm is approximated:
///   quadratic  exact everywhere
///   smooth     value, gradient and Hessian at the mean
///   absolute   expected value, gradient and Hessian under the Gaussian of these moments, since the kink itself has no
///              second derivative; |r| with its sign and no curvature where r does not vary
/// A control beyond its limits does not move with its action: derivative 0.
/// @param z mean and covariance of z at this step
Quadratic cost_expansion(const Task& task, int t, const Moments& z);

/// Returns the costs of all steps around the moments of the usable rollouts of a batch, that of the final state included.
/// @param threads changes no result  @return [T + 1]
std::vector<Quadratic> cost_expansions(const Task& task, const Batch& batch, int threads);

/// A norm around r as value + slope d + curvature d^2 / 2, d the distance from r.
struct NormExpansion {
  double value, slope, curvature;
};
/// Expands the norm of a cost term. @param variance of r, >= 0; only read for the absolute value
NormExpansion expand_norm(const CostTerm& term, double r, double variance);

}  // namespace kedge
