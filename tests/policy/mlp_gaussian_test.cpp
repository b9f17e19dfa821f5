// The Gaussian head; the network below it is tested in network_test.cpp, what every policy keeps in laws_test.cpp.
#include "kedge/policy/mlp_gaussian.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/core/errors.h"
#include "tests/support/allocations.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::allocations;
using test::random_matrix;
using test::random_vector;
using test::same_bits;
using ::testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

NetworkShape shape(Index ds, std::vector<Index> hidden, Index da, Activation activation = Activation::softplus,
                   bool output_bias = false) {
  Stream random(3, static_cast<std::uint32_t>(ds), static_cast<std::uint32_t>(da), 0);
  return {
      std::move(hidden),          activation, output_bias, 0.3 * random_vector(ds, random), VectorXd::Constant(ds, 0.8),
      VectorXd::Constant(da, 1.5)};
}

MlpGaussian policy(const NetworkShape& shape) {
  Stream random(4, 0, 0, 0);
  const VectorXd log_std = 0.3 * random_vector(shape.outputs(), random);
  return MlpGaussian(shape, random_theta(shape, log_std, random, 0.4, 0.9));
}

TEST(MlpGaussian, HasThePapersNumberOfParameters) {
  EXPECT_EQ(parameter_count(shape(17, {10}, 6)), 246);  // walker, 10 units
  EXPECT_EQ(parameter_count(shape(17, {10}, 6, Activation::softplus, true)), 252);
  EXPECT_EQ(parameter_count(shape(9, {5}, 2)), 62);  // swimmer, 5 units; the paper counts one more
  EXPECT_EQ(parameter_count(shape(17, {5}, 6)), 126);
  EXPECT_EQ(parameter_count(shape(3, {}, 2)), 8);
}

TEST(MlpGaussian, ThetaIsTheWeightsAndThenLogStd) {
  const NetworkShape n = shape(4, {6}, 2);
  Stream random(11, 0, 0, 0), again(11, 0, 0, 0);
  const VectorXd log_std{{-1.5, 0.25}}, theta = random_theta(n, log_std, random);
  const MlpGaussian pi(n, theta);
  EXPECT_EQ(pi.theta(), theta);
  EXPECT_EQ(pi.network().weights(), random_weights(n, again));
  EXPECT_EQ(theta.head(theta.size() - 2), pi.network().weights());
  EXPECT_EQ(pi.log_std(), log_std);
  EXPECT_EQ(pi.std(), (VectorXd{{std::exp(-1.5), std::exp(0.25)}}));
  EXPECT_THROW((void)random_theta(n, VectorXd::Zero(3), random), InputError);
}

TEST(MlpGaussian, IsTheSameAtEveryStep) {
  const MlpGaussian pi = policy(shape(4, {6}, 2));
  EXPECT_EQ(pi.horizon(), kEndless);
  const VectorXd s{{1, -2, 0.5, 3}};
  VectorXd first(2), late(2);
  pi.mean(0, s, first);
  pi.mean(1000000, s, late);
  EXPECT_EQ(late, first);
  EXPECT_EQ(pi.log_prob(7, s, late), pi.log_prob(0, s, late));
}

TEST(MlpGaussian, LogProbIsTheDiagonalGaussian) {
  const MlpGaussian pi = policy(shape(3, {4}, 2));
  const VectorXd s{{0.3, -0.7, 1.1}}, d{{0.4, -0.9}};
  VectorXd mu(2);
  pi.mean(0, s, mu);
  EXPECT_NEAR(pi.log_prob(0, s, mu + d),
              -0.5 * d.cwiseQuotient(pi.std()).squaredNorm() - std::log(2 * std::numbers::pi * pi.std().prod()), 1e-13);
}

TEST(MlpGaussian, BatchesHaveTheBitsOfSingleStates) {
  Stream random(6, 0, 0, 0);
  const MlpGaussian pi = policy(shape(5, {7, 3}, 4, Activation::tanh, true));
  constexpr Index N = 150;
  const MatrixXd s = 2 * random_matrix(5, N, random), a = random_matrix(4, N, random), mu = pi.means(s);
  const VectorXd log_p = pi.log_probs(s, a);
  VectorXd mean(4);
  for (Index n = 0; n < N; ++n) {
    pi.mean(0, s.col(n), mean);
    EXPECT_TRUE(same_bits(VectorXd(mu.col(n)), mean));
    EXPECT_EQ(log_p[n], pi.log_prob(0, s.col(n), a.col(n)));
  }
}

TEST(MlpGaussian, GradientOfALossOfTheMeanLeavesOutLogStd) {
  Stream random(9, 0, 0, 0);
  const MlpGaussian pi = policy(shape(5, {7}, 3));
  const NetworkInputs s = pi.prepare(random_matrix(5, 150, random));
  const auto ones = [](Index, const Eigen::Ref<const MatrixXd>&, Eigen::Ref<MatrixXd> g) { g.setOnes(); };
  const VectorXd gradient = pi.gradient(s, ones);
  EXPECT_EQ(gradient.tail(3), VectorXd::Zero(3));
  EXPECT_TRUE(same_bits(VectorXd(gradient.head(gradient.size() - 3)), pi.network().gradient(s, ones)));
}

TEST(MlpGaussian, ScoreDoesNotDependOnThreadsOrAddresses) {
  const MlpGaussian pi = policy(shape(17, {10}, 6));
  Stream random(10, 0, 0, 0);
  constexpr Index N = 5000;
  const MatrixXd s = random_matrix(17, N, random), a = random_matrix(6, N, random);
  const VectorXd w = random_vector(N, random), score = pi.log_prob_gradient(s, a, w, 1);
  MatrixXd shifted(17, N + 1);
  shifted.rightCols(N) = s;
  for (const int threads : {1, 2, 8})
    EXPECT_TRUE(same_bits(pi.log_prob_gradient(shifted.rightCols(N), a, w, threads), score));
}

TEST(MlpGaussian, RejectsImpossibleParametersAndSizes) {
  const NetworkShape n = shape(3, {4}, 2);
  const auto message = [&](auto change) -> std::string {
    VectorXd theta = VectorXd::Zero(parameter_count(n));
    change(theta);
    try {
      const MlpGaussian pi(n, theta);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  EXPECT_EQ(message([](VectorXd&) {}), "nothing");
  EXPECT_THAT(message([](VectorXd& theta) { theta.conservativeResize(5); }), HasSubstr("theta has 5 entries"));
  EXPECT_THAT(message([](VectorXd& theta) { theta[4] = nan; }), HasSubstr("theta[4] = nan"));
  EXPECT_THAT(message([](VectorXd& theta) { theta.tail(1)[0] = 800; }), HasSubstr("log_std[1] = 800"));
  EXPECT_THAT(message([](VectorXd& theta) { theta.tail(2)[0] = -800; }), HasSubstr("log_std[0] = -800"));

  const MlpGaussian pi = policy(n);
  const MatrixXd s = MatrixXd::Zero(3, 5), a = MatrixXd::Zero(2, 5);
  EXPECT_THROW((void)pi.means(MatrixXd::Zero(4, 5)), InputError);
  EXPECT_THROW((void)pi.log_probs(s, MatrixXd::Zero(2, 4)), InputError);
  EXPECT_THROW((void)pi.log_probs(s, MatrixXd::Zero(3, 5)), InputError);
  EXPECT_THROW((void)pi.log_prob_gradient(s, a, VectorXd::Ones(4)), InputError);
  EXPECT_THROW((void)pi.log_prob_gradient(s, MatrixXd::Zero(3, 5), VectorXd::Ones(5)), InputError);
}

TEST(MlpGaussian, FisherProductIsTheHessianOfTheDivergence) {
  for (const auto& [hidden, activation, bias] : std::vector<std::tuple<std::vector<Index>, Activation, bool>>{
           {{3}, Activation::tanh, true}, {{4, 2}, Activation::softplus, false}, {{}, Activation::tanh, true}}) {
    NetworkShape n = shape(3, hidden, 2, activation, bias);
    n.input_clip = 1.5;
    MlpGaussian pi = policy(n);
    Stream random(12, 0, 0, 0);
    const MatrixXd x = random_matrix(3, 130, random);  // blocks that are full and one that is not
    const NetworkInputs inputs = pi.prepare(x);
    const MlpGaussian old = pi;
    const VectorXd theta = pi.theta();
    const DiagonalGaussians before = pi.actions(inputs);
    const auto divergence = [&](const VectorXd& moved) {
      pi.set_theta(moved);
      return mean_kl(before, pi.actions(inputs));
    };
    for (Index i = 0; i < theta.size(); ++i) {
      const VectorXd e = VectorXd::Unit(theta.size(), i), v = random_vector(theta.size(), random);
      const auto mixed = [&](double h) {
        return (divergence(theta + h * (e + v)) - divergence(theta + h * (e - v)) - divergence(theta - h * (e - v)) +
                divergence(theta - h * (e + v))) /
               (4 * h * h);
      };
      EXPECT_NEAR(old.fisher_product(inputs, v)[i], (4 * mixed(1e-3) - mixed(2e-3)) / 3, 2e-6) << i;
    }
  }
}

TEST(MlpGaussian, FisherProductIsSymmetricPositiveAndTheSameForAnyNumberOfThreads) {
  const MlpGaussian pi = policy(shape(4, {9, 5}, 3, Activation::tanh, true));
  Stream random(13, 0, 0, 0);
  const NetworkInputs x = pi.prepare(random_matrix(4, 5000, random));
  const VectorXd u = random_vector(pi.theta().size(), random), v = random_vector(u.size(), random);
  const VectorXd Fv = pi.fisher_product(x, v);
  EXPECT_NEAR(u.dot(Fv), v.dot(pi.fisher_product(x, u)), 1e-10 * u.norm() * Fv.norm());
  EXPECT_GT(v.dot(Fv), 0.0);
  for (const int threads : {2, 5}) EXPECT_TRUE(same_bits(pi.fisher_product(x, v, threads), Fv));
  EXPECT_THROW((void)pi.fisher_product(x, v.head(3)), InputError);
}

TEST(MlpGaussian, AClockIsOneMoreInput) {
  NetworkShape n = shape(4, {6}, 2);
  const MlpGaussian with(n, policy(n).theta(), 8), without = policy(n);
  EXPECT_EQ(with.horizon(), 8);
  EXPECT_EQ(with.observation_dim(), 3);
  const VectorXd s{{0.3, -0.7, 1.1}}, a{{0.5, -1}};
  for (const int t : {0, 3, 7}) {
    VectorXd x(4), one(2), other(2);
    x << s, t / 8.0;
    with.mean(t, s, one);
    without.mean(0, x, other);
    EXPECT_TRUE(same_bits(one, other));
    EXPECT_EQ(with.log_prob(t, s, a), without.log_prob(0, x, a));
  }
  VectorXd out(2);
  const long before = allocations;
  with.mean(1, s, out);
  EXPECT_EQ(allocations, before);
  EXPECT_THROW(MlpGaussian(n, with.theta(), -1), InputError);
  const NetworkShape narrow = shape(1, {6}, 2);
  EXPECT_THROW(MlpGaussian(narrow, policy(narrow).theta(), 8), InputError);
}

}  // namespace
}  // namespace kedge
