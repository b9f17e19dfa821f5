// Linear-quadratic control within a KL bound on the trajectory, on invented models.
#include "kedge/update/kl_lqr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "problems.h"

namespace kedge {
namespace {

using test::random_matrix;
using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();

struct Trajectory {
  TvLinearGaussian policy;
  LqModel model;
  TrustRegion bounds;
};

double uniform(double low, double high, Stream& random) { return low + (high - low) * random.uniform(); }
double log_uniform(double low, double high, Stream& random) {
  return std::exp(uniform(std::log(low), std::log(high), random));
}

/// Problem `number`: T = 1 ... 14, da = 1 ... 3, ds = 1 ... 5; costs convex, or (every third) indefinite; the process noise and the
/// distribution of the first state sometimes without a density; scale of the cost 1e-4 ... 1e6; the entropy bounded or not.
Trajectory random_trajectory(std::uint32_t number) {
  Stream random(31, number, 0, 0);
  const int T = 1 + static_cast<int>(random.bits() % 14);
  const Index da = 1 + static_cast<Index>(random.bits() % 3), ds = 1 + static_cast<Index>(random.bits() % 5),
              n = ds + da;
  const double scale = log_uniform(1e-4, 1e6, random);
  Trajectory p;
  std::vector<LinearGaussian> steps;
  for (int t = 0; t <= T; ++t) {
    const Index size = t < T ? n : ds;
    MatrixXd H = random_matrix(size, size, random);
    H = number % 3 == 2 ? MatrixXd(0.3 * (H + H.transpose())) : MatrixXd(H * H.transpose());
    p.model.cost.push_back({scale * random.normal(), scale * random_matrix(size, 1, random), scale * H});
    if (t == T) break;
    MatrixXd F(ds, n);
    F << 0.9 * MatrixXd::Identity(ds, ds) + 0.15 * random_matrix(ds, ds, random), 0.4 * random_matrix(ds, da, random);
    const MatrixXd N = 0.2 * random_matrix(ds, ds, random);
    p.model.dynamics.push_back({F, 0.2 * random_matrix(ds, 1, random),
                                number % 4 == 1 ? MatrixXd::Zero(ds, ds) : MatrixXd(N * N.transpose())});
    const MatrixXd C = random_matrix(da, da, random);
    steps.push_back(make_linear_gaussian(0.3 * random_matrix(da, ds, random), random_matrix(da, 1, random),
                                         C * C.transpose() + 0.1 * MatrixXd::Identity(da, da)));
  }
  p.policy = TvLinearGaussian(std::move(steps));
  const MatrixXd P = random_matrix(ds, ds, random);
  p.model.start = {random_matrix(ds, 1, random),
                   number % 5 == 1 ? MatrixXd::Zero(ds, ds) : MatrixXd(P * P.transpose())};
  p.bounds = {log_uniform(1e-3, 1, random) * T,
              number % 2 ? std::nullopt : std::optional(log_uniform(1e-2, 1, random))};
  return p;
}

TvLinearGaussian new_policy(const KlLqrUpdate& update) {
  std::vector<LinearGaussian> steps;
  for (const GaussianStep& step : update.steps) steps.push_back(step.next);
  return TvLinearGaussian(std::move(steps));
}

/// Gains of the Riccati recursion. @return [T] (K, k)
std::vector<std::pair<MatrixXd, VectorXd>> riccati(const LqModel& model, Index da) {
  std::vector<std::pair<MatrixXd, VectorXd>> gains(model.dynamics.size());
  MatrixXd V = model.cost.back().H;
  VectorXd v = model.cost.back().g;
  const Index ds = v.size();
  for (std::size_t t = gains.size(); t-- > 0;) {
    const auto& [F, f, S] = model.dynamics[t];
    const MatrixXd Q = model.cost[t].H + F.transpose() * V * F;
    const VectorXd q = model.cost[t].g + F.transpose() * (v + V * f);
    const MatrixXd Qaa = Q.bottomRightCorner(da, da), Qas = Q.bottomLeftCorner(da, ds);
    gains[t] = {-Qaa.llt().solve(Qas), -Qaa.llt().solve(q.tail(da))};
    V = Q.topLeftCorner(ds, ds) + Qas.transpose() * gains[t].first;
    v = q.head(ds) + Qas.transpose() * gains[t].second;
  }
  return gains;
}

/// E cost of a policy backwards in time: c + v's + s'V s / 2 of every step, averaged over the first state.
double cost_backwards(const TvLinearGaussian& policy, const LqModel& model) {
  const auto mean_of = [](const MatrixXd& H, const MatrixXd& cov) { return 0.5 * (H * cov).trace(); };
  MatrixXd V = model.cost.back().H;
  VectorXd v = model.cost.back().g;
  double c = model.cost.back().c;
  const Index ds = v.size(), da = policy.action_dim();
  for (std::size_t t = model.dynamics.size(); t-- > 0;) {
    const auto& [F, f, S] = model.dynamics[t];
    const LinearGaussian& pi = policy[static_cast<int>(t)];
    const MatrixXd Q = model.cost[t].H + F.transpose() * V * F;
    const VectorXd q = model.cost[t].g + F.transpose() * (v + V * f);
    MatrixXd E(ds + da, ds);  // z = E s + e
    E << MatrixXd::Identity(ds, ds), pi.K;
    VectorXd e = VectorXd::Zero(ds + da);
    e.tail(da) = pi.k;
    c += model.cost[t].c + mean_of(V, S) + f.dot(v + 0.5 * V * f) + mean_of(Q.bottomRightCorner(da, da), pi.Sigma) +
         e.dot(q + 0.5 * Q * e);
    v = E.transpose() * (q + Q * e);
    V = (E.transpose() * Q * E).eval();
  }
  return c + v.dot(model.start.mean) + 0.5 * model.start.mean.dot(V * model.start.mean) + mean_of(V, model.start.cov);
}

TEST(ExpectedCost, IsTheSameForwardsAndBackwards) {
  for (std::uint32_t number = 0; number < 50; ++number) {
    const Trajectory p = random_trajectory(number);
    const double backwards = cost_backwards(p.policy, p.model);
    double size = std::abs(backwards);
    for (const Quadratic& c : p.model.cost) size = std::max(size, c.H.cwiseAbs().maxCoeff());
    EXPECT_NEAR(expected_cost(p.policy, p.model), backwards, 1e-11 * size);
  }
}

TEST(KlLqr, EqualsRiccatiWithoutABound) {
  for (std::uint32_t number = 0; number < 60; number += 6) {  // convex, entropy bounded
    Trajectory p = random_trajectory(number);
    p.bounds.epsilon = inf;
    const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
    ASSERT_EQ(u.status, StepStatus::ok) << u.message;
    EXPECT_EQ(u.eta, 0.0);
    const auto best = riccati(p.model, p.policy.action_dim());
    for (std::size_t t = 0; t < best.size(); ++t) {
      const double size = 1.0 + best[t].first.cwiseAbs().maxCoeff() + best[t].second.cwiseAbs().maxCoeff();
      EXPECT_LT((u.steps[t].next.K - best[t].first).cwiseAbs().maxCoeff(), 1e-9 * size) << number << " step " << t;
      EXPECT_LT((u.steps[t].next.k - best[t].second).cwiseAbs().maxCoeff(), 1e-9 * size) << number << " step " << t;
      EXPECT_NEAR(u.steps[t].entropy, u.steps[t].beta, 1e-9);
    }
  }
}

TEST(KlLqr, RecordedQExplainsTheStep) {
  for (std::uint32_t number = 0; number < 60; ++number) {
    const Trajectory p = random_trajectory(number);
    const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
    if (u.status != StepStatus::ok) continue;
    for (int t = 0; t < p.policy.horizon(); ++t) {
      const auto at = static_cast<std::size_t>(t);
      const LinearGaussian &old = p.policy[t], &next = u.steps[at].next;
      const ActionQuadratic& q = u.q[at];
      // (eta Sigma^-1 - Qaa) (change of the mean action) = slope of Q there
      const MatrixXd X = u.eta * MatrixXd(old.Sigma.inverse()) - q.Qaa;
      const MatrixXd slope = q.Qaa * old.K + q.Qas;
      const VectorXd offset = q.Qaa * old.k + q.qa;
      const double size = X.norm() * (next.K.norm() + old.K.norm() + next.k.norm() + old.k.norm());
      EXPECT_LT((X * (next.K - old.K) - slope).norm(), 1e-9 * size) << number << " step " << t;
      EXPECT_LT((X * (next.k - old.k) - offset).norm(), 1e-9 * size) << number << " step " << t;
    }
  }
}

TEST(KlLqr, TendsToRiccatiAsTheBoundGrowsWithoutAnEntropyConstraint) {
  Trajectory p = random_trajectory(3);  // convex, entropy not bounded
  const auto best = riccati(p.model, p.policy.action_dim());
  double before = inf;
  for (const double bound : {4.0, 8.0, 16.0}) {
    p.bounds.epsilon = bound * p.policy.horizon();
    const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
    ASSERT_EQ(u.status, StepStatus::ok) << u.message;
    double error = 0.0;
    for (std::size_t t = 0; t < best.size(); ++t)
      error = std::max(error, (u.steps[t].next.K - best[t].first).cwiseAbs().maxCoeff());
    EXPECT_LT(error, 0.5 * before);
    before = error;
  }
  EXPECT_LT(before, 1e-6);
}

TEST(KlLqr, MeetsItsBoundsWithComplementarySlackness) {
  int active = 0, entropy_active = 0, evaluations = 0;
  for (std::uint32_t number = 0; number < 600; ++number) {
    SCOPED_TRACE(number);
    const Trajectory p = random_trajectory(number);
    const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
    ASSERT_EQ(u.status, StepStatus::ok) << u.message;
    const double bound = p.bounds.epsilon;
    // from the stored policy alone
    const std::vector<Moments> joint = joint_moments(new_policy(u), p.model);
    const Index ds = p.policy.observation_dim();
    double kl = 0.0;
    for (int t = 0; t < p.policy.horizon(); ++t) {
      const auto at = static_cast<std::size_t>(t);
      kl += expected_kl(u.steps[at].next, p.policy[t],
                        Moments{joint[at].mean.head(ds), joint[at].cov.topLeftCorner(ds, ds)});
      const double entropy_new = entropy(u.steps[at].next.C), floor = least_entropy(entropy(p.policy[t].C), p.bounds);
      EXPECT_GE(entropy_new, floor - 1e-9);
      if (u.steps[at].omega > 0) {
        EXPECT_NEAR(entropy_new, floor, 1e-9);
        ++entropy_active;
      }
    }
    EXPECT_LE(kl, bound * (1 + 1e-9));
    EXPECT_NEAR(kl, u.kl, 1e-12 * bound);
    if (u.eta > 0) {
      EXPECT_GE(kl, bound * (1 - 1e-9));
      ++active;
    }
    EXPECT_LE(u.cost_new, u.cost_old + 1e-9 * std::abs(u.cost_old));
    evaluations = std::max(evaluations, u.evaluations);
  }
  EXPECT_GT(active, 500);
  EXPECT_GT(entropy_active, 500);
  EXPECT_LT(evaluations, 60);
}

TEST(KlLqr, FindsTheMultiplierToNineDigits) {
  for (std::uint32_t number = 0; number < 60; ++number) {
    SCOPED_TRACE(number);
    const Trajectory p = random_trajectory(number);
    const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
    if (u.eta == 0) continue;
    double low = u.eta / 2, high = u.eta * 2;
    for (int i = 0; i < 60; ++i) {
      const double eta = 0.5 * (low + high);
      const auto point = kl_lqr_dual(p.policy, p.model, p.bounds, eta);
      (!point || point->kl > p.bounds.epsilon ? low : high) = eta;
    }
    EXPECT_NEAR(u.eta, high, 1e-9 * high);
  }
}

TEST(KlLqr, DualHasTheDerivativeKlMinusBoundAndIsConcave) {
  for (std::uint32_t number = 0; number < 60; ++number) {
    SCOPED_TRACE(number);
    const Trajectory p = random_trajectory(number);
    const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
    const double eta = 1.3 * u.eta + 1e-3, h = 1e-4 * eta;
    const auto at = [&](double e) { return kl_lqr_dual(p.policy, p.model, p.bounds, e); };
    const auto below = at(eta - h), here = at(eta), above = at(eta + h);
    ASSERT_TRUE(below && here && above);
    const double slope = (above->value - below->value) / (2 * h);
    EXPECT_NEAR(slope, here->kl - p.bounds.epsilon,
                1e-6 * p.bounds.epsilon + 1e-14 * (std::abs(here->value) + std::abs(here->cost)) / h);
    EXPECT_LE(above->kl, here->kl * (1 + 1e-12));
    EXPECT_GE(below->kl, here->kl * (1 - 1e-12));
    if (u.eta == 0) continue;
    // at the solution the dual equals the primal: no policy within the bounds is better
    const auto solution = at(u.eta);
    EXPECT_NEAR(solution->value, u.cost_new, 1e-8 * std::abs(u.cost_old - u.cost_new) + 1e-11 * std::abs(u.cost_new));
  }
}

TEST(KlLqr, DoesNotDependOnTheUnitsOfTheCost) {
  for (std::uint32_t number = 0; number < 20; ++number) {
    Trajectory p = random_trajectory(number);
    const KlLqrUpdate a = kl_lqr(p.policy, p.model, p.bounds);
    for (Quadratic& c : p.model.cost) c.c *= 1024, c.g *= 1024, c.H *= 1024;
    const KlLqrUpdate b = kl_lqr(p.policy, p.model, p.bounds);
    EXPECT_NEAR(b.eta, 1024 * a.eta, 1e-9 * b.eta);
    for (std::size_t t = 0; t < a.steps.size(); ++t)
      EXPECT_LT((a.steps[t].next.K - b.steps[t].next.K).cwiseAbs().maxCoeff(), 1e-8) << number;
  }
}

TEST(KlLqr, KeepsThePolicyIfCostsDoNotDependOnActions) {
  Trajectory p = random_trajectory(0);
  const Index ds = p.policy.observation_dim();
  for (LinearDynamics& d : p.model.dynamics) d.F.rightCols(p.policy.action_dim()).setZero();
  for (std::size_t t = 0; t + 1 < p.model.cost.size(); ++t) {
    Quadratic& c = p.model.cost[t];
    const MatrixXd H = c.H.topLeftCorner(ds, ds);
    c.H.setZero();
    c.H.topLeftCorner(ds, ds) = H;
    c.g.tail(p.policy.action_dim()).setZero();
  }
  const KlLqrUpdate u = kl_lqr(p.policy, p.model, p.bounds);
  ASSERT_EQ(u.status, StepStatus::ok);
  EXPECT_EQ(u.eta, 0.0);
  EXPECT_EQ(u.kl, 0.0);
  EXPECT_EQ(u.cost_new, u.cost_old);
  for (int t = 0; t < p.policy.horizon(); ++t) EXPECT_EQ(u.steps[static_cast<std::size_t>(t)].next.K, p.policy[t].K);
}

TEST(KlLqrStepwise, KeepsEveryStepWithinItsBoundUnderTheGivenStates) {
  for (std::uint32_t number = 0; number < 100; ++number) {
    SCOPED_TRACE(number);
    Trajectory p = random_trajectory(number);
    p.bounds.epsilon /= p.policy.horizon();
    Stream random(37, number, 0, 0);
    std::vector<Gaussian> rho;
    for (int t = 0; t < p.policy.horizon(); ++t)
      rho.push_back(test::random_setting(p.policy.action_dim(), p.policy.observation_dim(), random).rho);
    const KlLqrUpdate u = kl_lqr_stepwise(p.policy, p.model, rho, p.bounds);
    ASSERT_EQ(u.status, StepStatus::ok) << u.message;
    for (int t = 0; t < p.policy.horizon(); ++t) {
      const auto at = static_cast<std::size_t>(t);
      EXPECT_LE(expected_kl(u.steps[at].next, p.policy[t], rho[at]), p.bounds.epsilon * (1 + 1e-9));
      EXPECT_LE(u.kl_residual, 1e-9);
      if (u.steps[at].eta > 0) {
        EXPECT_GE(u.steps[at].kl, p.bounds.epsilon * (1 - 1e-9));
      }
    }
  }
}

TEST(KlLqrStepwise, EqualsRiccatiWithoutABound) {
  Trajectory p = random_trajectory(6);
  p.bounds.epsilon = inf;
  const Index ds = p.policy.observation_dim();
  const std::vector<Gaussian> rho(p.model.dynamics.size(),
                                  *make_gaussian(VectorXd::Zero(ds), MatrixXd::Identity(ds, ds)));
  const KlLqrUpdate u = kl_lqr_stepwise(p.policy, p.model, rho, p.bounds);
  ASSERT_EQ(u.status, StepStatus::ok) << u.message;
  const auto best = riccati(p.model, p.policy.action_dim());
  for (std::size_t t = 0; t < best.size(); ++t) {
    EXPECT_LT((u.steps[t].next.K - best[t].first).cwiseAbs().maxCoeff(), 1e-9);
    EXPECT_LT((u.steps[t].next.k - best[t].second).cwiseAbs().maxCoeff(), 1e-9);
  }
}

// ---- failures ------------------------------------------------------------------------------------------------------

TEST(KlLqr, NamesEveryFailure) {
  const Trajectory good = random_trajectory(9);
  const auto outcome = [&](auto change) {
    Trajectory p = good;
    change(p);
    return kl_lqr(p.policy, p.model, p.bounds);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  KlLqrUpdate u = outcome([&](Trajectory& p) { p.model.dynamics[0].f[0] = nan; });
  EXPECT_EQ(u.status, StepStatus::not_finite);
  EXPECT_THAT(u.message, HasSubstr("the dynamics contains"));
  EXPECT_EQ(outcome([&](Trajectory& p) { p.model.cost[0].c = inf; }).status, StepStatus::not_finite);
  EXPECT_EQ(outcome([&](Trajectory& p) { p.policy[0].k[0] = nan; }).status, StepStatus::not_finite);
  EXPECT_EQ(outcome([&](Trajectory& p) { p.model.start.mean[0] = nan; }).status, StepStatus::not_finite);

  u = outcome([&](Trajectory& p) { p.model.dynamics[0].F *= 1e160; });
  EXPECT_EQ(u.status, StepStatus::infeasible);
  EXPECT_THAT(u.message, HasSubstr("no multiplier of the KL bound makes eta Sigma^-1 + Quu positive definite"));
  EXPECT_TRUE(u.steps.empty());

  u = outcome([&](Trajectory& p) { p.bounds.epsilon = inf; });
  EXPECT_EQ(u.status, StepStatus::unbounded);
  EXPECT_THAT(u.message, HasSubstr("there is no entropy constraint"));

  u = outcome([&](Trajectory& p) {  // no room in double precision for a step that small
    p.model.start.mean.setConstant(1e12);
    p.bounds.epsilon = 1e-6;
  });
  EXPECT_EQ(u.status, StepStatus::imprecise) << u.message;
}

TEST(KlLqr, RejectsShapesThatDoNotAgree) {
  const Trajectory good = random_trajectory(9);
  const auto refused = [&](auto change) {
    Trajectory p = good;
    change(p);
    EXPECT_THROW((void)kl_lqr(p.policy, p.model, p.bounds), InputError);
  };
  refused([](Trajectory& p) { p.bounds.epsilon = 0; });
  refused([](Trajectory& p) { p.bounds.entropy_drop = -1; });
  refused([](Trajectory& p) { p.bounds.entropy_drop = inf; });
  refused([](Trajectory& p) { p.model.cost.pop_back(); });
  refused([](Trajectory& p) { p.model.dynamics.pop_back(); });
  refused([](Trajectory& p) { p.model.cost[0].g.conservativeResize(1); });
  refused([](Trajectory& p) { p.model.dynamics[0].F.conservativeResize(1, 1); });
  refused([](Trajectory& p) { p.model.start.mean.resize(0); });
  refused([](Trajectory& p) { p.policy = TvLinearGaussian(); });
  EXPECT_THROW((void)kl_lqr_stepwise(good.policy, good.model, {}, good.bounds), InputError);
}

}  // namespace
}  // namespace kedge
