// Quadratic models of the declared costs of a task in observations and actions, as linear-quadratic updates need them.
#pragma once

#include <span>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/core/outcome.h"
#include "kedge/math/lq.h"
#include "kedge/system/task.h"

namespace kedge {

/// True if a cost reads sensors, or a state entry that is not observed: then `cost_expansion` needs a model of them.
bool reads_unobserved(const Task& task);

/// Checks that every cost is a function of observation and action, for algorithms that know no state but the observed one.
/// Sensors that do not depend on forces are such functions where the whole state is observed.
/// @throws InputError naming the first cost term that reads another sensor, or a state entry that is not observed
void require_expandable(const Task& task);

/// Fits quantities to the usable rollouts of a batch as linear functions of z, step by step, as the dynamics are.
/// @param values [rows, columns of batch.state]  @param ridge share of the variance of every input  @param threads changes no result
/// @return [T + 1] models; a failure where inputs are linearly dependent
Outcome<std::vector<LinearDynamics>> fit_unobserved(const Task& task, const Batch& batch, MatrixIn values, double ridge,
                                                    int threads);

/// Returns the cost of step t as q(z) = c + g'z + z'H z / 2 with H >= 0, minimised: z = [s; a] for t < T, z = s for t = T.
/// Residuals of observations and actions are linear in z, so that only the norm is approximated:
///   quadratic  exact everywhere
///   smooth     value, gradient and Hessian at the mean
///   absolute   expected value, gradient and Hessian under the Gaussian of these moments, since the kink itself has no
///              second derivative; |r| with its sign and no curvature where r does not vary
///   bounded    value and gradient at the mean; the curvature gradient / r, which is never negative
///   distance   value, gradient and Hessian at the mean, width^2 increased by the variance of the entries
/// A control beyond its limits does not move with its action: derivative 0.
/// Sensors and state entries that are not observed are taken as linear in z, by a fitted model: Gauss-Newton.
/// @param z mean and covariance of z at this step
/// @param unobserved  of [sensors; state] as functions of z, [ny + nx, n]; null where `reads_unobserved` is false
Quadratic cost_expansion(const Task& task, int t, const Moments& z, const LinearDynamics* unobserved = nullptr);

/// Returns the costs of all steps around the moments of the usable rollouts of a batch, that of the final state included.
/// @param threads changes no result
/// @param unobserved [T + 1] as above for each step; empty where `reads_unobserved` is false
/// @return [T + 1]
std::vector<Quadratic> cost_expansions(const Task& task, const Batch& batch, int threads,
                                       std::span<const LinearDynamics> unobserved = {});

/// A norm around r as value + slope d + curvature d^2 / 2, d the distance from r.
struct NormExpansion {
  double value, slope, curvature;
};
/// Expands the norm of a cost term. @param variance of r, >= 0; only read for the absolute value
NormExpansion expand_norm(const CostTerm& term, double r, double variance);

/// The norm of all entries together (Norm::distance) around r: value + slope'd + d'curvature d / 2, d the distance from r.
struct DistanceExpansion {
  double value;
  VectorXd slope;      ///< [n]
  MatrixXd curvature;  ///< [n, n] positive semidefinite; 0 where r, width and variance are 0
};
/// @param variance  sum_j weight_j var(r_j), >= 0: added to width^2
DistanceExpansion expand_distance(const CostTerm& term, const VectorXd& r, double variance);

}  // namespace kedge
