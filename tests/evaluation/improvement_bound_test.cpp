// The lower bound on the improvement: its parts against exact expectations and exact state distributions.
#include "kedge/evaluation/improvement_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;

TEST(ExpectedAdvantage, IsTheDifferenceOfTwoExpectationsAtEveryState) {
  for (const auto& [ds, da] : {std::pair<Index, Index>{1, 1}, {3, 1}, {2, 3}}) {
    Stream random(71, static_cast<std::uint32_t>(ds), static_cast<std::uint32_t>(da), 0);
    const Gaussian rho = random_gaussian(ds, 1.5, random);
    const LinearGaussian old_policy = random_step(da, ds, random), new_policy = random_step(da, ds, random);
    const Quadratic q = quadratic_from_features(random_vector(feature_count(ds + da), random), ds + da);
    const Quadratic advantage = expected_advantage(q, old_policy, new_policy, rho);
    const Whitening map = whitening(rho, old_policy);
    const Grid noise = gauss_hermite(da);
    const auto expectation = [&](const LinearGaussian& pi, const VectorXd& s) {  // of Q(s, a), a ~ pi, by quadrature
      double sum = 0.0;
      for (Index k = 0; k < noise.z.rows(); ++k) {
        VectorXd x(ds + da);
        x << s, pi.K * s + pi.k + pi.C * noise.z.row(k).transpose();
        sum += noise.weight[k] * q(map.W * x - map.b);
      }
      return sum;
    };
    for (int i = 0; i < 10; ++i) {
      const VectorXd xi = random_vector(ds, random), s = rho.mean + rho.L * xi;
      const double expected = expectation(new_policy, s) - expectation(old_policy, s);
      EXPECT_NEAR(advantage(xi), expected, 1e-10 * (1 + std::abs(expected)));
    }
    const Quadratic none = expected_advantage(q, old_policy, old_policy, rho);
    EXPECT_LT(std::abs(none.c) + none.g.norm() + none.H.norm(), 1e-13);
  }
}

TEST(StateKlBounds, FollowTheRecursion) {
  const std::vector<double> kl = {0.1, 0.0, 0.02, 5.0};
  const std::vector<double> bound = state_kl_bounds(kl);
  const double constant = 1.0 + std::numbers::e / (std::numbers::e - 1.0);
  ASSERT_EQ(bound.size(), 4u);
  EXPECT_EQ(bound[0], 0.0);
  EXPECT_DOUBLE_EQ(bound[1], constant * 0.1);
  EXPECT_EQ(bound[2], bound[1]);
  EXPECT_DOUBLE_EQ(bound[3], bound[2] + constant * 0.02 * (1 + 2 * bound[2]));
  EXPECT_TRUE(state_kl_bounds({}).empty());
}

/// E_{s ~ rho} KL(p(.|s) || q(.|s)), written out.
double plain_expected_kl(const LinearGaussian& p, const LinearGaussian& q, const Gaussian& rho) {
  const MatrixXd precision = q.Sigma.inverse(), dK = p.K - q.K;
  const VectorXd dk = dK * rho.mean + p.k - q.k;
  return 0.5 * ((precision * p.Sigma).trace() - static_cast<double>(p.k.size()) +
                std::log(q.Sigma.determinant() / p.Sigma.determinant()) + dk.dot(precision * dk) +
                (dK.transpose() * precision * dK * rho.cov).trace());
}

TEST(StateKlBounds, HoldForTheStatesOfLinearGaussianPolicies) {
  double closest = 0.0;
  for (std::uint32_t number = 0; number < 1500; ++number) {
    Stream random(72, number, 0, 0);
    const int T = 6;
    const Index ds = 1 + number % 4, da = 1 + number % 3;
    NoisyLinear system = random_noisy_linear(ds, da, random);
    // Large actions and little noise: the states tell the policies apart as well as the actions do.
    if (number % 2) system.B *= 10.0, system.noise.cov *= 1e-4;
    const Gaussian start = random_gaussian(ds, 1.0, random);
    const TvLinearGaussian old_policy = random_policy(T, da, ds, random);
    TvLinearGaussian new_policy = old_policy;
    const double step = std::pow(10.0, -static_cast<double>(number % 4));
    for (int t = 0; t < T; ++t) {
      const MatrixXd dK = step * random_matrix(da, ds, random);
      const VectorXd dk = step * random_vector(da, random);
      new_policy[t] = make_linear_gaussian(old_policy[t].K + dK, old_policy[t].k + dk,
                                           std::exp(step * random.normal()) * old_policy[t].Sigma);
    }
    const std::vector<Gaussian> p = propagate(system, start, new_policy), q = propagate(system, start, old_policy);
    std::vector<double> kl_reached;
    for (int t = 0; t < T; ++t)
      kl_reached.push_back(plain_expected_kl(new_policy[t], old_policy[t], q[static_cast<std::size_t>(t)]));
    const std::vector<double> bound = state_kl_bounds(kl_reached);
    for (std::size_t t = 0; t < T; ++t) {
      const double reached = kl(p[t], q[t]);
      ASSERT_LE(reached, bound[t] * (1 + 1e-9) + 1e-12) << "problem " << number << ", t = " << t;
      if (t > 0) closest = std::max(closest, reached / bound[t]);
    }
  }
  EXPECT_GT(closest, 0.3);  // 1 / 2.58 where one step moves the states as much as the actions
  RecordProperty("closest", std::to_string(closest));
}

TEST(ImprovementBound, IsTheGainMinusTheLossByTheShiftOfStates) {
  const std::vector<double> gain = {1.0, 2.0, 3.0}, delta = {100.0, 5.0, 7.0}, kl_reached = {0.01, 3.0, 0.5};
  const std::vector<double> e = state_kl_bounds(kl_reached);
  ASSERT_LT(e[1], 2.0);
  ASSERT_GT(e[2], 2.0);  // the total variation distance is never more than one
  EXPECT_DOUBLE_EQ(improvement_bound(gain, delta, kl_reached), 6.0 - 2 * 5.0 * std::sqrt(e[1] / 2) - 2 * 7.0);
  EXPECT_DOUBLE_EQ(improvement_bound(gain, delta, {0, 0, 0}), 6.0);
}

/// J(new) - J(old) for values on a finite horizon: with states that hardly leave a bounded set the bound must hold.
TEST(ImprovementBound, HoldsForACostThatIsBounded) {
  // One state that forgets: s+ = a + noise. Q(s, a) = -1/2 (a - 1)^2 at the first step, and the second step's advantage is
  // computed exactly; delta over six standard deviations of both policies' states.
  for (std::uint32_t number = 0; number < 200; ++number) {
    Stream random(73, number, 0, 0);
    const int T = 3;
    NoisyLinear system = random_noisy_linear(1, 1, random);
    const Gaussian start = random_gaussian(1, 1.0, random);
    const TvLinearGaussian old_policy = random_policy(T, 1, 1, random);
    TvLinearGaussian new_policy = old_policy;
    for (int t = 0; t < T; ++t)
      new_policy[t] = make_linear_gaussian(old_policy[t].K + 0.1 * random_matrix(1, 1, random),
                                           old_policy[t].k + 0.1 * random_vector(1, random), 0.9 * old_policy[t].Sigma);
    const std::vector<Gaussian> p = propagate(system, start, new_policy), q = propagate(system, start, old_policy);

    // Returns: -s^2 - a^2 at every step. Value of the old policy: -(P s^2 + v s + c), backwards.
    double P = 0, v = 0, c = 0;
    std::vector<double> gain(T), delta(T), kl_reached(T);
    const double A = system.A(0, 0), B = system.B(0, 0);
    for (int t = T - 1; t >= 0; --t) {
      const auto at = static_cast<std::size_t>(t);
      // Q(s, a) = -(s^2 + a^2 + P (A s + B a)^2 + v (A s + B a) + c + P W): a quadratic in x = (s, a)
      MatrixXd H(2, 2);
      H << 1 + P * A * A, P * A * B, P * A * B, 1 + P * B * B;
      const VectorXd g = vec({v * A, v * B});
      const double constant = c + P * system.noise.cov(0, 0);
      const Whitening map = whitening(q[at], old_policy[t]);
      const MatrixXd inverse = map.W.inverse();  // x = inverse (z + b)
      const VectorXd origin = inverse * map.b;
      Quadratic whitened;
      whitened.H = -2 * inverse.transpose() * H * inverse;
      whitened.g = -inverse.transpose() * (2 * H * origin + g);
      whitened.c = -(origin.dot(H * origin) + g.dot(origin) + constant);
      const Quadratic advantage = expected_advantage(whitened, old_policy[t], new_policy[t], q[at]);
      gain[at] = advantage.c + 0.5 * advantage.H.trace();  // E under the old states: xi ~ N(0, 1)
      for (double far = -6; far <= 6; far += 0.1)
        for (const Gaussian& states : {p[at], q[at]}) {
          const double s = states.mean[0] + far * states.L(0, 0);
          delta[at] = std::max(delta[at], std::abs(advantage(vec({(s - q[at].mean[0]) / q[at].L(0, 0)}))));
        }
      kl_reached[at] = plain_expected_kl(new_policy[t], old_policy[t], q[at]);
      const double K = old_policy[t].K(0, 0), k = old_policy[t].k[0], Sigma = old_policy[t].Sigma(0, 0);
      const double M = A + B * K;
      const double P_t = 1 + K * K + P * M * M, v_t = 2 * K * k + 2 * P * M * B * k + v * M;
      c = k * k + Sigma + P * (B * B * (k * k + Sigma) + system.noise.cov(0, 0)) + v * B * k + c;
      P = P_t, v = v_t;
    }
    const auto value = [&](const std::vector<Gaussian>& states, const TvLinearGaussian& policy) {
      double J = 0.0;
      for (int t = 0; t < T; ++t) {
        const Gaussian& s = states[static_cast<std::size_t>(t)];
        const double K = policy[t].K(0, 0), mean = K * s.mean[0] + policy[t].k[0];
        J -= s.mean[0] * s.mean[0] + s.cov(0, 0) + mean * mean + K * K * s.cov(0, 0) + policy[t].Sigma(0, 0);
      }
      return J;
    };
    const double improvement = value(p, new_policy) - value(q, old_policy);
    const double bound = improvement_bound(gain, delta, kl_reached);
    EXPECT_LE(bound, improvement + 1e-6) << "problem " << number;
    EXPECT_GT(bound, -1e3);
    // and what it says of the first order is right: without the states' change, the gain is the improvement
    if (number % 10 == 0) {
      TvLinearGaussian last_step = old_policy;
      last_step[T - 1] = new_policy[T - 1];
      const double exact = value(propagate(system, start, last_step), last_step) - value(q, old_policy);
      EXPECT_NEAR(gain[T - 1], exact, 1e-9);
    }
  }
}

}  // namespace
}  // namespace kedge
