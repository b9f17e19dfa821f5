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
constexpr double inf = std::numeric_limits<double>::infinity();

Network network(Index ds, std::vector<Index> hidden, Index da, Activation activation = Activation::softplus,
                bool output_bias = false) {
  Stream random(3, static_cast<std::uint32_t>(ds), static_cast<std::uint32_t>(da), 0);
  Network n{std::move(hidden), activation, output_bias, 0.3 * random_vector(ds, random), {}, {}};
  n.input_scale = (0.2 * random_vector(ds, random)).array().exp();
  n.output_scale = random_vector(da, random).array().exp();
  return n;
}

MlpGaussian policy(const Network& n, std::uint32_t number = 0) {
  Stream random(4, number, 0, 0);
  const VectorXd log_std = 0.3 * random_vector(n.da(), random);
  return MlpGaussian(n, random_theta(n, log_std, random, 0.4, 0.9));
}

/// Networks of many shapes.
std::vector<MlpGaussian> policies() {
  std::vector<MlpGaussian> all;
  for (const auto activation : {Activation::softplus, Activation::tanh})
    for (const bool bias : {false, true})
      for (const auto& [ds, hidden, da] : std::vector<std::tuple<Index, std::vector<Index>, Index>>{{1, {}, 1},
                                                                                                    {3, {}, 2},
                                                                                                    {4, {1}, 1},
                                                                                                    {17, {10}, 6},
                                                                                                    {9, {5}, 2},
                                                                                                    {5, {7, 3}, 4},
                                                                                                    {3, {8, 9, 4}, 9},
                                                                                                    {70, {66, 33}, 3}})
        all.push_back(policy(network(ds, hidden, da, activation, bias)));
  return all;
}

/// The formulas of the header, one number at a time.
VectorXd plain_mean(const MlpGaussian& pi, VectorIn s) {
  const Network& n = pi.network();
  std::vector<double> x;
  for (Index j = 0; j < s.size(); ++j) x.push_back((s[j] - n.input_mean[j]) / n.input_scale[j]);
  Index next = 0;
  for (std::size_t l = 0; l <= n.hidden.size(); ++l) {
    const bool last = l == n.hidden.size();
    const Index out = last ? n.da() : n.hidden[l];
    std::vector<double> z(static_cast<std::size_t>(out), 0.0);
    for (const double xj : x)
      for (double& zi : z) zi += pi.theta()[next++] * xj;
    if (!last || n.output_bias)
      for (double& zi : z) zi += pi.theta()[next++];
    if (!last)
      for (double& zi : z) zi = n.activation == Activation::softplus ? std::log1p(std::exp(zi)) : std::tanh(zi);
    x = std::move(z);
  }
  EXPECT_EQ(next + n.da(), pi.theta().size());
  VectorXd a(n.da());
  for (Index i = 0; i < n.da(); ++i) a[i] = x[static_cast<std::size_t>(i)] * n.output_scale[i];
  return a;
}

VectorXd mean(const MlpGaussian& pi, VectorIn s) {
  VectorXd a(pi.action_dim());
  pi.mean(0, s, a);
  return a;
}

/// (f(x + h) - f(x - h)) / 2h, entry by entry, with two step sizes: error of order h^4.
template <class F>
VectorXd differences(F f, VectorXd x) {
  VectorXd g(x.size());
  const auto centred = [&](Index i, double h) {
    const double old = x[i];
    x[i] = old + h;
    const double up = f(x);
    x[i] = old - h;
    const double down = f(x);
    x[i] = old;
    return (up - down) / (2 * h);
  };
  for (Index i = 0; i < x.size(); ++i) g[i] = (4 * centred(i, 1e-3) - centred(i, 2e-3)) / 3;
  return g;
}

TEST(MlpGaussian, HasThePapersNumberOfParameters) {
  EXPECT_EQ(parameter_count(network(17, {10}, 6)), 246);  // walker, 10 units
  EXPECT_EQ(parameter_count(network(17, {10}, 6, Activation::softplus, true)), 252);
  EXPECT_EQ(parameter_count(network(9, {5}, 2)), 62);  // swimmer, 5 units; the paper counts one more
  EXPECT_EQ(parameter_count(network(17, {5}, 6)), 126);
  EXPECT_EQ(parameter_count(network(3, {}, 2)), 8);
  EXPECT_EQ(parameter_count(network(3, {4, 5}, 2, Activation::tanh, true)), 16 + 25 + 12 + 2);
}

TEST(MlpGaussian, WeightMaskLeavesOutBiasesAndLogStd) {
  const Network n = network(2, {3, 2}, 2, Activation::tanh, true);
  EXPECT_EQ(weight_mask(n), (VectorXd(6 + 3 + 6 + 2 + 4 + 2 + 2) << VectorXd::Ones(6), VectorXd::Zero(3),
                             VectorXd::Ones(6), VectorXd::Zero(2), VectorXd::Ones(4), VectorXd::Zero(4))
                                .finished());
  EXPECT_EQ(weight_mask(network(17, {10}, 6)).sum(), 230);
}

TEST(MlpGaussian, MeanIsTheFormula) {
  Stream random(5, 0, 0, 0);
  for (const MlpGaussian& pi : policies())
    for (int i = 0; i < 5; ++i) {
      const VectorXd s = 2 * random_vector(pi.observation_dim(), random), expected = plain_mean(pi, s);
      EXPECT_LT((mean(pi, s) - expected).norm(), 1e-13 * (1 + expected.norm()));
    }
}

TEST(MlpGaussian, ABatchHasTheBitsOfSingleStates) {
  Stream random(6, 0, 0, 0);
  for (const MlpGaussian& pi : policies())
    for (const Index N : {0, 1, 63, 64, 65, 200, 2300}) {
      const MatrixXd s = 2 * random_matrix(pi.observation_dim(), N, random),
                     a = random_matrix(pi.action_dim(), N, random);
      const MatrixXd mu = pi.means(s);
      const VectorXd log_p = pi.log_probs(s, a);
      ASSERT_EQ(mu.cols(), N);
      for (Index n = 0; n < N; n += N < 100 ? 1 : 37) {
        EXPECT_TRUE(same_bits(VectorXd(mu.col(n)), mean(pi, s.col(n))));
        EXPECT_EQ(log_p[n], pi.log_prob(0, s.col(n), a.col(n)));
      }
      EXPECT_TRUE(same_bits(pi.means(pi.prepare(s)), mu));
    }
}

TEST(MlpGaussian, IsTheSameAtEveryStep) {
  const MlpGaussian pi = policy(network(4, {6}, 2));
  EXPECT_EQ(pi.horizon(), kEndless);
  const VectorXd s{{1, -2, 0.5, 3}};
  VectorXd late(2);
  pi.mean(1000000, s, late);
  EXPECT_EQ(late, mean(pi, s));
  EXPECT_EQ(pi.log_prob(7, s, late), pi.log_prob(0, s, late));
}

TEST(MlpGaussian, JacobianAgreesWithDifferences) {
  Stream random(7, 0, 0, 0);
  for (const MlpGaussian& pi : policies()) {
    const VectorXd s = random_vector(pi.observation_dim(), random);
    VectorXd a(pi.action_dim());
    MatrixXd J(pi.action_dim(), pi.observation_dim());
    pi.mean_and_jacobian(s, a, J);
    EXPECT_TRUE(same_bits(J, pi.input_jacobian(s)));
    EXPECT_TRUE(same_bits(a, mean(pi, s)));
    for (Index i = 0; i < a.size(); ++i) {
      const VectorXd row = differences([&](const VectorXd& at) { return mean(pi, at)[i]; }, s);
      EXPECT_LT((J.row(i).transpose() - row).norm(), 1e-8 * (1 + row.norm()));
    }
  }
}

TEST(MlpGaussian, GradientAgreesWithDifferences) {
  Stream random(8, 0, 0, 0);
  for (MlpGaussian pi : policies()) {
    const bool large = pi.theta().size() > 1000;
    const Index N = large ? 3 : 70;
    const MatrixXd s = random_matrix(pi.observation_dim(), N, random), g = random_matrix(pi.action_dim(), N, random),
                   a = random_matrix(pi.action_dim(), N, random);
    const VectorXd w = random_vector(N, random), theta = pi.theta();
    const VectorXd back = pi.backward(s, g), score = pi.log_prob_gradient(s, a, w);
    ASSERT_EQ(back.size(), theta.size());
    EXPECT_TRUE((back.tail(pi.action_dim()).array() == 0).all());
    // Large networks: along a few directions instead of every entry.
    const auto compare = [&](const VectorXd& gradient, auto value) {
      const auto at = [&](const VectorXd& x) {
        pi.set_theta(x);
        return value();
      };
      if (!large) {
        const VectorXd expected = differences(at, theta);
        EXPECT_LT((gradient - expected).norm(), 1e-8 * (1 + expected.norm()));
        return;
      }
      for (int i = 0; i < 10; ++i) {
        const VectorXd direction = random_vector(theta.size(), random).normalized();
        const double expected =
            differences([&](const VectorXd& x) { return at(theta + x[0] * direction); }, VectorXd::Zero(1))[0];
        EXPECT_NEAR(gradient.dot(direction), expected, 1e-8 * (1 + gradient.norm()));
      }
    };
    compare(back, [&] { return (g.array() * pi.means(s).array()).sum(); });
    compare(score, [&] { return w.dot(pi.log_probs(s, a)); });
  }
}

TEST(MlpGaussian, GradientInOnePassSeesMeansAndRanges) {
  const MlpGaussian pi = policy(network(5, {7}, 3));
  Stream random(9, 0, 0, 0);
  constexpr Index N = 150;
  const MatrixXd s = random_matrix(5, N, random), target = random_matrix(3, N, random), mu = pi.means(s);
  std::vector<int> seen(N, 0);
  const VectorXd one_pass =
      pi.gradient(pi.prepare(s), [&](Index first, const Eigen::Ref<const MatrixXd>& m, Eigen::Ref<MatrixXd> g) {
        for (Index n = 0; n < m.rows(); ++n) {
          ++seen[static_cast<std::size_t>(first + n)];
          EXPECT_EQ(m.row(n).transpose(), mu.col(first + n));
        }
        g = m - target.middleCols(first, m.rows()).transpose();
      });
  EXPECT_EQ(seen, std::vector<int>(N, 1));
  EXPECT_TRUE(same_bits(one_pass, pi.backward(s, mu - target)));
}

TEST(MlpGaussian, ResultsDoNotDependOnThreadsOrAddresses) {
  const MlpGaussian pi = policy(network(17, {10}, 6));
  Stream random(10, 0, 0, 0);
  constexpr Index N = 5000;
  const MatrixXd s = random_matrix(17, N, random), a = random_matrix(6, N, random);
  const VectorXd w = random_vector(N, random);
  const MatrixXd mu = pi.means(s, 1);
  const VectorXd back = pi.backward(s, a, 1), score = pi.log_prob_gradient(s, a, w, 1);
  MatrixXd shifted(17, N + 1);
  shifted.rightCols(N) = s;
  for (const int threads : {1, 2, 8}) {
    EXPECT_TRUE(same_bits(pi.means(shifted.rightCols(N), threads), mu));
    EXPECT_TRUE(same_bits(pi.backward(shifted.rightCols(N), a, threads), back));
    EXPECT_TRUE(same_bits(pi.log_prob_gradient(s, a, w, threads), score));
  }
}

TEST(MlpGaussian, DensityIntegratesToOne) {
  const MlpGaussian pi = policy(network(3, {4}, 2));
  const VectorXd s{{0.3, -0.7, 1.1}}, mu = mean(pi, s);
  constexpr double h = 0.1;
  double sum = 0;
  for (int i = -120; i <= 120; ++i)
    for (int j = -120; j <= 120; ++j) sum += std::exp(pi.log_prob(0, s, mu + h * VectorXd{{1.0 * i, 1.0 * j}}));
  EXPECT_NEAR(sum * h * h, 1, 1e-12);
  const VectorXd d{{0.4, -0.9}};
  EXPECT_NEAR(pi.log_prob(0, s, mu + d),
              -0.5 * d.cwiseQuotient(pi.std()).squaredNorm() - std::log(2 * std::numbers::pi * pi.std().prod()), 1e-13);
}

TEST(MlpGaussian, SamplesHaveItsMeanAndCovariance) {
  const MlpGaussian pi = policy(network(3, {4}, 2));
  const VectorXd s{{0.3, -0.7, 1.1}}, mu = mean(pi, s);
  constexpr int n = 1 << 16;
  VectorXd m = VectorXd::Zero(2), a(2);
  MatrixXd S = MatrixXd::Zero(2, 2);
  for (std::uint32_t i = 0; i < n; ++i) {
    Stream noise(1, 0, i, 0);
    pi.sample(0, s, noise, a);
    m += (a - mu) / n;
    S += (a - mu) * (a - mu).transpose() / n;
  }
  const double five = 5 / std::sqrt(static_cast<double>(n));
  const VectorXd& sigma = pi.std();
  for (Index i = 0; i < 2; ++i) {
    EXPECT_NEAR(m[i], 0, five * sigma[i]);
    for (Index j = 0; j < 2; ++j)
      EXPECT_NEAR(S(i, j), i == j ? sigma[i] * sigma[i] : 0,
                  five * std::sqrt(i == j ? 2.0 : 1.0) * sigma[i] * sigma[j]);
  }
  VectorXd b(2);
  Stream one(1, 2, 3, 4), same(1, 2, 3, 4), other(1, 2, 3, 5);
  pi.sample(1, s, one, a);
  pi.sample(9, s, same, b);
  EXPECT_EQ(a, b);
  pi.sample(1, s, other, b);
  EXPECT_NE(a, b);
}

TEST(MlpGaussian, RandomThetaHasItsScales) {
  const Network n = network(50, {64, 40}, 20, Activation::softplus, true);
  Stream random(11, 0, 0, 0), again(11, 0, 0, 0);
  const VectorXd log_std = VectorXd::Constant(20, -1.5), theta = random_theta(n, log_std, random, 0.3, 0.1);
  const Index hidden = 64 * 51 + 40 * 65, output = 40 * 20;
  EXPECT_NEAR(std::sqrt(theta.head(hidden).squaredNorm() / hidden), 0.3, 0.01);
  EXPECT_NEAR(std::sqrt(theta.segment(hidden, output).squaredNorm() / output), 0.1, 0.01);
  EXPECT_TRUE((theta.segment(hidden + output, 20).array() == 0).all());
  EXPECT_EQ(theta.tail(20), log_std);
  EXPECT_TRUE(same_bits(random_theta(n, log_std, again, 0.3, 0.1), theta));
  EXPECT_THROW((void)random_theta(n, VectorXd::Zero(3), random), InputError);
}

#ifdef KEDGE_COUNT_ALLOCATIONS
TEST(MlpGaussian, MeanAllocatesNothing) {
  for (const auto& hidden : {std::vector<Index>{10}, {64}, {64, 64, 3}}) {
    const MlpGaussian pi = policy(network(17, hidden, 6));
    const VectorXd s = VectorXd::Ones(17);
    VectorXd a(6);
    Stream noise(1, 0, 0, 0);
    const long before = allocations;
    pi.mean(0, s, a);
    pi.sample(0, s, noise, a);
    EXPECT_EQ(allocations, before);
  }
  const long before = allocations;
  const VectorXd v = mean(policy(network(17, {65}, 6)), VectorXd::Ones(17));
  EXPECT_GT(allocations, before);  // the counter counts
}
#endif

TEST(MlpGaussian, RefusesWhatIsImpossible) {
  const auto message = [](auto change) -> std::string {
    Network n = network(3, {4}, 2);
    VectorXd theta = VectorXd::Zero(parameter_count(n));
    change(n, theta);
    try {
      const MlpGaussian pi(n, theta);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  EXPECT_EQ(message([](Network&, VectorXd&) {}), "nothing");
  EXPECT_THAT(message([](Network& n, VectorXd&) { n.input_mean.resize(0); }), HasSubstr("inputs = 0"));
  EXPECT_THAT(message([](Network& n, VectorXd&) { n.output_scale.resize(0); }), HasSubstr("outputs = 0"));
  EXPECT_THAT(message([](Network& n, VectorXd&) { n.input_scale = VectorXd::Ones(4); }), HasSubstr("input_scale 4"));
  EXPECT_THAT(message([](Network& n, VectorXd&) { n.hidden = {3, 0}; }), HasSubstr("hidden units = 0"));
  EXPECT_THAT(message([](Network& n, VectorXd&) { n.input_mean[1] = nan; }), HasSubstr("input_mean = nan"));
  for (const double bad : {0.0, -1.0, nan, inf}) {
    EXPECT_THAT(message([&](Network& n, VectorXd&) { n.input_scale[1] = bad; }), HasSubstr("input_scale = "));
    EXPECT_THAT(message([&](Network& n, VectorXd&) { n.output_scale[1] = bad; }), HasSubstr("output_scale = "));
  }
  EXPECT_THAT(message([](Network&, VectorXd& theta) { theta.conservativeResize(5); }),
              HasSubstr("theta has 5 entries"));
  EXPECT_THAT(message([](Network&, VectorXd& theta) { theta[4] = nan; }), HasSubstr("theta[4] = nan"));
  EXPECT_THAT(message([](Network&, VectorXd& theta) { theta.tail(1)[0] = 800; }), HasSubstr("log_std[1] = 800"));
  EXPECT_THAT(message([](Network&, VectorXd& theta) { theta.tail(2)[0] = -800; }), HasSubstr("log_std[0] = -800"));

  const MlpGaussian pi = policy(network(3, {4}, 2));
  const MatrixXd s = MatrixXd::Zero(3, 5), a = MatrixXd::Zero(2, 5);
  const VectorXd w = VectorXd::Ones(5);
  EXPECT_THROW((void)pi.means(MatrixXd::Zero(4, 5)), InputError);
  EXPECT_THROW((void)pi.log_probs(s, MatrixXd::Zero(2, 4)), InputError);
  EXPECT_THROW((void)pi.log_probs(s, MatrixXd::Zero(3, 5)), InputError);
  EXPECT_THROW((void)pi.backward(s, MatrixXd::Zero(2, 4)), InputError);
  EXPECT_THROW((void)pi.log_prob_gradient(s, a, VectorXd::Ones(4)), InputError);
  EXPECT_THROW((void)pi.log_prob_gradient(s, MatrixXd::Zero(3, 5), w), InputError);
}

}  // namespace
}  // namespace kedge
