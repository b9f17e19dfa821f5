#include "kedge/policy/diagonal_tv_linear.h"

#include <gtest/gtest.h>

#include <limits>

#include "kedge/core/errors.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;

constexpr int T = 3;
constexpr Index ds = 2, da = 2, N = 40;

TvLinearGaussian policy() {
  Stream random(1, 0, 0, 0);
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < T; ++t) {
    const VectorXd variance = (0.3 * random_vector(da, random)).array().exp();
    steps.push_back(make_linear_gaussian(random_matrix(da, ds, random), random_vector(da, random),
                                         variance.asDiagonal().toDenseMatrix()));
  }
  return TvLinearGaussian(std::move(steps));
}

DiagonalTvLinear example() { return {policy(), VectorXd{{0.5, -1}}, VectorXd{{2, 0.5}}}; }

StatesAtSteps states() {
  Stream random(2, 0, 0, 0);
  StatesAtSteps at{random_matrix(ds, N, random), {}};
  for (int n = 0; n < N; ++n) at.step.push_back(n % 7 % T);  // not equally often
  return at;
}

TEST(DiagonalTvLinear, IsThePolicyItWasMadeOf) {
  const DiagonalTvLinear pi = example();
  DiagonalTvLinear again = pi;
  again.set_theta(pi.theta());
  for (int t = 0; t < T; ++t) {
    EXPECT_TRUE(again.policy()[t].K.isApprox(policy()[t].K, 1e-14));
    EXPECT_TRUE(again.policy()[t].k.isApprox(policy()[t].k, 1e-14));
    EXPECT_TRUE(again.policy()[t].Sigma.isApprox(policy()[t].Sigma, 1e-14));
  }
  const StatesAtSteps at = states();
  const DiagonalGaussians actions = pi.actions(at);
  Stream random(3, 0, 0, 0);
  const MatrixXd a = random_matrix(da, N, random);
  const VectorXd log_p = log_densities(actions, a);
  for (Index n = 0; n < N; ++n)
    EXPECT_NEAR(log_p[n], policy().log_prob(at.step[static_cast<std::size_t>(n)], at.s.col(n), a.col(n)), 1e-12);
}

TEST(DiagonalTvLinear, ScoreAgreesWithDifferences) {
  const StatesAtSteps at = states();
  Stream random(3, 0, 0, 0);
  const MatrixXd a = random_matrix(da, N, random);
  const VectorXd w = random_vector(N, random);
  DiagonalTvLinear pi = example();
  const VectorXd theta = pi.theta(), score = pi.log_prob_gradient(at, a, w);
  for (Index i = 0; i < theta.size(); ++i) {
    const auto value = [&](double h) {
      VectorXd moved = theta;
      moved[i] += h;
      pi.set_theta(moved);
      return w.dot(log_densities(pi.actions(at), a));
    };
    EXPECT_NEAR(score[i], (4 * (value(1e-3) - value(-1e-3)) / 2e-3 - (value(2e-3) - value(-2e-3)) / 4e-3) / 3, 1e-7)
        << i;
  }
}

TEST(DiagonalTvLinear, FisherProductIsTheHessianOfTheDivergence) {
  const StatesAtSteps at = states();
  DiagonalTvLinear pi = example();
  const DiagonalTvLinear old = pi;
  const VectorXd theta = pi.theta();
  const DiagonalGaussians before = pi.actions(at);
  const auto divergence = [&](const VectorXd& moved) {
    pi.set_theta(moved);
    return mean_kl(before, pi.actions(at));
  };
  Stream random(4, 0, 0, 0);
  for (Index i = 0; i < theta.size(); ++i) {
    const VectorXd e = VectorXd::Unit(theta.size(), i), v = random_vector(theta.size(), random);
    // d2/dh dk KL(theta + h e + k v) at 0
    const auto mixed = [&](double h) {
      return (divergence(theta + h * (e + v)) - divergence(theta + h * (e - v)) - divergence(theta - h * (e - v)) +
              divergence(theta - h * (e + v))) /
             (4 * h * h);
    };
    EXPECT_NEAR(old.fisher_product(at, v)[i], (4 * mixed(1e-3) - mixed(2e-3)) / 3, 1e-6) << i;
  }
}

TEST(DiagonalTvLinear, RefusesWhatIsNoParameter) {
  DiagonalTvLinear pi = example();
  const VectorXd theta = pi.theta();
  VectorXd bad = theta;
  bad[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(pi.set_theta(bad), InputError);
  bad = theta;
  bad[theta.size() - 1] = -800;  // its variance is 0 in double precision
  EXPECT_THROW(pi.set_theta(bad), InputError);
  EXPECT_THROW(pi.set_theta(theta.head(5)), InputError);
  EXPECT_EQ(pi.theta(), theta);
  TvLinearGaussian full = policy();
  full[1] = make_linear_gaussian(full[1].K, full[1].k, MatrixXd{{1, 0.1}, {0.1, 1}});
  EXPECT_THROW(DiagonalTvLinear(full, VectorXd::Zero(ds), VectorXd::Ones(ds)), InputError);
  EXPECT_THROW(DiagonalTvLinear(policy(), VectorXd::Zero(ds), VectorXd::Zero(ds)), InputError);
  EXPECT_THROW(DiagonalTvLinear(policy(), VectorXd::Zero(3), VectorXd::Ones(3)), InputError);
  EXPECT_THROW((void)pi.fisher_product(states(), theta.head(3)), InputError);
  EXPECT_THROW((void)pi.log_prob_gradient(states(), MatrixXd::Zero(da, 3), VectorXd::Zero(3)), InputError);
}

}  // namespace
}  // namespace kedge
