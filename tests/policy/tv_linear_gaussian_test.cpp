#include "kedge/policy/tv_linear_gaussian.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

using ::testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Two time steps with different parameters: ds = 3, da = 2.
TvLinearGaussian example() {
  const MatrixXd K{{0.5, -1, 2}, {0, 0.25, -0.5}}, Sigma{{1.5, 0.4}, {0.4, 0.7}};
  return TvLinearGaussian(
      {make_linear_gaussian(K, VectorXd{{1, -2}}, Sigma), make_linear_gaussian(-K, VectorXd{{0, 3}}, 0.5 * Sigma)});
}

const VectorXd s{{0.3, -0.7, 1.1}};

TEST(TvLinearGaussian, KnowsItsSizes) {
  const TvLinearGaussian policy = example();
  EXPECT_EQ(policy.horizon(), 2);
  EXPECT_EQ(policy.observation_dim(), 3);
  EXPECT_EQ(policy.action_dim(), 2);
  EXPECT_EQ(TvLinearGaussian().horizon(), 0);
}

TEST(TvLinearGaussian, MeanIsAffineInTheState) {
  const TvLinearGaussian policy = example();
  VectorXd a(2);
  for (int t = 0; t < 2; ++t) {
    policy.mean(t, s, a);
    EXPECT_TRUE(a.isApprox(policy[t].K * s + policy[t].k, 1e-14));
  }
}

TEST(TvLinearGaussian, LogProbIsTheGaussianDensity) {
  const TvLinearGaussian policy = example();
  for (int t = 0; t < 2; ++t) {
    const LinearGaussian& pi = policy[t];
    const VectorXd mean = pi.K * s + pi.k, d{{0.4, -0.9}};
    EXPECT_NEAR(policy.log_prob(t, s, mean + d),
                -0.5 * (d.dot(pi.Sigma.inverse() * d) + std::log((2 * std::numbers::pi * pi.Sigma).determinant())),
                1e-13);
  }
}

TEST(TvLinearGaussian, ConstantPolicyIgnoresTheState) {
  const auto policy = TvLinearGaussian::constant(7, 3, VectorXd{{1, 2}}, VectorXd{{0.5, 4}});
  EXPECT_EQ(policy.horizon(), 7);
  EXPECT_EQ(policy.observation_dim(), 3);
  VectorXd a(2);
  for (int t = 0; t < 7; ++t) {
    policy.mean(t, s, a);
    EXPECT_EQ(a, (VectorXd{{1, 2}}));
    EXPECT_TRUE(policy[t].Sigma.isApprox(MatrixXd{{0.25, 0}, {0, 16}}));
    EXPECT_TRUE(policy[t].C.isApprox(MatrixXd{{0.5, 0}, {0, 4}}));
  }
  EXPECT_THROW(TvLinearGaussian::constant(7, 3, VectorXd{{1, 2}}, VectorXd{{0.5, 0}}), InputError);
}

TEST(MakeLinearGaussian, SymmetrisesAndFactorises) {
  const LinearGaussian pi = make_linear_gaussian(MatrixXd::Zero(2, 1), VectorXd::Zero(2), MatrixXd{{2, 1}, {0, 3}});
  EXPECT_EQ(pi.Sigma, (MatrixXd{{2, 0.5}, {0.5, 3}}));
  EXPECT_TRUE((pi.C * pi.C.transpose()).isApprox(pi.Sigma));
  EXPECT_EQ(pi.C(0, 1), 0);
}

TEST(MakeLinearGaussian, NamesTheFault) {
  const MatrixXd K = MatrixXd::Zero(2, 3), Sigma = MatrixXd::Identity(2, 2);
  const VectorXd k = VectorXd::Zero(2);
  const auto message = [](const MatrixXd& K_, const VectorXd& k_, const MatrixXd& Sigma_) -> std::string {
    try {
      make_linear_gaussian(K_, k_, Sigma_);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  EXPECT_EQ(message(K, k, Sigma), "nothing");
  EXPECT_THAT(message(MatrixXd::Zero(3, 3), k, Sigma), HasSubstr("K is 3x3, k has 2 entries, Sigma is 2x2"));
  EXPECT_THAT(message(K, VectorXd::Zero(1), Sigma), HasSubstr("k has 1 entries"));
  EXPECT_THAT(message(K, k, MatrixXd::Identity(2, 3)), HasSubstr("Sigma is 2x3"));
  EXPECT_THAT(message(MatrixXd::Constant(2, 3, nan), k, Sigma), HasSubstr("K contains"));
  EXPECT_THAT(message(K, VectorXd::Constant(2, nan), Sigma), HasSubstr("k is not finite"));
  EXPECT_THAT(message(K, k, nan * Sigma), HasSubstr("not positive definite"));
  EXPECT_THAT(message(K, k, -Sigma), HasSubstr("not positive definite"));
  EXPECT_THAT(message(K, k, MatrixXd::Ones(2, 2)), HasSubstr("not positive definite"));
}

}  // namespace
}  // namespace kedge
