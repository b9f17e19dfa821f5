// The quadratic model of the return against the regression on its features, and the pool of samples.
#include "kedge/evaluation/return_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/evaluation/search_pool.h"
#include "kedge/math/hermite.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;

/// The features of hermite.h without the constant. @return [p - 1]
VectorXd features(const VectorXd& z) {
  VectorXd phi(feature_count(z.size()) - 1);
  for (Index i = 1; i <= z.size(); ++i) {
    phi[product_feature(i, 0) - 1] = z[i - 1];
    for (Index j = 1; j < i; ++j) phi[product_feature(i, j) - 1] = z[i - 1] * z[j - 1];
    phi[product_feature(i, i) - 1] = (z[i - 1] * z[i - 1] - 1.0) / std::sqrt(2.0);
  }
  return phi;
}

struct Samples {
  MatrixXd z;
  VectorXd returns, weight;
};
Samples random_samples(Index n, Index N, Stream& random) {
  Samples s{random_matrix(n, N, random), 5.0 * random_vector(N, random), random_vector(N, random).cwiseAbs()};
  s.returns.array() += 40.0;
  s.weight /= s.weight.sum();
  return s;
}

/// Ridge regression with a free constant, by its normal equations.
TEST(ReturnModel, IsTheRidgeRegressionOnQuadraticFeatures) {
  Stream random(1, 0, 0, 0);
  for (const auto& [n, N, ridge] : {std::tuple{2, 40, 0.05}, std::tuple{4, 10, 0.3}, std::tuple{5, 60, 1e-3}}) {
    const Samples s = random_samples(n, N, random);
    const Index p = feature_count(n) - 1;
    MatrixXd phi(p, N);
    for (Index k = 0; k < N; ++k) phi.col(k) = features(s.z.col(k));
    phi.colwise() -= (phi * s.weight).eval();
    const double mean = s.returns.dot(s.weight);
    const VectorXd y = s.returns.array() - mean;
    MatrixXd G = phi * s.weight.asDiagonal() * phi.transpose();
    G.diagonal().array() += ridge;
    const VectorXd c = G.ldlt().solve(phi * s.weight.cwiseProduct(y));
    const auto model = fit_return_model(s.z, s.returns, s.weight, {.ridge = ridge}, 1, 0, 1);
    ASSERT_TRUE(model);
    double missed = 0.0, all = 0.0;
    for (Index k = 0; k < N; ++k) {
      EXPECT_NEAR(model->q(s.z.col(k)), mean + c.dot(phi.col(k)), 1e-9);
      missed += s.weight[k] * std::pow(y[k] - c.dot(phi.col(k)), 2);
      all += s.weight[k] * y[k] * y[k];
    }
    EXPECT_NEAR(model->r2, 1.0 - missed / all, 1e-9);
  }
}

TEST(ReturnModel, FindsAQuadraticFunction) {
  Stream random(2, 0, 0, 0);
  Samples s = random_samples(3, 60, random);
  const MatrixXd L = random_matrix(3, 3, random);
  const Quadratic truth{2.0, random_vector(3, random), L + L.transpose()};
  for (Index k = 0; k < 60; ++k) s.returns[k] = truth(s.z.col(k));
  const auto model = fit_return_model(s.z, s.returns, s.weight, {.ridge = 1e-10}, 1, 0, 1);
  ASSERT_TRUE(model);
  EXPECT_NEAR(model->q.c, truth.c, 1e-5);
  EXPECT_LT((model->q.g - truth.g).norm(), 1e-5);
  EXPECT_LT((model->q.H - truth.H).norm(), 1e-5);
  EXPECT_NEAR(model->r2, 1.0, 1e-9);
}

TEST(ReturnModel, EqualReturnsHaveNoModel) {
  Stream random(3, 0, 0, 0);
  Samples s = random_samples(3, 10, random);
  s.returns.setConstant(-2.0);
  const auto model = fit_return_model(s.z, s.returns, s.weight, {}, 1, 0, 1);
  ASSERT_TRUE(model);
  EXPECT_TRUE(model->q.H.isZero(0));
  EXPECT_NEAR(model->q.c, -2.0, 1e-12);
}

/// Of a return that depends on few directions: the average points where the gradient does, whatever the threads.
TEST(ReturnModel, AverageOverProjectionsPointsUphill) {
  Stream random(4, 0, 0, 0);
  Samples s = random_samples(12, 80, random);
  const VectorXd up = random_vector(12, random).normalized();
  for (Index k = 0; k < 80; ++k) s.returns[k] = up.dot(s.z.col(k)) - 0.1 * std::pow(up.dot(s.z.col(k)), 2);
  const ReturnModelOptions options{.ridge = 0.05, .projections = 100, .projected = 7};
  const auto one = fit_return_model(s.z, s.returns, s.weight, options, 7, 3, 1);
  const auto four = fit_return_model(s.z, s.returns, s.weight, options, 7, 3, 4);
  ASSERT_TRUE(one && four);
  EXPECT_TRUE(test::same_bits(one->q.H, four->q.H));
  EXPECT_TRUE(test::same_bits(one->q.g, four->q.g));
  EXPECT_GT(one->q.g.normalized().dot(up), 0.8);
  EXPECT_GT(one->r2, 0.5);
  const auto other = fit_return_model(s.z, s.returns, s.weight, options, 7, 4, 1);
  EXPECT_FALSE(test::same_bits(one->q.g, other->q.g)) << "each iteration has projections of its own";
}

TEST(ReturnModel, RefusesWhatDoesNotFit) {
  Stream random(5, 0, 0, 0);
  Samples s = random_samples(3, 10, random);
  EXPECT_THROW((void)fit_return_model(s.z, s.returns.head(9), s.weight, {}, 1, 0, 1), InputError);
  EXPECT_THROW((void)fit_return_model(s.z, s.returns, s.weight, {.ridge = 0.0}, 1, 0, 1), InputError);
  s.returns[3] = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(fit_return_model(s.z, s.returns, s.weight, {}, 1, 0, 1));
}

// ---- the pool

Generation generation(const LinearGaussian& search, Index N, Stream& random) {
  Generation g{search, MatrixXd(search.k.size(), N), random_matrix(search.K.cols(), N, random),
               random_vector(N, random)};
  g.theta = (search.K * g.phi + search.C * random_matrix(search.k.size(), N, random)).colwise() + search.k;
  return g;
}

double density(const LinearGaussian& search, const VectorXd& phi, const VectorXd& theta) {
  const VectorXd d = theta - search.K * phi - search.k;
  return std::exp(-0.5 * d.dot(search.Sigma.inverse() * d)) / std::sqrt(search.Sigma.determinant());
}

TEST(SearchPool, WeightsAreRatiosOfDensities) {
  Stream random(6, 0, 0, 0);
  const LinearGaussian first =
      make_linear_gaussian(MatrixXd{{1.0}, {0.5}}, VectorXd{{0.0, 1.0}}, MatrixXd{{2.0, 0.3}, {0.3, 1.0}});
  const LinearGaussian second =
      make_linear_gaussian(MatrixXd{{0.8}, {0.7}}, VectorXd{{0.4, 0.6}}, MatrixXd{{1.0, 0.1}, {0.1, 0.7}});
  const std::vector<Generation> pool{generation(first, 5, random), generation(second, 8, random)};
  const auto all = pooled(pool);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->returns.size(), 13);
  VectorXd expected(13);
  for (Index n = 0; n < 13; ++n) {
    const VectorXd phi = all->phi.col(n), theta = all->theta.col(n);
    expected[n] = density(second, phi, theta) / (5 * density(first, phi, theta) + 8 * density(second, phi, theta));
  }
  expected /= expected.sum();
  EXPECT_LT((all->weight - expected).cwiseAbs().maxCoeff(), 1e-13);
  EXPECT_NEAR(all->effective, 1.0 / expected.squaredNorm(), 1e-10);
  EXPECT_NEAR(all->context.mean[0], all->phi.mean(), 1e-14);
}

TEST(SearchPool, OneGenerationHasEqualWeights) {
  Stream random(7, 0, 0, 0);
  const LinearGaussian search = make_linear_gaussian(MatrixXd(3, 0), VectorXd::Zero(3), MatrixXd::Identity(3, 3));
  const auto all = pooled({generation(search, 4, random)});
  ASSERT_TRUE(all);
  EXPECT_LT((all->weight.array() - 0.25).abs().maxCoeff(), 1e-15);
}

}  // namespace
}  // namespace kedge
