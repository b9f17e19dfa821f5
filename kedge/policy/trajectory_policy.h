// The feedback law around a trajectory: the result of trajectory optimisation, and the teacher of other policies.
#pragma once

#include <vector>

#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// pi_t(a | x) = N(a_t + K_t (x (-) x_t), Sigma_t). It reads the full state; x (-) x_t is System::difference.
struct TrajectoryPolicy {
  MatrixXd x;                   ///< [nx, T+1] states that the actions pass through
  MatrixXd a;                   ///< [da, T] actions
  std::vector<MatrixXd> K;      ///< [T] [da, ndx]
  std::vector<MatrixXd> Sigma;  ///< [T] [da, da] symmetric positive definite

  [[nodiscard]] int horizon() const { return static_cast<int>(a.cols()); }
};

/// Returns the same policy in the coordinates of x, with K_raw = K E, E the left inverse of the tangent map: equal
/// where x has no quaternion, and to first order where it has.
/// @param G [T or more] tangent maps at x_t (System::tangent) [nx, ndx]
/// @throws InputError if a Sigma_t is not positive definite
TvLinearGaussian to_tv_linear_gaussian(const TrajectoryPolicy& policy, const std::vector<MatrixXd>& G);

}  // namespace kedge
