// The fit of a search distribution and the step towards it within a KL bound.
#include "kedge/update/search_step.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/math/gaussian.h"
#include "kedge/update/gaussian_step.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;

LinearGaussian random_search(Index P, Index F, Stream& random) {
  const MatrixXd L = random_matrix(P, P, random);
  return make_linear_gaussian(random_matrix(P, F, random), random_vector(P, random),
                              L * L.transpose() + 0.1 * MatrixXd::Identity(P, P));
}

Moments random_context(Index F, Stream& random) {
  const MatrixXd L = random_matrix(F, F, random);
  return {random_vector(F, random), L * L.transpose()};
}

TEST(SearchStep, MeetsItsBoundFromBelow) {
  Stream random(1, 0, 0, 0);
  for (int i = 0; i < 40; ++i) {
    const Index P = 1 + i % 7, F = i % 3;
    const LinearGaussian old = random_search(P, F, random), fitted = random_search(P, F, random);
    const Moments context = random_context(F, random);
    const double epsilon = std::pow(10.0, -4.0 + 0.1 * i);
    const SearchStep step = search_step(old, fitted, context, epsilon);
    ASSERT_EQ(step.status, SearchStatus::ok) << step.message;
    EXPECT_EQ(step.kl, expected_kl(step.next, old, context));
    EXPECT_LE(step.kl, epsilon);
    if (step.length < 1.0) {
      EXPECT_GE(step.kl, epsilon * (1 - 1e-9));
    }
    EXPECT_NEAR(step.entropy, entropy(step.next.C), 1e-12);
  }
}

/// The moments of the joint distribution of parameters and features are those of the mixture.
TEST(SearchStep, GoesAlongTheMixture) {
  Stream random(2, 0, 0, 0);
  const LinearGaussian old = random_search(3, 2, random), fitted = random_search(3, 2, random);
  const Moments c = random_context(2, random);
  const SearchStep step = search_step(old, fitted, c, 0.2);
  ASSERT_GT(step.length, 0.0);
  ASSERT_LT(step.length, 1.0);
  const MatrixXd second = c.cov + c.mean * c.mean.transpose();
  const auto mean = [&](const LinearGaussian& g) -> VectorXd { return g.K * c.mean + g.k; };
  const auto cross = [&](const LinearGaussian& g) -> MatrixXd { return g.K * second + g.k * c.mean.transpose(); };
  const auto square = [&](const LinearGaussian& g) -> MatrixXd {
    return g.Sigma + g.K * c.cov * g.K.transpose() + mean(g) * mean(g).transpose();
  };
  const double a = step.length;
  EXPECT_LT((mean(step.next) - (1 - a) * mean(old) - a * mean(fitted)).norm(), 1e-12);
  EXPECT_LT((cross(step.next) - (1 - a) * cross(old) - a * cross(fitted)).norm(), 1e-11);
  EXPECT_LT((square(step.next) - (1 - a) * square(old) - a * square(fitted)).norm(), 1e-11);
}

TEST(SearchStep, KeepsItsDistanceFromASingularFit) {
  Stream random(3, 0, 0, 0);
  const LinearGaussian old = random_search(6, 0, random);
  LinearGaussian flat = old;
  flat.Sigma.setZero();  // one sample has all the weight
  const SearchStep step = search_step(old, flat, {VectorXd(0), MatrixXd(0, 0)}, 0.5);
  ASSERT_EQ(step.status, SearchStatus::ok);
  EXPECT_LE(step.kl, 0.5);
  EXPECT_GT(step.next.C.diagonal().minCoeff(), 0.0);
}

TEST(SearchStep, GoesAllTheWayWithinTheBound) {
  Stream random(4, 0, 0, 0);
  const LinearGaussian old = random_search(3, 0, random);
  LinearGaussian near = old;
  near.k[0] += 1e-3;
  const SearchStep step = search_step(old, near, {VectorXd(0), MatrixXd(0, 0)}, 1.0);
  EXPECT_EQ(step.length, 1.0);
  EXPECT_EQ(step.next.k, near.k);
}

TEST(SearchStep, RefusesNumbersThatAreNotFinite) {
  Stream random(5, 0, 0, 0);
  const LinearGaussian old = random_search(3, 0, random);
  LinearGaussian broken = old;
  broken.k[1] = std::numeric_limits<double>::infinity();
  const SearchStep step = search_step(old, broken, {VectorXd(0), MatrixXd(0, 0)}, 1.0);
  EXPECT_EQ(step.status, SearchStatus::not_finite);
  EXPECT_EQ(step.next.k, old.k);
  EXPECT_THROW((void)search_step(old, old, {VectorXd(0), MatrixXd(0, 0)}, 0.0), InputError);
}

TEST(FitSearch, FindsALinearMapWithoutNoise) {
  Stream random(6, 0, 0, 0);
  const LinearGaussian truth = random_search(3, 2, random), old = random_search(3, 2, random);
  const MatrixXd phi = random_matrix(2, 30, random);
  VectorXd weight = random_vector(30, random).cwiseAbs();
  weight /= weight.sum();
  const LinearGaussian found = fit_search(old, (truth.K * phi).colwise() + truth.k, phi, weight);
  EXPECT_LT((found.K - truth.K).norm(), 1e-4 * (truth.K - old.K).norm()) << "but for the ridge";
  EXPECT_LT((found.k - truth.k).norm(), 1e-4 * (truth.k - old.k).norm());
  EXPECT_LT(found.Sigma.norm(), 1e-8);
}

TEST(FitSearch, CovarianceHasNoBias) {
  Stream random(7, 0, 0, 0);
  const VectorXd weight{{0.3, 0.2, 0.1, 0.1, 0.15, 0.15}};
  for (const Index F : {0, 2}) {
    const LinearGaussian truth = random_search(2, F, random);
    const MatrixXd phi = random_matrix(F, 6, random);
    MatrixXd mean = MatrixXd::Zero(2, 2);
    constexpr int n = 20000;
    for (int i = 0; i < n; ++i) {
      const MatrixXd theta = (truth.K * phi + truth.C * random_matrix(2, 6, random)).colwise() + truth.k;
      mean += fit_search(truth, theta, phi, weight).Sigma / n;
    }
    EXPECT_LT((mean - truth.Sigma).norm(), 0.03 * truth.Sigma.norm()) << F;
  }
}

TEST(FitSearch, OneSampleAloneSaysNothingOfTheCovariance) {
  Stream random(8, 0, 0, 0);
  const LinearGaussian old = random_search(2, 1, random);
  const MatrixXd theta = random_matrix(2, 3, random), phi = random_matrix(1, 3, random);
  const LinearGaussian found = fit_search(old, theta, phi, VectorXd{{0.0, 1.0, 0.0}});
  EXPECT_EQ(found.Sigma, old.Sigma);
  EXPECT_LT((found.K * phi.col(1) + found.k - theta.col(1)).norm(), 1e-12);
  EXPECT_LT((found.K - old.K).norm(), 1e-12);
}

}  // namespace
}  // namespace kedge
