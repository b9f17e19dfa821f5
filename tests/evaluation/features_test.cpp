// Whitened coordinates and their orthonormal features.
#include <gtest/gtest.h>

#include <cmath>

#include "data.h"
#include "kedge/evaluation/whitening.h"
#include "kedge/math/hermite.h"

namespace kedge {
namespace {

using namespace kedge::test;

TEST(Whitening, IsItsDefinitionAndKnowsTheDensity) {
  for (const Index ds : {1, 3, 6})
    for (const Index da : {1, 2, 4}) {
      Stream random(41, static_cast<std::uint32_t>(ds), static_cast<std::uint32_t>(da), 0);
      const Gaussian rho = random_gaussian(ds, 2.0, random);
      const LinearGaussian pi = random_step(da, ds, random);
      const Whitening map = whitening(rho, pi), state_map = whitening(rho);
      EXPECT_TRUE(map.W.isLowerTriangular());
      ASSERT_EQ(map.dim(), ds + da);
      ASSERT_EQ(state_map.dim(), ds);
      MatrixXd rows(5, ds + da);
      for (int k = 0; k < 5; ++k) {
        const VectorXd s = random_vector(ds, random), a = random_vector(da, random);
        VectorXd x(ds + da), expected(ds + da);
        x << s, a;
        expected << rho.L.fullPivLu().solve(s - rho.mean), pi.C.fullPivLu().solve(a - pi.K * s - pi.k);
        const VectorXd z = map.W * x - map.b;
        EXPECT_LT((z - expected).norm(), 1e-11 * (1 + expected.norm()));
        EXPECT_LT((state_map.W * s - state_map.b - expected.head(ds)).norm(), 1e-11 * (1 + expected.norm()));
        const long double density = log_density(rho, pi, s, a);
        EXPECT_NEAR(map.log_normaliser - 0.5 * z.squaredNorm(), static_cast<double>(density),
                    1e-10 * (1 + std::abs(static_cast<double>(density))));
        rows.row(k) = x;
        MatrixXd row = rows.topRows(k + 1);
        whiten_rows(map, row);
        EXPECT_LT((row.row(k).transpose() - expected).norm(), 1e-11 * (1 + expected.norm()));
      }
    }
}

TEST(Whitening, MakesTheJointDistributionStandard) {
  Stream random(42, 0, 0, 0);
  const Gaussian rho = random_gaussian(3, 2.0, random);
  const LinearGaussian pi = random_step(2, 3, random);
  MatrixXd cov(5, 5);  // of (s, a) under rho pi
  cov << rho.cov, rho.cov * pi.K.transpose(), pi.K * rho.cov, pi.K * rho.cov * pi.K.transpose() + pi.Sigma;
  VectorXd mean(5);
  mean << rho.mean, pi.K * rho.mean + pi.k;
  const Whitening map = whitening(rho, pi);
  EXPECT_LT((map.W * cov * map.W.transpose() - MatrixXd::Identity(5, 5)).norm(), 1e-11);
  EXPECT_LT((map.W * mean - map.b).norm(), 1e-11);
}

TEST(HermiteFeatures, AreOrthonormalUnderTheStandardNormal) {
  for (const Index n : {1, 2, 3, 5}) {
    const Grid grid = gauss_hermite(n);  // exact: products of two features have degree 4
    MatrixXd phi(grid.z.rows(), feature_count(n));
    hermite_features(grid.z, VectorXd::Ones(grid.z.rows()), phi);
    const MatrixXd gram = phi.transpose() * grid.weight.asDiagonal() * phi;
    EXPECT_LT((gram - MatrixXd::Identity(phi.cols(), phi.cols())).cwiseAbs().maxCoeff(), 1e-13) << "n = " << n;
  }
}

TEST(HermiteFeatures, SpanTheQuadraticFunctions) {
  for (const Index n : {1, 2, 6}) {
    Stream random(43, static_cast<std::uint32_t>(n), 0, 0);
    const VectorXd theta = random_vector(feature_count(n), random);
    const Quadratic q = quadratic_from_features(theta, n);
    EXPECT_EQ(q.H, q.H.transpose());
    const MatrixXd z = 3.0 * random_matrix(20, n, random);
    MatrixXd phi(20, feature_count(n));
    hermite_features(z, VectorXd::Ones(z.rows()), phi);
    for (Index k = 0; k < 20; ++k) EXPECT_NEAR(q(z.row(k).transpose()), phi.row(k).dot(theta), 1e-11);
  }
}

TEST(HermiteFeatures, AreScaledRowByRow) {
  Stream random(45, 0, 0, 0);
  const MatrixXd z = random_matrix(7, 3, random);
  const VectorXd scale = random_vector(7, random);
  MatrixXd phi(7, feature_count(3)), scaled = phi;
  hermite_features(z, VectorXd::Ones(7), phi);
  hermite_features(z, scale, scaled);
  EXPECT_LT((scaled - scale.asDiagonal() * phi).norm(), 1e-13);
}

TEST(HermiteFeatures, OfTheFirstVariablesAreTheLeadingOnes) {
  Stream random(44, 0, 0, 0);
  const Index n = 5;
  const MatrixXd z = random_matrix(4, n, random);
  MatrixXd phi(4, feature_count(n));
  hermite_features(z, VectorXd::Ones(z.rows()), phi);
  for (Index m = 1; m <= n; ++m) {
    MatrixXd part(4, feature_count(m));
    hermite_features(z.leftCols(m), VectorXd::Ones(4), part);
    const std::vector<Index> columns = leading_features(n, m);
    ASSERT_EQ(static_cast<Index>(columns.size()), feature_count(m));
    for (std::size_t j = 0; j < columns.size(); ++j) EXPECT_EQ(phi.col(columns[j]), part.col(static_cast<Index>(j)));
  }
}

}  // namespace
}  // namespace kedge
