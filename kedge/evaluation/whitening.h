// The affine map that whitens state and action together: z = [xi; alpha] = W x - b with x = [s; a],
//   xi = L_s^-1 (s - mu_s),   alpha = C^-1 (a - K s - k),
// so that z ~ N(0, I) under z_t(s, a) = rho_t(s) pi_t(a|s); whitening(rho) is the state part alone. W is lower triangular.
// The importance weights, the regressions and the policy update all work in these coordinates.
#pragma once

#include <span>

#include "kedge/core/types.h"
#include "kedge/math/whitening.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// Returns the map of states ~ rho and actions ~ pi.
Whitening whitening(const Gaussian& rho, const LinearGaussian& pi);

/// Applies the first n rows and columns of the map to every row, in place. @param z [N, n <= dim] in: x, out: W x - b
void whiten_rows(const Whitening& map, Eigen::Ref<MatrixXd> z);

/// Returns the map as one matrix: (1, z, 0 ... 0) = H (1, x). @return [padded(n + 1), n + 1]
MatrixXd homogeneous(const Whitening& map);

/// Computes (1, z, 0 ... 0) of chosen samples, one a column. @param H homogeneous  @param x [n, samples]
/// @param first [N] where the chosen columns of x begin, in x.data()  @param z [padded(n + 1), N], out
void whiten_chosen(const MatrixXd& H, const MatrixXd& x, std::span<const Index> first, Eigen::Ref<MatrixXd> z);

}  // namespace kedge
