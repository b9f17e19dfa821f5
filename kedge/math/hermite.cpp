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

void hermite_features(MatrixIn z, Eigen::Ref<MatrixXd> phi) {
  const Index n = z.cols();
  assert(phi.rows() == z.rows() && phi.cols() == feature_count(n));
  phi.col(0).setOnes();
  phi.middleCols(1, n) = z;
  constexpr double scale = 1.0 / std::numbers::sqrt2;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < i; ++j) phi.col(product_feature(n, i, j)) = z.col(i).cwiseProduct(z.col(j));
    phi.col(product_feature(n, i, i)) = scale * (z.col(i).array().square() - 1.0);
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
