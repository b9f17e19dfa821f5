#include "kedge/math/diagonal_gaussians.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "kedge/math/gaussian.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;

DiagonalGaussians example(std::uint32_t number) {
  Stream random(1, number, 0, 0);
  DiagonalGaussians p{random_matrix(3, 5, random), {}};
  p.std = (0.4 * random_matrix(3, 5, random)).array().exp();
  return p;
}

Gaussian column(const DiagonalGaussians& p, Index n) {
  return *make_gaussian(p.mean.col(n), p.std.col(n).cwiseAbs2().asDiagonal().toDenseMatrix());
}

TEST(DiagonalGaussians, AreGaussians) {
  const DiagonalGaussians p = example(0), q = example(1);
  Stream random(2, 0, 0, 0);
  const MatrixXd x = random_matrix(3, 5, random);
  const VectorXd log_p = log_densities(p, x);
  double sum = 0.0;
  for (Index n = 0; n < 5; ++n) {
    const Gaussian g = column(p, n);
    const double distance = g.L.triangularView<Eigen::Lower>().solve(x.col(n) - g.mean).squaredNorm();
    EXPECT_NEAR(log_p[n], -0.5 * (distance + log_det(g.L) + 3 * std::log(2 * std::numbers::pi)), 1e-13);
    sum += kl(g, column(q, n)) / 5;
  }
  EXPECT_NEAR(mean_kl(p, q), sum, 1e-12 * sum);
  EXPECT_EQ(mean_kl(p, p), 0.0);
}

TEST(DiagonalGaussians, DivergeByTheSquareOfASmallDistance) {
  const DiagonalGaussians p = example(0);
  DiagonalGaussians q = p;
  q.mean.array() += 1e-7 * p.std.array();
  EXPECT_NEAR(mean_kl(p, q), 3 * 0.5e-14, 1e-20);
  q = p;
  q.std *= 1.0 + 1e-7;
  EXPECT_NEAR(mean_kl(p, q), 3e-14, 1e-20);
}

}  // namespace
}  // namespace kedge
