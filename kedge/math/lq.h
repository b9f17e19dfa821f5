// The vocabulary of linear-quadratic problems. There are two kinds of coordinates:
//
//   absolute     z = [s; a], observations and actions: `Quadratic`, `LinearDynamics`, `Moments`, `LqModel`. Models that
//                are fitted to samples, with noise.
//   deviations   (dx, du) from a nominal trajectory, dx in the tangent space of the state: `StageCost`, `LqProblem`,
//                `ClosedLoop`. Models by differentiation.
#pragma once

#include <span>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// q(z) = c + g'z + z'H z / 2, H symmetric.
struct Quadratic {
  double c = 0.0;
  VectorXd g;  ///< [n]
  MatrixXd H;  ///< [n, n]

  [[nodiscard]] double operator()(VectorIn z) const { return c + g.dot(z) + 0.5 * z.dot(H * z); }
};

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

/// The local model of a trajectory of T steps: minimise E [ sum_t cost_t(s, a) + cost_T(s) ].
struct LqModel {
  Moments start;                         ///< [ds] of s_0
  std::vector<LinearDynamics> dynamics;  ///< [T]
  std::vector<Quadratic> cost;           ///< [T + 1] of z = [s; a] at t < T, of s at T
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

/// minimise sum_t q_t(dx_t, du_t) + q_T(dx_T) with dx_{t+1} = A_t dx_t + B_t du_t. A view: the matrices belong to others.
struct LqProblem {
  std::span<const MatrixXd> A;      ///< [T] [ndx, ndx]
  std::span<const MatrixXd> B;      ///< [T] [ndx, da]
  std::span<const StageCost> cost;  ///< [T + 1], the last of dx alone
};

/// The dynamics of such a problem under the feedback du_t ~ N(K_t dx_t, Sigma_t). A view, too.
struct ClosedLoop {
  std::span<const MatrixXd> A;      ///< [T] [ndx, ndx]
  std::span<const MatrixXd> B;      ///< [T] [ndx, da]
  std::span<const MatrixXd> K;      ///< [T] [da, ndx]
  std::span<const MatrixXd> Sigma;  ///< [T] [da, da]
};

}  // namespace kedge
