#include "kedge/math/gaussian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

Gaussian random_gaussian(Index n, Stream& random) {
  const MatrixXd S = random_matrix(n, n + 2, random);
  return *make_gaussian(random_matrix(n, 1, random), S * S.transpose());
}

double log_density(const Gaussian& g, VectorIn x) {
  const VectorXd d = x - g.mean;
  return -0.5 * (d.dot(g.cov.inverse() * d) + std::log((2 * std::numbers::pi * g.cov).determinant()));
}

Gaussian scalar(double mean, double std) {
  return *make_gaussian(VectorXd::Constant(1, mean), MatrixXd::Constant(1, 1, std * std));
}

/// Integral of f over the real line by the trapezoidal rule, exact to rounding for Gaussians of scale near 1.
template <class F>
double integrate(F f) {
  double sum = 0;
  for (int i = -4000; i <= 4000; ++i) sum += f(i * 0.01);
  return sum * 0.01;
}

double log_density(const Gaussian& g, double x) { return log_density(g, VectorXd::Constant(1, x)); }

TEST(MakeGaussian, FactorisesAndSymmetrises) {
  const auto g = make_gaussian(VectorXd::Zero(2), MatrixXd{{2, 1.5}, {0.5, 3}});
  ASSERT_TRUE(g);
  EXPECT_TRUE(g->cov.isApprox(MatrixXd{{2, 1}, {1, 3}}));
  EXPECT_TRUE((g->L * g->L.transpose()).isApprox(g->cov));
  EXPECT_EQ(g->L(0, 1), 0);
  EXPECT_EQ(g->dim(), 2);
}

TEST(MakeGaussian, RejectsNonPositiveDefinite) {
  EXPECT_FALSE(make_gaussian(VectorXd::Zero(2), MatrixXd{{1, 2}, {2, 1}}));
  EXPECT_FALSE(make_gaussian(VectorXd::Zero(2), MatrixXd{{1, 1}, {1, 1}}));
  EXPECT_FALSE(make_gaussian(VectorXd::Zero(1), MatrixXd::Zero(1, 1)));
  for (const double bad : {nan, inf}) {
    EXPECT_FALSE(make_gaussian(VectorXd::Constant(1, bad), MatrixXd::Identity(1, 1)));
    EXPECT_FALSE(make_gaussian(VectorXd::Zero(1), MatrixXd::Constant(1, 1, bad)));
  }
}

TEST(LogDet, IsTheLogarithmOfTheDeterminant) {
  Stream random(1, 0, 0, 0);
  for (Index n = 1; n < 6; ++n) {
    const Gaussian g = random_gaussian(n, random);
    EXPECT_NEAR(log_det(g.L), std::log(g.cov.determinant()), 1e-11);
  }
}

TEST(Kl, EqualsItsDefinitionByQuadrature) {
  for (const auto& [p, q] :
       {std::pair{scalar(0.3, 1.2), scalar(-0.5, 2)}, {scalar(1, 0.5), scalar(1, 3)}, {scalar(2, 1), scalar(0, 1)}}) {
    const double expected =
        integrate([&](double x) { return std::exp(log_density(p, x)) * (log_density(p, x) - log_density(q, x)); });
    EXPECT_NEAR(kl(p, q), expected, 1e-12);
  }
}

TEST(Kl, EqualsItsDefinitionBySampling) {
  Stream random(2, 0, 0, 0);
  const Index n = 4;
  const Gaussian p = random_gaussian(n, random), q = random_gaussian(n, random);
  constexpr int samples = 20000;
  double sum = 0, squares = 0;
  VectorXd z(n);
  for (int i = 0; i < samples; ++i) {
    random.normal(z);
    const VectorXd x = p.mean + p.L * z;
    const double ratio = log_density(p, x) - log_density(q, x);
    sum += ratio, squares += ratio * ratio;
  }
  const double mean = sum / samples, error = std::sqrt((squares / samples - mean * mean) / samples);
  EXPECT_NEAR(kl(p, q), mean, 5 * error);
}

TEST(Kl, IsZeroOrPositiveAndKeepsItsPrecisionForNearlyEqualGaussians) {
  Stream random(3, 0, 0, 0);
  for (Index n = 1; n < 10; ++n) {
    const Gaussian p = random_gaussian(n, random);
    EXPECT_LT(kl(p, p), 1e-26);
    EXPECT_GE(kl(p, p), 0);
    for (const double change : {1e-3, 1e-6, 1e-9}) {
      Gaussian q = p;  // p with its standard deviations larger by a factor 1 + change
      q.L *= 1 + change;
      q.cov *= (1 + change) * (1 + change);
      const double exact =
          static_cast<double>(n) * change * change;  // (1/2) n (x - log(1 + x)), x = 2 change + O(change^2)
      EXPECT_NEAR(kl(q, p) / exact, 1, 3 * change + 1e-6);
    }
  }
}

TEST(Entropy, EqualsItsDefinition) {
  const Gaussian p = scalar(0.3, 1.4);
  EXPECT_NEAR(entropy(p.L), integrate([&](double x) { return -std::exp(log_density(p, x)) * log_density(p, x); }),
              1e-12);
  Stream random(4, 0, 0, 0);
  const Gaussian q = random_gaussian(5, random);
  EXPECT_NEAR(entropy(q.L), 0.5 * std::log((2 * std::numbers::pi * std::numbers::e * q.cov).determinant()), 1e-11);
}

TEST(XMinusLog1p, IsPreciseEverywhere) {
  for (double x :
       {1e-300, 1e-100, 1e-20, 1e-12, 1e-8, 1e-4, 0.01, 0.0999, 0.0999999, 0.1, 0.2, 0.5, 0.9, 3.0, 1e3, 1e10})
    for (const double sign : {1.0, -1.0}) {
      if (sign * x <= -1) continue;
      const long double y = static_cast<long double>(sign * x);
      // far below the rounding of long double: the series y^2/2 - y^3/3 + y^4/4
      const long double exact = x < 1e-5 ? y * y * (0.5L - y / 3 + y * y / 4) : y - std::log1p(y);
      EXPECT_NEAR(x_minus_log1p(sign * x), static_cast<double>(exact), 5e-15 * static_cast<double>(exact)) << sign * x;
    }
  EXPECT_EQ(x_minus_log1p(0), 0);
}

TEST(ScaleDivergence, IsTheDivergenceOfStandardDeviations) {
  for (const double q : {0.1, 0.9, 0.97, 0.999, 1.0, 1.001, 1.04, 1.06, 2.0, 30.0})
    EXPECT_NEAR(0.5 * scale_divergence(q), kl(scalar(0, q), scalar(0, 1)), 1e-14 * (1 + q * q));
  EXPECT_NEAR(scale_divergence(1e-30), -1 - 2 * std::log(1e-30), 1e-12);  // 1 - q^2 rounds to 1
  EXPECT_NEAR(scale_divergence(1 + 1e-8) / 2e-16, 1, 1e-7);
}

TEST(FitGaussian, EqualsTheWeightedMoments) {
  Stream random(5, 0, 0, 0);
  const Index n = 3, N = 40;
  const MatrixXd x = random_matrix(n, N, random);
  VectorXd w(N);
  for (Index i = 0; i < N; ++i) w[i] = random.uniform();
  w[3] = 0;
  const double relative = 1e-3, absolute = 1e-2;
  const auto g = fit_gaussian(x, w, relative, absolute);
  ASSERT_TRUE(g);
  for (Index i = 0; i < n; ++i) {
    double mean = 0;
    for (Index k = 0; k < N; ++k) mean += w[k] * x(i, k) / w.sum();
    EXPECT_NEAR(g->mean[i], mean, 1e-14);
  }
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      double cov = 0;
      for (Index k = 0; k < N; ++k) cov += w[k] * (x(i, k) - g->mean[i]) * (x(j, k) - g->mean[j]) / w.sum();
      EXPECT_NEAR(g->cov(i, j), i == j ? cov * (1 + relative) + absolute : cov, 1e-14);
    }
  const auto scaled = fit_gaussian(x, 1e9 * w, relative, absolute);
  ASSERT_TRUE(scaled);
  EXPECT_TRUE(scaled->cov.isApprox(g->cov, 1e-14));
}

TEST(FitGaussian, NeedsTheRidgeForFewSamples) {
  const MatrixXd x{{1, 2}, {3, 4}, {5, 7}};
  EXPECT_TRUE(fit_gaussian(x, VectorXd::Ones(2), 0, 1e-8));
  EXPECT_FALSE(fit_gaussian(x.col(0), VectorXd::Ones(1), 1e-6, 0));
}

TEST(FitGaussian, RejectsDegenerateWeights) {
  const MatrixXd x{{1, 2, 4}, {3, 1, 0}};
  EXPECT_FALSE(fit_gaussian(x, VectorXd::Zero(3), 0, 1));
  EXPECT_FALSE(fit_gaussian(x, VectorXd::Constant(3, nan), 0, 1));
  EXPECT_FALSE(fit_gaussian(x, VectorXd::Constant(3, inf), 0, 1));
}

}  // namespace
}  // namespace kedge
