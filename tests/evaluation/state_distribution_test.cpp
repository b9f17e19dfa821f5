// State distributions against their definitions in plain loops, and against distributions that are known.
#include "kedge/evaluation/state_distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Weighted maximum likelihood in plain loops, with the ridge of docs/algorithms/moto.md.
Gaussian plain_fit(const std::vector<VectorXd>& s, const std::vector<long double>& weight) {
  const Index n = s[0].size();
  long double total = 0;
  for (const long double w : weight) total += w;
  VectorXd mean = VectorXd::Zero(n);
  MatrixXd cov = MatrixXd::Zero(n, n);
  for (std::size_t k = 0; k < s.size(); ++k) mean += static_cast<double>(weight[k] / total) * s[k];
  for (std::size_t k = 0; k < s.size(); ++k)
    cov += static_cast<double>(weight[k] / total) * (s[k] - mean) * (s[k] - mean).transpose();
  for (Index i = 0; i < n; ++i) cov(i, i) += 1e-6 * cov(i, i) + 1e-8;
  return *make_gaussian(mean, cov);
}

void expect_near(const Gaussian& a, const Gaussian& b, double tolerance) {
  EXPECT_LT((a.mean - b.mean).cwiseAbs().maxCoeff(), tolerance);
  EXPECT_LT((a.cov - b.cov).cwiseAbs().maxCoeff(), tolerance);
  EXPECT_LT((a.L - b.L).cwiseAbs().maxCoeff(), tolerance);
}

Window random_window(int epochs, std::uint64_t seed) {
  Window window;
  for (int i = 0; i < epochs; ++i) window.push_back(random_epoch({2, 1, 4, 7 + 2 * i, 2, {1, i}}, i, seed));
  return window;
}

TEST(MixtureStateDistribution, WeighsSamplesOfAgeJByGammaToTheJ) {
  for (const int epochs : {1, 2, 4})
    for (const double gamma : {0.0, 0.5, 1.0}) {
      Window window = random_window(epochs, 3);
      window.change(window.size() - 1).rho.clear();  // not read
      const auto rho = mixture_state_distribution(window, gamma, 1);
      ASSERT_TRUE(rho);
      ASSERT_EQ(rho->size(), 4u);
      for (int t = 0; t < 4; ++t) {
        std::vector<VectorXd> s;
        std::vector<long double> weight;
        for (int i = 0; i < epochs; ++i) {
          const Batch& b = window[static_cast<std::size_t>(i)].batch;
          long double w = 1;
          for (int age = epochs - 1; age > i; --age) w *= gamma;
          for (int n = 0; n < b.rollouts; ++n)
            if (b.usable(n)) s.emplace_back(b.observation.col(b.at(n, t))), weight.push_back(w);
        }
        expect_near((*rho)[static_cast<std::size_t>(t)], plain_fit(s, weight), 1e-12);
      }
    }
}

TEST(MixtureStateDistribution, DependsOnThePresentIterationAloneIfGammaIsZero) {
  const Window window = random_window(3, 4);
  const auto all = mixture_state_distribution(window, 0.0, 1),
             present = mixture_state_distribution({window.back()}, 0.7, 1);
  for (std::size_t t = 0; t < 4; ++t) expect_near((*all)[t], (*present)[t], 1e-13);
}

TEST(MixtureStateDistribution, IsTheSameForAnyNumberOfThreads) {
  const Window window = random_window(3, 5);
  const auto one = mixture_state_distribution(window, 0.7, 1);
  EXPECT_TRUE(same_bits(*one, *mixture_state_distribution(window, 0.7, 2)));
  EXPECT_TRUE(same_bits(*one, *mixture_state_distribution(window, 0.7, 8)));
}

TEST(StateDistributions, IgnoreDivergedRollouts) {
  Window window = random_window(3, 6);
  const auto mixture = mixture_state_distribution(window, 0.7, 1), forward = forward_state_distribution(window);
  for (std::size_t i = 0; i < window.size(); ++i) {
    Epoch& epoch = window.change(i);
    for (int n = 0; n < epoch.batch.rollouts; ++n)
      if (!epoch.batch.usable(n)) {
        for (int t = 0; t <= 4; ++t) epoch.batch.observation.col(epoch.batch.at(n, t)).setConstant(nan);
        for (int t = 0; t < 4; ++t) epoch.batch.action.col(epoch.batch.step(n, t)).setConstant(nan);
      }
  }
  EXPECT_TRUE(same_bits(*mixture, *mixture_state_distribution(window, 0.7, 1)));
  EXPECT_TRUE(same_bits(*forward, *forward_state_distribution(window)));
}

TEST(StateDistributions, RejectFewerThanTwoUsableRollouts) {
  Window window = random_window(2, 7);
  window.push_back(random_epoch({2, 1, 4, 3, 2, {0, 2}}, 2, 7));
  EXPECT_FALSE(mixture_state_distribution(window, 0.7, 1));
  EXPECT_FALSE(forward_state_distribution(window));
  window.change(window.size() - 1) = random_epoch({2, 1, 4, 3, 2, {1}}, 2, 7);
  EXPECT_TRUE(mixture_state_distribution(window, 0.7, 1));
  EXPECT_TRUE(forward_state_distribution(window));
}

TEST(StateDistributions, RejectStatesThatOverflow) {
  Window window = random_window(1, 8);
  window.change(0).batch.observation.col(window[0].batch.at(2, 3)).setConstant(1e200);
  EXPECT_FALSE(mixture_state_distribution(window, 0.7, 1));
  EXPECT_FALSE(forward_state_distribution(window));
}

TEST(StateDistributions, AreRegularForStatesWithoutSpread) {
  Window window = random_window(1, 9);
  for (int n = 0; n < window[0].batch.rollouts; ++n)
    window.change(0).batch.observation.col(window[0].batch.at(n, 0)) = vec({1e3, -2});
  const auto rho = mixture_state_distribution(window, 0.7, 1);
  ASSERT_TRUE(rho);
  EXPECT_NEAR((*rho)[0].mean[0], 1e3, 1e-9);
  EXPECT_NEAR((*rho)[0].cov(0, 0), 1e-8, 1e-12);
}

TEST(StateDistributions, HaveVariancesRaisedByTheSquaresOfTheFloor) {
  const Window window = random_window(3, 10);
  const VectorXd floor = vec({0.3, 0.0});
  const auto plain = mixture_state_distribution(window, 0.7, 1),
             raised = mixture_state_distribution(window, 0.7, 1, floor);
  for (std::size_t t = 0; t < 4; ++t) {
    MatrixXd cov = (*plain)[t].cov;
    cov(0, 0) += 0.09;
    expect_near((*raised)[t], *make_gaussian((*plain)[t].mean, cov), 1e-14);
  }
  const auto forward = forward_state_distribution(window), forward_raised = forward_state_distribution(window, floor);
  EXPECT_NEAR((*forward_raised)[0].cov(0, 0), (*forward)[0].cov(0, 0) + 0.09, 1e-14);
  EXPECT_TRUE(same_bits(*plain, *mixture_state_distribution(window, 0.7, 1, VectorXd::Zero(2))));
}

// ---- forward propagation -------------------------------------------------------------------------------------------

/// Sec. 4.3.1 in plain loops: weights of step t+1 from the densities at step t.
std::vector<Gaussian> plain_forward(const Window& window) {
  const Epoch& present = window.back();
  std::vector<Gaussian> rho;
  std::vector<long double> weight;
  for (int t = 0; t < present.batch.horizon; ++t) {
    std::vector<VectorXd> s, a;
    for (const Epoch& epoch : window)
      for (int n = 0; n < epoch.batch.rollouts; ++n)
        if (epoch.batch.usable(n)) {
          s.emplace_back(epoch.batch.observation.col(epoch.batch.at(n, t)));
          a.emplace_back(epoch.batch.action.col(epoch.batch.step(n, t)));
        }
    if (t == 0) weight.assign(s.size(), 1.0L);
    rho.push_back(plain_fit(s, weight));
    for (std::size_t k = 0; k < s.size(); ++k) {
      long double mixture = 0;
      for (const Epoch& epoch : window) {
        const Gaussian& rho_j = &epoch == &present ? rho.back() : epoch.rho[static_cast<std::size_t>(t)];
        mixture += usable_rollouts(epoch.batch) * std::exp(log_density(rho_j, epoch.policy[t], s[k], a[k]));
      }
      weight[k] = std::exp(log_density(rho.back(), present.policy[t], s[k], a[k])) / mixture;
    }
  }
  return rho;
}

TEST(ForwardStateDistribution, IsItsDefinition) {
  for (const int epochs : {1, 2, 4}) {
    const Window window = random_window(epochs, 11);
    const auto rho = forward_state_distribution(window);
    const std::vector<Gaussian> plain = plain_forward(window);
    ASSERT_TRUE(rho);
    ASSERT_EQ(rho->size(), plain.size());
    for (std::size_t t = 0; t < plain.size(); ++t) expect_near((*rho)[t], plain[t], 1e-9);
  }
}

TEST(ForwardStateDistribution, IsTheMaximumLikelihoodFitOfOneIteration) {
  const Window window = random_window(1, 12);
  const auto forward = forward_state_distribution(window), mixture = mixture_state_distribution(window, 0.7, 1);
  for (std::size_t t = 0; t < 4; ++t) expect_near((*forward)[t], (*mixture)[t], 1e-11);
}

TEST(ForwardStateDistribution, FindsTheStatesOfThePresentPolicyInDataOfOthers) {
  constexpr int N = 8000, T = 5;
  Stream random(13, 0, 0, 0);
  const NoisyLinear system = random_noisy_linear(2, 1, random);
  const Gaussian start = random_gaussian(2, 1.0, random);
  const TvLinearGaussian old_policy = random_policy(T, 1, 2, random);
  TvLinearGaussian policy = old_policy;  // nearby, as MOTO's are
  for (int t = 0; t < T; ++t)
    policy[t] = make_linear_gaussian(policy[t].K + 0.1 * random_matrix(1, 2, random),
                                     policy[t].k + 0.3 * policy[t].C * random_vector(1, random), 0.8 * policy[t].Sigma);
  // Two old iterations of many rollouts, and the present one with few: the old data must be reweighted to be of use.
  const Window window = {simulate(system, start, old_policy, N, 0, 13), simulate(system, start, old_policy, N, 1, 13),
                         simulate(system, start, policy, N / 20, 2, 13)};
  const auto rho = forward_state_distribution(window);
  ASSERT_TRUE(rho);
  const std::vector<Gaussian> exact = propagate(system, start, policy), stale = propagate(system, start, old_policy);
  double farthest = 0.0;
  for (std::size_t t = 0; t < T; ++t) {
    // Chi-square of 5 parameters with at least N effective samples; the bias of a finite chain is well below.
    EXPECT_LT(kl((*rho)[t], exact[t]), 10.0 / N) << "t = " << t;
    farthest = std::max(farthest, kl(stale[t], exact[t]));
  }
  EXPECT_GT(farthest, 200.0 / N);  // the old distributions would have failed
}

}  // namespace
}  // namespace kedge
