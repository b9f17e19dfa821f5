// Orthonormal quadratic features of whitened variables, and the quadratic functions that they span.
//
// If z ~ N(0, I), the features 1, z_i, (z_i^2 - 1)/sqrt 2, z_i z_j (j < i) are orthonormal: their Gram matrix under the
// sampling distribution is near the identity, where the raw monomials 1, x_i, x_i x_j of a swing-up reach condition
// numbers of 1e13. Same span, so nothing but rounding and the meaning of the ridge changes.
//
// Order: the constant; z_1 ... z_n; then row by row i = 1 ... n: z_i z_1, ..., z_i z_{i-1}, (z_i^2 - 1)/sqrt 2. The
// features of the first m < n variables are thus found without search.
#pragma once

#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// 1 + n (n + 3) / 2.
constexpr Index feature_count(Index n) { return 1 + n * (n + 3) / 2; }

/// Column of the feature z_i z_j (or (z_i^2 - 1)/sqrt 2 for i == j), j <= i < n.
constexpr Index product_feature(Index n, Index i, Index j) { return 1 + n + i * (i + 1) / 2 + j; }

/// Columns, in order, of the features of the first m of n variables. @return [feature_count(m)]
std::vector<Index> leading_features(Index n, Index m);

/// Features of N samples, one sample a row, each row times its scale: phi [N, feature_count(n)] from z [N, n], scale [N].
void hermite_features(MatrixIn z, VectorIn scale, Eigen::Ref<MatrixXd> phi);

/// q(z) = c + g'z + z'H z / 2, H symmetric.
struct Quadratic {
  double c = 0.0;
  VectorXd g;  ///< [n]
  MatrixXd H;  ///< [n, n]

  [[nodiscard]] double operator()(VectorIn z) const { return c + g.dot(z) + 0.5 * z.dot(H * z); }
};

/// The quadratic function theta'phi(z). @param theta [feature_count(n)]
Quadratic quadratic_from_features(VectorIn theta, Index n);

}  // namespace kedge
