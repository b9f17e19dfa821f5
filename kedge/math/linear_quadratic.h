// Local models of a trajectory: linear-Gaussian dynamics and the moments that they carry on. Costs are `Quadratic` (hermite.h).
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// One step: s' ~ N(F z + f, S) with z = [s; a].
struct LinearDynamics {
  MatrixXd F;  ///< [ds, ds + da]
  VectorXd f;  ///< [ds]
  MatrixXd S;  ///< [ds, ds] symmetric, positive semidefinite
};

/// Mean and covariance of a distribution that need not have a density.
struct Moments {
  VectorXd mean;  ///< [n]
  MatrixXd cov;   ///< [n, n] symmetric, positive semidefinite
};

}  // namespace kedge
