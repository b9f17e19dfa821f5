#include "kedge/math/hermite.h"

#include <cassert>
#include <numbers>

namespace kedge {

VectorXd feature_sum(MatrixIn moments) {
  const Index n = moments.cols() - 1;
  VectorXd sum(feature_count(n));
  for (Index i = 0; i <= n; ++i)
    for (Index j = 0; j <= i; ++j) sum[product_feature(i, j)] = moments(i, j);
  for (Index i = 1; i <= n; ++i) {
    double& square = sum[product_feature(i, i)];
    square = (square - sum[0]) / std::numbers::sqrt2;
  }
  return sum;
}

Quadratic quadratic_from_features(VectorIn theta, Index n) {
  assert(theta.size() == feature_count(n));
  Quadratic q{theta[0], VectorXd(n), MatrixXd(n, n)};
  for (Index i = 0; i < n; ++i) {
    q.g[i] = theta[product_feature(i + 1, 0)];
    for (Index j = 0; j < i; ++j) q.H(i, j) = q.H(j, i) = theta[product_feature(i + 1, j + 1)];
    const double square = theta[product_feature(i + 1, i + 1)];
    q.H(i, i) = std::numbers::sqrt2 * square;
    q.c -= square / std::numbers::sqrt2;
  }
  return q;
}

}  // namespace kedge
