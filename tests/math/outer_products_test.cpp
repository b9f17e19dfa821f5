// Sums of outer products and the Cholesky factor against their definitions.
#include "kedge/math/outer_products.h"

#include <gtest/gtest.h>

#include <limits>

#include "kedge/core/random.h"

namespace kedge {
namespace {

MatrixXd random_matrix(Index rows, Index cols, std::uint32_t name) {
  Stream random(71, name, 0, 0);
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j) random.normal(m.col(j));
  return m;
}

TEST(AddOuterProducts, AddsEveryProductOnce) {
  for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 17})
    for (const Index registers : {1, 2, 3, 4, 5, 6, 7, 8, 12})
      for (const Index count : {0, 1, 2, 33}) {
        SCOPED_TRACE(testing::Message() << rows << " rows, " << registers << " registers, " << count << " products");
        const Index width = registers * kLanes;
        const MatrixXd a = random_matrix(20, 40, 1), b = random_matrix(width + 3, 40, 2);
        std::vector<Index> row;
        for (Index r = 0; r < rows; ++r) row.push_back(r * 7 % 20);  // in any order
        MatrixXd sum = random_matrix(width, rows, 3), expected = sum;
        for (Index r = 0; r < rows; ++r)
          for (Index k = 0; k < count; ++k)
            expected.col(r) += a(row[static_cast<std::size_t>(r)], k) * b.col(k).head(width);
        add_outer_products(a.data(), 20, row, b.data(), width + 3, width, count, sum.data());
        EXPECT_LT((sum - expected).cwiseAbs().maxCoeff(), 1e-13);
      }
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

TEST(Cholesky, RejectsNonPositiveDefinite) {
  for (const Index n : {1, 5, 28})
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
