// The Cholesky factor against its definition.
#include "kedge/math/cholesky.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "kedge/core/random.h"
#include "kedge/math/vectors.h"

namespace kedge {
namespace {

MatrixXd random_matrix(Index rows, Index cols, std::uint32_t name) {
  Stream random(71, name, 0, 0);
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j) random.normal(m.col(j));
  return m;
}

/// Lower triangle of a positive definite matrix; above it and in the surplus rows NaN, which must do no harm.
MatrixXd random_positive(Index n) {
  const MatrixXd m = random_matrix(n, n, static_cast<std::uint32_t>(n));
  MatrixXd A = MatrixXd::Constant(padded(n), n, std::numeric_limits<double>::quiet_NaN());
  A.topRows(n).triangularView<Eigen::Lower>() = m * m.transpose() + MatrixXd::Identity(n, n);
  return A;
}

TEST(Cholesky, FactorsPositiveDefiniteMatrices) {
  for (const Index n : {1, 2, 3, 4, 5, 7, 8, 9, 28, 91, 496}) {
    SCOPED_TRACE(n);
    const MatrixXd A = random_positive(n);
    MatrixXd factor = A;
    ASSERT_TRUE(cholesky(factor));
    const MatrixXd L = factor.topRows(n).triangularView<Eigen::Lower>();
    const MatrixXd difference = (L * L.transpose() - A.topRows(n)).triangularView<Eigen::Lower>();
    EXPECT_LT(difference.cwiseAbs().maxCoeff(), 1e-14 * static_cast<double>(n) * A.diagonal().maxCoeff());
    EXPECT_GT(L.diagonal().minCoeff(), 0.0);
  }
}

/// Large matrices are worked on in panels and blocks. The factor of a leading part, which is small, is the leading part of the
/// factor: here to the last bit, because blocks do not change the order of a sum.
TEST(Cholesky, OfALargeMatrixHasTheBytesOfThatOfItsLeadingPart) {
  const Index n = 1623, small = 1500;
  MatrixXd A = MatrixXd::Constant(padded(n), n, std::numeric_limits<double>::quiet_NaN());
  for (Index j = 0; j < n; ++j)
    for (Index i = j; i < n; ++i) A(i, j) = 1.0 / (1.0 + static_cast<double>(i - j)) + (i == j ? 2.0 : 0.0);
  MatrixXd large = A, leading = MatrixXd::Zero(padded(small), small);
  leading.topRows(small) = A.topLeftCorner(small, small);
  ASSERT_TRUE(cholesky(large));
  ASSERT_TRUE(cholesky(leading));
  for (Index j = 0; j < small; ++j)
    ASSERT_EQ(std::memcmp(&large(j, j), &leading(j, j), static_cast<std::size_t>(small - j) * sizeof(double)), 0) << j;

  const VectorXd v = random_matrix(n, 1, 1623);
  const auto L = large.topRows(n).triangularView<Eigen::Lower>();
  const VectorXd upper = L.transpose() * v;
  EXPECT_LT((L * upper - A.topRows(n).selfadjointView<Eigen::Lower>() * v).cwiseAbs().maxCoeff(), 1e-11);
}

TEST(Cholesky, RejectsNonPositiveDefinite) {
  for (const Index n : {1, 5, 28, 70})
    for (Index i = 0; i < n; ++i)
      for (const double wrong : {-1.0, 0.0, std::numeric_limits<double>::quiet_NaN(),
                                 std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
        MatrixXd A = random_positive(n);
        A(i, i) = wrong;
        EXPECT_FALSE(cholesky(A)) << n << ", entry " << i << " is " << wrong;
      }
}

}  // namespace
}  // namespace kedge
