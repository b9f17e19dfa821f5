#include "kedge/update/importance_objective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/math/lbfgs.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using test::same_bits;
using ::testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

MlpGaussian policy(std::uint32_t number = 0) {
  Stream random(1, number, 0, 0);
  const NetworkShape n{{4}, Activation::softplus, false, VectorXd::Zero(3), VectorXd::Ones(3), VectorXd::Ones(2)};
  return MlpGaussian(n, random_theta(n, VectorXd::Zero(2), random));
}

/// Rollouts of J network policies, N / J of each; states are random.
ImportanceData data(int T, Index N, const std::vector<MlpGaussian>& made_by) {
  Stream random(2, static_cast<std::uint32_t>(T), static_cast<std::uint32_t>(N), 0);
  const auto J = static_cast<Index>(made_by.size());
  ImportanceData d;
  d.horizon = T;
  d.s = random_matrix(3, N * T, random);
  d.a.resize(2, N * T);
  for (Index n = 0; n < N * T; ++n)
    made_by[static_cast<std::size_t>(n / T % J)].sample(0, d.s.col(n), random, d.a.col(n));
  d.reward = random_matrix(T, N, random);
  d.log_q.resize(J, N * T);
  for (Index j = 0; j < J; ++j) d.log_q.row(j) = made_by[static_cast<std::size_t>(j)].log_probs(d.s, d.a).transpose();
  d.share = VectorXd::Constant(J, 1.0 / static_cast<double>(J));
  return d;
}

/// The formula with products instead of sums of logarithms.
double plain(const MlpGaussian& pi, const ImportanceData& d, double w_r) {
  const Index T = d.horizon, N = d.reward.cols();
  double phi = 0;
  for (Index t = 0; t < T; ++t) {
    double Z = 0, sum = 0;
    for (Index i = 0; i < N; ++i) {
      double above = 1, below = 0;
      for (Index tau = 0; tau <= t; ++tau)
        above *= std::exp(pi.log_prob(0, d.s.col(i * T + tau), d.a.col(i * T + tau)));
      for (Index j = 0; j < d.share.size(); ++j) {
        double product = d.share[j];
        for (Index tau = 0; tau <= t; ++tau) product *= std::exp(d.log_q(j, i * T + tau));
        below += product;
      }
      Z += above / below;
      sum += above / below * d.reward(t, i);
    }
    phi += sum / Z + w_r * std::log(Z);
  }
  return phi;
}

TEST(ImportanceObjective, IsTheFormula) {
  const MlpGaussian pi = policy();
  const ImportanceData d = data(4, 9, {policy(1), policy(2), policy(3)});
  for (const double w_r : {0.0, 0.01, 2.0}) {
    const ImportanceValue phi = ImportanceObjective(pi, d, w_r, 1, 1)(pi.theta());
    EXPECT_EQ(phi.status, ImportanceStatus::ok) << phi.message;
    EXPECT_NEAR(phi.value, plain(pi, d, w_r), 1e-12);
    EXPECT_NEAR(phi.reward, plain(pi, d, 0), 1e-12);
  }
}

TEST(ImportanceObjective, GradientAgreesWithDifferences) {
  for (const int T : {1, 2, 7}) {
    const MlpGaussian pi = policy();
    ImportanceObjective objective(pi, data(T, 12, {policy(1), policy(2)}), 0.3, 1, 1);
    const VectorXd theta = pi.theta(), gradient = objective(theta).gradient;
    for (Index p = 0; p < theta.size(); ++p) {
      const auto centred = [&](double h) {
        VectorXd up = theta, down = theta;
        up[p] += h;
        down[p] -= h;
        return (objective(up).value - objective(down).value) / (2 * h);
      };
      EXPECT_NEAR(gradient[p], (4 * centred(1e-3) - centred(2e-3)) / 3, 1e-8 * (1 + gradient.norm()));
    }
  }
}

TEST(ImportanceObjective, IsThePlainAverageOnPolicy) {
  const MlpGaussian pi = policy();
  constexpr int T = 30;
  constexpr Index N = 11;
  const ImportanceData d = data(T, N, {pi, pi, pi});
  const ImportanceValue phi = ImportanceObjective(pi, d, 0.5, N - 1e-6, 1)(pi.theta());
  EXPECT_EQ(phi.status, ImportanceStatus::ok) << phi.message;
  EXPECT_NEAR(phi.reward, d.reward.rowwise().mean().sum(), 1e-11);
  EXPECT_NEAR(phi.value - phi.reward, 0.5 * T * std::log(static_cast<double>(N)), 1e-11);
  for (int t = 0; t < T; ++t) EXPECT_NEAR(phi.effective[t], N, 1e-9);
}

TEST(ImportanceObjective, RegulariserGradientIsZeroWhereAllSamplesAreOnPolicyOnAverage) {
  // E grad log pi = 0: the gradient of w_r log Z at the policy itself is an average score, which shrinks with N.
  const MlpGaussian pi = policy();
  ImportanceData d = data(1, 4000, {pi});
  d.reward.setZero();
  const VectorXd g = ImportanceObjective(pi, d, 1, 1, 1)(pi.theta()).gradient;
  EXPECT_LT(g.cwiseAbs().maxCoeff(), 5 * 2 / std::sqrt(4000.0));
}

TEST(ImportanceObjective, LongHorizonsDoNotOverflow) {
  const MlpGaussian pi = policy();
  ImportanceData d = data(2000, 6, {policy(1)});
  const ImportanceValue phi = ImportanceObjective(pi, d, 0.1, 1, 1)(pi.theta());
  EXPECT_EQ(phi.status, ImportanceStatus::ok) << phi.message;
  EXPECT_TRUE(std::isfinite(phi.value));
  EXPECT_TRUE(phi.gradient.allFinite());
  EXPECT_LT(phi.effective[1999], 1.5);  // one rollout holds all the weight
}

TEST(ImportanceObjective, GradientAscentFindsBetterActions) {
  // One step, reward -|a - (1, -1)|^2: the estimate rises and the mean moves towards the best action.
  const MlpGaussian pi = policy();
  ImportanceData d = data(1, 400, {pi});
  for (Index i = 0; i < 400; ++i) d.reward(0, i) = -(d.a.col(i) - VectorXd{{1, -1}}).squaredNorm();
  ImportanceObjective objective(pi, d, 0.01, 1, 1);
  LbfgsOptions options;
  options.max_evaluations = 15;
  const auto descend = [&](VectorIn theta, VectorOut g) {
    const ImportanceValue phi = objective(theta);
    g = -phi.gradient;
    return -phi.value;
  };
  const LbfgsResult r = lbfgs(descend, pi.theta(), options);
  MlpGaussian better = pi;
  better.set_theta(r.x);
  const auto miss = [&](const MlpGaussian& p) {
    return (p.means(d.s).colwise() - VectorXd{{1, -1}}).colwise().squaredNorm().mean();
  };
  EXPECT_LT(r.after, r.before);
  EXPECT_LT(miss(better), 0.5 * miss(pi));
}

TEST(ImportanceObjective, DoesNotDependOnThreads) {
  const MlpGaussian pi = policy();
  const ImportanceData d = data(50, 100, {policy(1), policy(2)});
  const ImportanceValue one = ImportanceObjective(pi, d, 0.3, 1, 1)(pi.theta());
  for (const int threads : {2, 8}) {
    const ImportanceValue many = ImportanceObjective(pi, d, 0.3, 1, threads)(pi.theta());
    EXPECT_EQ(many.value, one.value);
    EXPECT_TRUE(same_bits(many.gradient, one.gradient));
  }
}

TEST(ImportanceObjective, FailuresAreTyped) {
  const MlpGaussian pi = policy();
  const auto run = [&](double min_effective, auto change) {
    ImportanceData d = data(5, 10, {policy(1), policy(2)});
    change(d);
    return ImportanceObjective(pi, d, 0.1, min_effective, 1)(pi.theta());
  };
  const auto degenerate = run(9.5, [](ImportanceData&) {});
  EXPECT_EQ(degenerate.status, ImportanceStatus::degenerate);
  EXPECT_THAT(degenerate.message, HasSubstr("of 10 rollouts, but at least 9.5 is asked for"));
  EXPECT_TRUE(std::isfinite(degenerate.value));
  EXPECT_EQ(run(1, [](ImportanceData& d) { d.reward(2, 3) = nan; }).status, ImportanceStatus::not_finite);
  EXPECT_EQ(run(1, [](ImportanceData& d) { d.a(0, 3) = nan; }).status, ImportanceStatus::not_finite);
  const auto nobody = run(1, [](ImportanceData& d) { d.log_q.col(17).setConstant(-inf); });  // step 2 of rollout 3
  EXPECT_EQ(nobody.status, ImportanceStatus::not_finite);
  EXPECT_THAT(nobody.message, HasSubstr("step 2: log Z = inf"));
  // A density of zero under one policy is no failure.
  EXPECT_EQ(run(1, [](ImportanceData& d) { d.log_q(0, 17) = -inf; }).status, ImportanceStatus::ok);
}

TEST(ImportanceObjective, RejectsBadInput) {
  const MlpGaussian pi = policy();
  const auto message = [&](double w_r, double min_effective, auto change) -> std::string {
    ImportanceData d = data(5, 10, {policy(1), policy(2)});
    change(d);
    try {
      const ImportanceObjective objective(pi, d, w_r, min_effective, 1);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  const auto same = [](ImportanceData&) {};
  EXPECT_EQ(message(0, 1, same), "nothing");
  EXPECT_THAT(message(-1, 1, same), HasSubstr("w_r = -1"));
  EXPECT_THAT(message(nan, 1, same), HasSubstr("w_r = nan"));
  EXPECT_THAT(message(0, 0.5, same), HasSubstr("min_effective = 0.5"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.horizon = 0; }), HasSubstr("horizon = 0"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.horizon = 3; }), HasSubstr("T = 3, states 3x50"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.s = MatrixXd(3, 0); }), HasSubstr("states 3x0"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.a = MatrixXd::Zero(2, 49); }), HasSubstr("actions 2x49"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.reward = MatrixXd::Zero(5, 9); }), HasSubstr("rewards 5x9"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.log_q = MatrixXd::Zero(3, 50); }), HasSubstr("densities 3x50"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.log_q(1, 1) = nan; }), HasSubstr("log density"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.share[0] = 0; }), HasSubstr("share = 0"));
  EXPECT_THAT(message(0, 1, [](ImportanceData& d) { d.share *= 2; }), HasSubstr("sum of the shares = 2"));
}

}  // namespace
}  // namespace kedge
