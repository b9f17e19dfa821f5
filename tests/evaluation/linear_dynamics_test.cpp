// Fitted dynamics, against linear systems that are known.
#include "kedge/evaluation/linear_dynamics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr Index ds = 3, da = 2;
constexpr int T = 6;

struct Setting {
  NoisyLinear system;
  Gaussian start;
  TvLinearGaussian policy;
  MatrixXd F;  ///< [ds, ds + da] truth
};
Setting setting() {
  Stream random(51, 0, 0, 0);
  Setting s;
  s.system = random_noisy_linear(ds, da, random);
  s.start = random_gaussian(ds, 1.0, random);
  s.policy = random_policy(T, da, ds, random);
  s.F.resize(ds, ds + da);
  s.F << s.system.A, s.system.B;
  return s;
}

/// Root mean square error of the fitted F over steps.
double error_of(const DynamicsFit& fit, const MatrixXd& F) {
  double sum = 0.0;
  for (const LinearDynamics& d : fit.dynamics) sum += (d.F - F).squaredNorm();
  return std::sqrt(sum / static_cast<double>(fit.dynamics.size()));
}

TEST(LinearDynamics, AreRecoveredAtTheStatisticalRate) {
  const Setting s = setting();
  std::vector<double> error;
  for (const int rollouts : {100, 1600}) {
    double sum = 0.0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      const Epoch epoch = simulate(s.system, s.start, s.policy, rollouts, 0, seed);
      const DynamicsFit fit = fit_dynamics(epoch.batch, {}, 0.0, 2);
      EXPECT_EQ(fit.status, DynamicsStatus::ok) << fit.message;
      sum += error_of(fit, s.F);
      if (rollouts == 100) continue;
      for (std::size_t t = 0; t < T; ++t) {
        EXPECT_LT((fit.dynamics[t].S - s.system.noise.cov).norm(), 0.15 * s.system.noise.cov.norm());
        EXPECT_GT(fit.r2[t], 0.5);
        EXPECT_LE(fit.r2[t], 1.0);
      }
    }
    error.push_back(sum / 10);
  }
  EXPECT_NEAR(error[0] / error[1], 4.0, 0.8);  // 1 / sqrt(N)
}

TEST(LinearDynamics, AreExactForALinearSystemWithoutNoise) {
  Setting s = setting();
  s.system.noise.L.setZero();
  const Epoch few = simulate(s.system, s.start, s.policy, ds + da + 1, 0, 1);  // as few rollouts as can do
  EXPECT_LT(error_of(fit_dynamics(few.batch, {}, 0.0, 1), s.F), 1e-6);
  const DynamicsFit fit = fit_dynamics(simulate(s.system, s.start, s.policy, 20, 0, 1).batch, {}, 0.0, 1);
  ASSERT_EQ(fit.status, DynamicsStatus::ok) << fit.message;
  EXPECT_LT(error_of(fit, s.F), 1e-9);
  for (std::size_t t = 0; t < T; ++t) {
    EXPECT_LT(fit.dynamics[t].f.norm(), 1e-9);
    EXPECT_LT(fit.dynamics[t].S.norm(), 1e-12);
    EXPECT_NEAR(fit.r2[t], 1.0, 1e-12);
  }
}

TEST(LinearDynamics, ReproduceTheMomentsOfTheNextState) {
  const Setting s = setting();
  const Epoch epoch = simulate(s.system, s.start, s.policy, 30, 0, 3);
  const DynamicsFit fit = fit_dynamics(epoch.batch, {}, 0.0, 1);
  const MatrixXd joint = joint_samples(epoch.batch);
  for (Index t = 0; t < T; ++t) {
    const Moments all = sample_moments(joint.middleCols(30 * t, 30));
    const LinearDynamics& d = fit.dynamics[static_cast<std::size_t>(t)];
    EXPECT_LT((d.F * all.mean.head(ds + da) + d.f - all.mean.tail(ds)).norm(), 1e-12);
    const MatrixXd cov = d.F * all.cov.topLeftCorner(ds + da, ds + da) * d.F.transpose() + d.S;
    EXPECT_LT((cov - all.cov.bottomRightCorner(ds, ds)).norm(), 1e-12);
  }
}

TEST(LinearDynamics, HaveNoCoefficientForAConstantObservation) {
  Setting s = setting();
  Epoch epoch = simulate(s.system, s.start, s.policy, 30, 0, 3);
  epoch.batch.observation.row(1).setConstant(0.1);
  const DynamicsFit fit = fit_dynamics(epoch.batch, {}, 0.0, 1);
  ASSERT_EQ(fit.status, DynamicsStatus::ok) << fit.message;
  for (const LinearDynamics& d : fit.dynamics) {
    EXPECT_TRUE(d.F.col(1).isZero(0));
    EXPECT_NEAR(d.f[1], 0.1, 1e-14);
    EXPECT_NEAR(d.S(1, 1), 0.0, 1e-28);
  }
}

/// Mean error over seeds with few rollouts. @param prior of the mixture over three older iterations
double error_with(int rollouts, bool with_prior) {
  const Setting s = setting();
  double sum = 0.0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Window window;
    for (int i = 0; i < 4; ++i) window.push_back(simulate(s.system, s.start, s.policy, rollouts, i, seed));
    const MixtureFit mixture = fit_mixture(joint_samples(window), {2, 1e-6, 50, 1e-6}, Stream(seed, 0, 0, 0), 1);
    EXPECT_EQ(mixture.status, MixtureStatus::ok) << mixture.message;
    const DynamicsPrior prior{with_prior ? &mixture.mixture : nullptr, 5.0};
    const DynamicsFit fit = fit_dynamics(window.back().batch, prior, 1e-9, 1);
    EXPECT_EQ(fit.status, DynamicsStatus::ok) << fit.message;
    sum += error_of(fit, s.F) / 8;
  }
  return sum;
}

TEST(LinearDynamics, NeedFewerRolloutsWithAPrior) {
  EXPECT_LT(error_with(8, true), 0.5 * error_with(8, false));
  EXPECT_LT(error_with(3, true), error_with(12, false));  // 3 rollouts have no fit without prior
}

TEST(NormalInverseWishart, IsBetweenPriorAndSamples) {
  Stream random(53, 0, 0, 0);
  const Gaussian a = random_gaussian(3, 1.0, random), b = random_gaussian(3, 1.0, random);
  const Moments sample{a.mean, a.cov}, prior{b.mean, b.cov};
  const Moments weak = normal_inverse_wishart(sample, 20, prior, 1e-12);
  EXPECT_LT((weak.cov - sample.cov).norm() + (weak.mean - sample.mean).norm(), 1e-10);
  const Moments strong = normal_inverse_wishart(sample, 20, prior, 1e12);
  EXPECT_LT((strong.cov - prior.cov).norm() + (strong.mean - prior.mean).norm(), 1e-9);
  // as if the prior were samples: moments of the union
  const Moments both = normal_inverse_wishart(sample, 30, prior, 10);
  const VectorXd mean = 0.75 * a.mean + 0.25 * b.mean;
  const MatrixXd cov = 0.75 * (a.cov + (a.mean - mean) * (a.mean - mean).transpose()) +
                       0.25 * (b.cov + (b.mean - mean) * (b.mean - mean).transpose());
  EXPECT_LT((both.mean - mean).norm(), 1e-12);
  EXPECT_LT((both.cov - cov).norm(), 1e-12);
}

TEST(LinearDynamics, AreTheSameForAnyNumberOfThreads) {
  const Setting s = setting();
  const Epoch epoch = simulate(s.system, s.start, s.policy, 20, 0, 3);
  const DynamicsFit one = fit_dynamics(epoch.batch, {}, 1e-6, 1), eight = fit_dynamics(epoch.batch, {}, 1e-6, 8);
  for (std::size_t t = 0; t < T; ++t) {
    EXPECT_TRUE(same_bits(one.dynamics[t].F, eight.dynamics[t].F));
    EXPECT_TRUE(same_bits(one.dynamics[t].S, eight.dynamics[t].S));
  }
}

TEST(LinearDynamics, NameEveryFailure) {
  const Setting s = setting();
  DynamicsFit fit = fit_dynamics(simulate(s.system, s.start, s.policy, ds + da, 0, 1).batch, {}, 1e-6, 1);
  EXPECT_EQ(fit.status, DynamicsStatus::rank);
  EXPECT_THAT(fit.message, HasSubstr("6 coefficients for each observation, but only 5 of 5 rollouts are usable"));
  EXPECT_TRUE(fit.dynamics.empty());

  Epoch dependent = simulate(s.system, s.start, s.policy, 20, 0, 1);
  dependent.batch.observation.row(2) = 3.0 * dependent.batch.observation.row(0);
  fit = fit_dynamics(dependent.batch, {}, 0.0, 1);
  EXPECT_EQ(fit.status, DynamicsStatus::rank);
  EXPECT_THAT(fit.message, HasSubstr("step 0: the observations and actions of the 20 usable rollouts are linearly"));
  EXPECT_EQ(fit_dynamics(dependent.batch, {}, 1e-6, 1).status, DynamicsStatus::ok);  // the ridge decides

  Epoch huge = simulate(s.system, s.start, s.policy, 20, 0, 1);
  huge.batch.observation.col(huge.batch.at(3, 4)).setConstant(1e200);
  const DynamicsStatus status = fit_dynamics(huge.batch, {}, 1e-6, 1).status;
  EXPECT_TRUE(status == DynamicsStatus::not_finite || status == DynamicsStatus::rank);
  EXPECT_NE(status, DynamicsStatus::ok);
}

}  // namespace
}  // namespace kedge
