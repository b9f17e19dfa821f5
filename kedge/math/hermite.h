// Orthonormal quadratic features of whitened variables, and the quadratic functions that they span.
//
// If z ~ N(0, I), the features 1, z_i, (z_i^2 - 1)/sqrt 2, z_i z_j (j < i) are orthonormal: their Gram matrix under the
// sampling distribution is near the identity, where the raw monomials 1, x_i, x_i x_j of a swing-up reach condition
// numbers of 1e13. Same span, so nothing but rounding and the meaning of the ridge changes.
//
// Order: with z_0 = 1, row by row i = 0 ... n: z_i z_0, z_i z_1, ..., z_i z_i, where (z_i^2 - 1)/sqrt 2 stands for z_i z_i
// (but for i = 0: the constant). The features of the first m < n variables are the leading feature_count(m).
#pragma once

#include "kedge/math/lq.h"

namespace kedge {

/// Returns the number of features of n variables, (n + 1)(n + 2) / 2.
constexpr Index feature_count(Index n) { return (n + 1) * (n + 2) / 2; }

/// Returns the place of the feature z_i z_j, 0 <= j <= i; variables count from 1, z_0 = 1.
constexpr Index product_feature(Index i, Index j) { return i * (i + 1) / 2 + j; }

/// Returns sum_m c_m phi(z_m) from the moments of z.
/// @param moments [n + 1, n + 1] sum_m c_m (1, z_m)(1, z_m)', of which the lower triangle is read
/// @return [feature_count(n)]
VectorXd feature_sum(MatrixIn moments);

/// Returns the quadratic function theta'phi(z). @param theta [feature_count(n)]
Quadratic quadratic_from_features(VectorIn theta, Index n);

}  // namespace kedge
