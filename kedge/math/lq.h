// Local models of a trajectory: linear-Gaussian dynamics and the moments that they carry on, with costs as `Quadratic`
// (hermite.h); costs as deviations from a nominal state and action.
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

/// Cost of one step around a nominal state and action, minimised:
///   q(dx, du) = c + gx'dx + gu'du + dx'Hxx dx / 2 + du'Hux dx + du'Huu du / 2
struct StageCost {
  double c = 0.0;
  VectorXd gx;   ///< [ndx]
  VectorXd gu;   ///< [da]
  MatrixXd Hxx;  ///< [ndx, ndx] symmetric
  MatrixXd Hux;  ///< [da, ndx]
  MatrixXd Huu;  ///< [da, da] symmetric

  static StageCost zero(Index ndx, Index da) {
    return {0.0,
            VectorXd::Zero(ndx),
            VectorXd::Zero(da),
            MatrixXd::Zero(ndx, ndx),
            MatrixXd::Zero(da, ndx),
            MatrixXd::Zero(da, da)};
  }
};

}  // namespace kedge
