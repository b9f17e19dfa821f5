// Whitened coordinates and their orthonormal features.
#include <gtest/gtest.h>

#include <cmath>

#include "data.h"
#include "kedge/evaluation/whitening.h"
#include "kedge/math/gram.h"
#include "kedge/math/hermite.h"
#include "kedge/math/vectors.h"

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
        MatrixXd row = rows.topRows(k + 1), state_row = row.leftCols(ds);
        whiten_rows(map, row);
        EXPECT_LT((row.row(k).transpose() - expected).norm(), 1e-11 * (1 + expected.norm()));
        whiten_rows(map, state_row);  // of fewer variables: the map of those
        EXPECT_LT((state_row - row.leftCols(ds)).norm(), 1e-12 * (1 + row.norm()));

        const MatrixXd H = homogeneous(map);
        MatrixXd samples = random_matrix(ds + da, 6, random), chosen(H.rows(), 5);
        samples.col(4) = x;
        const std::vector<Index> first = {0, 0, 4 * (ds + da), 5 * (ds + da), 0};
        whiten_chosen(H, samples, first, chosen);
        const VectorXd one = chosen.col(2);
        ASSERT_GT(one.size(), ds + da);
        EXPECT_EQ(one[0], 1.0);
        EXPECT_LT((one.segment(1, ds + da) - expected).norm(), 1e-11 * (1 + expected.norm()));
        EXPECT_TRUE(one.tail(one.size() - ds - da - 1).isZero(0));
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
    const Index p = feature_count(n);
    MatrixXd gram = MatrixXd::Zero(p, p);
    for (Index k = 0; k < grid.z.rows(); ++k) {
      const VectorXd phi = plain_features(grid.z.row(k).transpose());
      gram += grid.weight[k] * phi * phi.transpose();
    }
    EXPECT_LT((gram - MatrixXd::Identity(p, p)).cwiseAbs().maxCoeff(), 1e-13) << "n = " << n;
  }
}

TEST(HermiteFeatures, SpanTheQuadraticFunctions) {
  for (const Index n : {1, 2, 6}) {
    Stream random(43, static_cast<std::uint32_t>(n), 0, 0);
    const VectorXd theta = random_vector(feature_count(n), random);
    const Quadratic q = quadratic_from_features(theta, n);
    EXPECT_EQ(q.H, q.H.transpose());
    for (Index k = 0; k < 20; ++k) {
      const VectorXd z = 3.0 * random_vector(n, random);
      EXPECT_NEAR(q(z), plain_features(z).dot(theta), 1e-11);
    }
  }
}

TEST(HermiteFeatures, BeginWithThoseOfTheFirstVariables) {
  Stream random(44, 0, 0, 0);
  const VectorXd z = random_vector(5, random), phi = plain_features(z);
  for (Index m = 1; m <= 5; ++m) EXPECT_EQ(plain_features(z.head(m)), phi.head(feature_count(m)));
}

TEST(HermiteFeatures, AreSummedByTheMomentsOfTheirVariables) {
  for (const Index n : {1, 2, 6}) {
    Stream random(45, static_cast<std::uint32_t>(n), 0, 0);
    MatrixXd moments = MatrixXd::Zero(n + 1, n + 1);
    VectorXd sum = VectorXd::Zero(feature_count(n));
    for (int k = 0; k < 20; ++k) {
      VectorXd one(n + 1);
      one << 1.0, random_vector(n, random);
      const double c = random.normal();
      moments += c * one * one.transpose();
      sum += c * plain_features(one.tail(n));
    }
    EXPECT_LT((feature_sum(moments) - sum).norm(), 1e-12 * (1 + sum.norm()));
  }
}

/// The Gram matrix by its definition.
MatrixXd plain_gram(const MatrixXd& z, const VectorXd& weight) {
  MatrixXd gram = MatrixXd::Zero(feature_count(z.rows()), feature_count(z.rows()));
  for (Index k = 0; k < z.cols(); ++k) {
    const VectorXd phi = plain_features(z.col(k));
    gram += weight[k] * phi * phi.transpose();
  }
  return gram;
}

TEST(GramAccumulator, SumsTheProductsOfAllFeatures) {
  for (const Index n : {1, 2, 3, 6, 7, 8, 12, 30})    // 3 ... 91, 496 features; registers not full, full, overfull
    for (const Index count : {1, 31, 32, 33, 100}) {  // around the size of a block
      SCOPED_TRACE(testing::Message() << n << " variables, " << count << " samples");
      Stream random(46, static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(count), 0);
      MatrixXd z = random_matrix(padded(n + 1), count, random);  // what does not count is not zero
      z.row(0).setOnes();
      const VectorXd weight = random_vector(count, random).cwiseAbs();
      const MatrixXd plain = plain_gram(z.middleRows(1, n), weight);

      GramAccumulator sum(n);
      sum.add(z.leftCols(count / 3), weight.head(count / 3));
      sum.add(z.rightCols(count - count / 3), weight.tail(count - count / 3));
      const MatrixXd gram = sum.gram();
      ASSERT_EQ(gram.rows(), padded(feature_count(n)));
      const MatrixXd lower = plain.triangularView<Eigen::Lower>();
      EXPECT_LT((gram.topRows(plain.rows()) - lower).cwiseAbs().maxCoeff(), 1e-13 * (1 + plain.norm()));
      EXPECT_TRUE(gram.bottomRows(gram.rows() - plain.rows()).isZero(0));
    }
}

TEST(GramAccumulator, IsZeroWithoutSamples) { EXPECT_TRUE(GramAccumulator(3).gram().isZero(0)); }

}  // namespace
}  // namespace kedge
