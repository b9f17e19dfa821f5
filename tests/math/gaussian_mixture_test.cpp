// Mixtures of Gaussians: what EM must find, and that it never goes back.
#include "kedge/math/gaussian_mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

using testing::HasSubstr;

MatrixXd normal_matrix(Index rows, Index cols, Stream& random) {
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j) random.normal(m.col(j));
  return m;
}

/// Three separated clusters with weights 1/2, 1/3, 1/6, in units of very different size.
struct Clusters {
  std::vector<Gaussian> truth;
  MatrixXd x;
};
Clusters clusters(Index N) {
  Stream random(41, 0, 0, 0);
  Clusters c;
  const Eigen::Vector3d units(1e-3, 1.0, 1e4);
  for (int k = 0; k < 3; ++k) {
    const MatrixXd A = normal_matrix(3, 3, random);
    const VectorXd mean = units.asDiagonal() * (12.0 * Eigen::Vector3d(k == 0, k == 1, k == 2));
    const MatrixXd cov = A * A.transpose() + 0.2 * MatrixXd::Identity(3, 3);
    c.truth.push_back(*make_gaussian(mean, units.asDiagonal() * cov * units.asDiagonal()));
  }
  c.x.resize(3, N);
  for (Index n = 0; n < N; ++n) {
    const Gaussian& g = c.truth[n % 6 < 3 ? 0 : n % 6 < 5 ? 1 : 2];
    c.x.col(n) = g.mean + g.L * normal_matrix(3, 1, random);
  }
  return c;
}

TEST(GaussianMixture, FindsSeparatedClusters) {
  const Clusters c = clusters(6000);
  const MixtureFit fit = fit_mixture(c.x, {3, 1e-8, 200, 0.0}, Stream(1, 0, 0, 0), 1);
  ASSERT_EQ(fit.status, MixtureStatus::ok) << fit.message;
  ASSERT_EQ(fit.mixture.size(), 3);
  EXPECT_NEAR(fit.mixture.weight.sum(), 1.0, 1e-12);
  const double weight[] = {1.0 / 2, 1.0 / 3, 1.0 / 6};
  for (std::size_t k = 0; k < 3; ++k) {
    double nearest = std::numeric_limits<double>::infinity(), its_weight = 0.0;
    for (std::size_t j = 0; j < 3; ++j) {
      const double distance = kl(fit.mixture.component[j], c.truth[k]);
      if (distance < nearest) nearest = distance, its_weight = fit.mixture.weight[static_cast<Index>(j)];
    }
    EXPECT_LT(nearest, 0.02);  // 9 parameters, 1000 to 3000 samples: about 9 / (2 N) nats
    EXPECT_NEAR(its_weight, weight[k], 1e-3);
  }
}

/// By the definition: weight_k N(x_n; mean_k, cov_k), one density at a time.
TEST(GaussianMixture, ResponsibilitiesAreThoseOfTheirDefinition) {
  const Clusters c = clusters(75);  // no whole number of tiles
  const MixtureFit fit = fit_mixture(c.x, {5, 1e-4, 30, 0.0}, Stream(4, 0, 0, 0), 1);
  ASSERT_EQ(fit.status, MixtureStatus::ok) << fit.message;
  const Responsibilities r = responsibilities(fit.mixture, c.x, 1);
  for (Index n = 0; n < c.x.cols(); ++n) {
    VectorXd log_joint(fit.mixture.size());
    for (Index k = 0; k < fit.mixture.size(); ++k) {
      const Gaussian& g = fit.mixture.component[static_cast<std::size_t>(k)];
      const VectorXd d = c.x.col(n) - g.mean;
      log_joint[k] = std::log(fit.mixture.weight[k]) -
                     0.5 * (d.dot(g.cov.ldlt().solve(d)) + 3.0 * std::log(2.0 * std::numbers::pi) + log_det(g.L));
    }
    const double log_p = log_sum_exp_rows(log_joint.transpose())[0];
    EXPECT_NEAR(r.log_p[n], log_p, 1e-9 * (1.0 + std::abs(log_p)));
    for (Index k = 0; k < fit.mixture.size(); ++k)
      EXPECT_NEAR(r.share(n, k), std::exp(log_joint[k] - log_p), 1e-9) << n << ", " << k;
    EXPECT_NEAR(r.share.row(n).sum(), 1.0, 1e-12);
  }
}

TEST(GaussianMixture, ObjectiveNeverFalls) {
  const Clusters c = clusters(600);
  for (const int K : {1, 2, 3, 5, 12})
    for (const double ridge : {1e-6, 1e-2}) {
      SCOPED_TRACE(fmt::format("{} components, ridge {}", K, ridge));
      const MixtureFit fit = fit_mixture(c.x, {K, ridge, 60, 0.0}, Stream(2, 0, 0, 0), 1);
      ASSERT_EQ(fit.status, MixtureStatus::ok) << fit.message;
      for (std::size_t i = 1; i < fit.objective.size(); ++i)
        EXPECT_GE(fit.objective[i], fit.objective[i - 1] - 1e-12 * std::abs(fit.objective[i]));
      EXPECT_GE(fit.objective.size(), 2U);
    }
}

TEST(GaussianMixture, HasTheMomentsOfTheSamplesForOneComponent) {
  Stream random(3, 0, 0, 0);
  const MatrixXd x = normal_matrix(4, 50, random);
  const MixtureFit fit = fit_mixture(x, {1, 1e-12, 5, 0.0}, Stream(1, 0, 0, 0), 1);
  const VectorXd mean = x.rowwise().mean();
  const MatrixXd d = x.colwise() - mean;
  EXPECT_LT((fit.mixture.component[0].mean - mean).norm(), 1e-12);
  EXPECT_LT((fit.mixture.component[0].cov - d * d.transpose() / 50).norm(), 1e-10);
  const Moments moments = mixture_moments(fit.mixture, VectorXd::Ones(1));
  EXPECT_LT((moments.cov - fit.mixture.component[0].cov).norm(), 1e-12);
}

TEST(GaussianMixture, MomentsAreThoseOfItsSamples) {
  const Clusters c = clusters(6000);
  const MixtureFit fit = fit_mixture(c.x, {3, 1e-10, 200, 1e-9}, Stream(1, 0, 0, 0), 1);
  const Moments m = mixture_moments(fit.mixture, fit.mixture.weight);
  const VectorXd mean = c.x.rowwise().mean();
  const MatrixXd d = c.x.colwise() - mean;
  const MatrixXd cov = d * d.transpose() / 6000;
  EXPECT_LT((m.mean - mean).cwiseQuotient(mean).norm(), 1e-9);
  EXPECT_LT((m.cov - cov).cwiseQuotient(cov).cwiseAbs().maxCoeff(), 1e-6);
}

TEST(GaussianMixture, IsTheSameForAnyNumberOfThreads) {
  const Clusters c = clusters(600);
  const auto fit = [&](int threads) {
    return fit_mixture(c.x, {7, 1e-6, 20, 0.0}, Stream(5, 1, 2, 3), threads).mixture;
  };
  const GaussianMixture one = fit(1);
  for (const int threads : {2, 8}) {
    const GaussianMixture other = fit(threads);
    ASSERT_EQ(other.size(), one.size());
    EXPECT_EQ(std::memcmp(one.weight.data(), other.weight.data(), sizeof(double) * 7), 0);
    for (std::size_t k = 0; k < 7; ++k)
      EXPECT_EQ(std::memcmp(one.component[k].cov.data(), other.component[k].cov.data(), sizeof(double) * 9), 0);
  }
}

TEST(GaussianMixture, StaysFiniteFarAwayAndWithoutVariance) {
  Clusters c = clusters(60);
  c.x.row(1).setConstant(7.0);  // never varies
  const MixtureFit fit = fit_mixture(c.x, {6, 1e-6, 50, 0.0}, Stream(1, 0, 0, 0), 1);
  ASSERT_EQ(fit.status, MixtureStatus::ok) << fit.message;
  for (const Gaussian& g : fit.mixture.component) EXPECT_TRUE(g.cov.allFinite() && g.mean.allFinite());
  const MatrixXd far = MatrixXd::Constant(3, 1, 1e9);
  const Responsibilities r = responsibilities(fit.mixture, far, 1);
  EXPECT_TRUE(std::isfinite(r.log_p[0]));
  EXPECT_NEAR(r.share.sum(), 1.0, 1e-12);
  EXPECT_EQ(log_sum_exp_rows(MatrixXd::Constant(1, 2, -std::numeric_limits<double>::infinity()))[0],
            -std::numeric_limits<double>::infinity());
}

TEST(GaussianMixture, NamesEveryFailure) {
  Stream random(3, 0, 0, 0);
  MatrixXd x = normal_matrix(2, 10, random);
  EXPECT_EQ(fit_mixture(x, {11, 1e-6, 5, 0.0}, Stream(1, 0, 0, 0), 1).status, MixtureStatus::too_few);
  const MixtureFit equal = fit_mixture(MatrixXd::Ones(2, 10), {2, 1e-6, 5, 0.0}, Stream(1, 0, 0, 0), 1);
  EXPECT_EQ(equal.status, MixtureStatus::too_few);
  EXPECT_THAT(equal.message, HasSubstr("fewer distinct samples than 2 components"));
  x(0, 3) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(fit_mixture(x, {2, 1e-6, 5, 0.0}, Stream(1, 0, 0, 0), 1).status, MixtureStatus::not_finite);
  x(0, 3) = 1e200;
  EXPECT_EQ(fit_mixture(x, {2, 1e-6, 5, 0.0}, Stream(1, 0, 0, 0), 1).status, MixtureStatus::not_finite);
  x(0, 3) = 0.0;
  for (const MixtureOptions& bad : {MixtureOptions{0, 1e-6, 5, 0.0}, MixtureOptions{2, 0.0, 5, 0.0},
                                    MixtureOptions{2, 1e-6, 0, 0.0}, MixtureOptions{2, 1e-6, 5, -1.0}})
    EXPECT_THROW((void)fit_mixture(x, bad, Stream(1, 0, 0, 0), 1), InputError);
}

}  // namespace
}  // namespace kedge
