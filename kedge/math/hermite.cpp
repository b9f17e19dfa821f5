#include "kedge/math/hermite.h"

#include <cassert>
#include <numbers>

namespace kedge {

std::vector<Index> leading_features(Index n, Index m) {
  std::vector<Index> columns;
  for (Index i = 0; i <= m; ++i) columns.push_back(i);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j <= i; ++j) columns.push_back(product_feature(n, i, j));
  return columns;
}

void hermite_features(MatrixIn z, VectorIn scale, Eigen::Ref<MatrixXd> phi) {
  const Index n = z.cols();
  assert(phi.rows() == z.rows() && phi.cols() == feature_count(n) && scale.size() == z.rows());
  constexpr double square = 1.0 / std::numbers::sqrt2;
  phi.col(0) = scale;
  for (Index i = 0; i < n; ++i) {
    phi.col(1 + i) = z.col(i).cwiseProduct(scale);
    for (Index j = 0; j < i; ++j) phi.col(product_feature(n, i, j)) = z.col(i).cwiseProduct(phi.col(1 + j));
    phi.col(product_feature(n, i, i)) = square * (z.col(i).cwiseProduct(phi.col(1 + i)) - scale);
  }
}

Quadratic quadratic_from_features(VectorIn theta, Index n) {
  assert(theta.size() == feature_count(n));
  Quadratic q{theta[0], theta.segment(1, n), MatrixXd(n, n)};
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < i; ++j) q.H(i, j) = q.H(j, i) = theta[product_feature(n, i, j)];
    const double square = theta[product_feature(n, i, i)];
    q.H(i, i) = std::numbers::sqrt2 * square;
    q.c -= square / std::numbers::sqrt2;
  }
  return q;
}

}  // namespace kedge
