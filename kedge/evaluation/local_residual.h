// Corrects a model of the dynamics around the present trajectory: at every step, Gaussian-process regression of the model's
// residuals on the newest rollouts (docs/algorithms/reckon.md).
#pragma once

#include <vector>

#include "kedge/evaluation/dynamics_ensemble.h"

namespace kedge {

/// k(x, x') = exp(-|x - x'|^2 / (2 length^2)) over scaled inputs; noise is added on the diagonal.
struct ResidualKernel {
  double length = 1.0;
  double noise = 1e-2;
};

/// The samples of one step, and what they add to each member of the ensemble: R_e' (K + noise I)^-1 k(X, x), in units of
/// change_scale.
struct LocalResidual {
  MatrixXd x;                          ///< [ds + da, n] scaled inputs
  std::vector<MatrixXd> coefficients;  ///< of each member [ds, n]
  MatrixXd mean_coefficients;          ///< [ds, n]
};

struct LocalResiduals {
  ResidualKernel kernel;
  double error = 0.0;                ///< root of the mean squared leave-one-out error, units of change_scale
  std::vector<LocalResidual> steps;  ///< [T]
};

/// Fits the residuals of every step to the transitions of the steps t-1, t and t+1 of some stored iterations. Of a grid of
/// kernels the one with the least leave-one-out error of the mean model is taken, pooled over every eighth step.
/// @param iterations their places in `data.layout`, not empty  @param threads changes no result
LocalResiduals fit_local_residuals(const DynamicsEnsemble& model, const TransitionStore& data,
                                   const std::vector<Index>& iterations, int horizon, int threads);

/// Returns k(X, x) for every sample and every input. @param x [ds + da, N] scaled inputs  @return [n, N]
MatrixXd kernel_values(const ResidualKernel& kernel, const MatrixXd& samples, const MatrixXd& x);

}  // namespace kedge
