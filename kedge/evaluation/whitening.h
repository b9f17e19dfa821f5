// The affine map that whitens state and action together: z = [xi; alpha] = W x - b with x = [s; a],
//   xi = L_s^-1 (s - mu_s),   alpha = C^-1 (a - K s - k),
// so that z ~ N(0, I) under z_t(s, a) = rho_t(s) pi_t(a|s). W is lower triangular. The importance weights, the regressions
// and the policy update all work in these coordinates.
#pragma once

#include "kedge/core/types.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

struct Whitening {
  MatrixXd W;                   ///< [n, n] lower triangular, n = ds + da
  VectorXd b;                   ///< [n]
  double log_normaliser = 0.0;  ///< log z_t(s, a) = log_normaliser - |z|^2 / 2

  [[nodiscard]] Index dim() const { return b.size(); }
};

Whitening whitening(const Gaussian& rho, const LinearGaussian& pi);

/// The state part alone: xi = W s - b. log_normaliser belongs to rho.
Whitening whitening(const Gaussian& rho);

/// Applies the map to every row, in place. @param z [N, n] in: x, out: W x - b
void whiten_rows(const Whitening& map, Eigen::Ref<MatrixXd> z);

}  // namespace kedge
