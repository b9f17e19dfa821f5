// MOTO's policy update as laws: optimality against an independent solver, the constraints, invariances, failures.
#include "kedge/update/gaussian_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "problems.h"
#include "reference.h"

namespace kedge {
namespace {

using namespace kedge::test;
using ::testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr std::optional<double> unbounded;  // no entropy constraint
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double gain_of(const Problem& p, const RawPolicy& next) {
  return static_cast<double>(expected_return(p, next) - expected_return(p, raw(p.pi)));
}

/// What is large and small in units of Q: the gain and what the multipliers are worth.
double unit_of(const Problem& p, const GaussianStep& u) {
  return std::abs(u.gain) + u.eta * std::min(1.0, p.bounds.epsilon) + u.omega;
}

bool equal(const LinearGaussian& a, const LinearGaussian& b) {
  return a.K == b.K && a.k == b.k && a.Sigma == b.Sigma && a.C == b.C;
}

/// One action, one observation, everything at 0 and 1.
Problem scalar_problem(double Qaa, double qa, TrustRegion bounds) {
  Problem p;
  p.pi = make_linear_gaussian(MatrixXd::Zero(1, 1), VectorXd::Zero(1), MatrixXd::Identity(1, 1));
  p.rho = *make_gaussian(VectorXd::Zero(1), MatrixXd::Identity(1, 1));
  p.q = {MatrixXd::Constant(1, 1, Qaa), MatrixXd::Zero(1, 1), VectorXd::Constant(1, qa)};
  p.bounds = bounds;
  return p;
}

/// What must hold of every solution, from the raw parameters alone.
void expect_bounds_met(const Problem& p, const GaussianStep& u) {
  ASSERT_EQ(u.status, StepStatus::ok) << u.message;
  // the textbook formula in long double loses 1e-18 to cancellation: compare where that does not count
  const double kl = u.kl < 1e-8 ? u.kl : static_cast<double>(expected_divergence(p, raw(u.next), raw(p.pi)));
  const double h = static_cast<double>(policy_entropy(raw(u.next))), beta = static_cast<double>(lower_bound(p));
  EXPECT_LE(kl, p.bounds.epsilon * (1 + 1e-9));
  EXPECT_GE(h, beta - 1e-9 * std::max(1.0, std::abs(beta)));
  EXPECT_NEAR(u.kl, kl, 1e-9 * kl + 1e-15);
  EXPECT_NEAR(u.entropy, h, 1e-10 * std::max(1.0, std::abs(h)));
  EXPECT_LE(u.kl_residual, 1e-9);
  EXPECT_LE(u.entropy_residual, 1e-9);
  EXPECT_GE(u.eta, 0.0);
  EXPECT_GE(u.omega, 0.0);
  EXPECT_GE(u.eta, u.qaa_max);
  EXPECT_EQ(u.next.Sigma, u.next.Sigma.transpose());
  EXPECT_TRUE((u.next.C * u.next.C.transpose()).isApprox(u.next.Sigma, 1e-13));
}

// ---- Optimality -----------------------------------------------------------------------------------------------------

constexpr std::uint32_t problems = 1000;

TEST(GaussianStep, EqualsAnIndependentSolver) {
  int kl_only = 0, both = 0, entropy_only = 0, none = 0;
  double worst_policy = 0, worst_gain = 0, worst_gap = 0, worst_slack = 0, worst_kl = 0, worst_entropy = 0;
  for (std::uint32_t i = 0; i < problems; ++i) {
    SCOPED_TRACE(i);
    const Problem p = random_problem(i);
    const GaussianStep u = update(p);
    expect_bounds_met(p, u);
    if (HasFatalFailure()) return;
    if (p.q_is_zero()) {
      ++none;
      continue;
    }
    (u.eta > 0 ? (u.omega > 0 ? both : kl_only) : entropy_only) += 1;

    const RawPolicy next = raw(u.next);
    const ReferenceSolution best = solve_slowly(p);
    const double unit = unit_of(p, u);
    worst_policy = std::max(worst_policy, static_cast<double>(expected_divergence(p, next, best.policy)));
    worst_gain = std::max(worst_gain, std::abs(gain_of(p, next) - gain_of(p, best.policy)) / unit);
    EXPECT_NEAR(u.gain, gain_of(p, next), 1e-10 * unit);
    EXPECT_NEAR(u.eta, static_cast<double>(best.eta), 1e-8 * u.eta + 1e-10 * u.omega);
    EXPECT_NEAR(u.omega, static_cast<double>(best.omega), 1e-8 * (u.omega + u.eta));

    // strong duality and complementary slackness at the library's multipliers
    const auto dual = paper_dual(p, static_cast<Real>(u.eta), static_cast<Real>(u.omega));
    ASSERT_TRUE(dual.has_value());
    worst_gap = std::max(worst_gap, std::abs(static_cast<double>(dual->value - expected_return(p, next))) / unit);
    if (u.eta > 0) worst_slack = std::max(worst_slack, u.eta * std::abs(p.bounds.epsilon - u.kl) / unit);
    if (u.omega > 0) worst_slack = std::max(worst_slack, u.omega * std::abs(u.entropy - u.beta) / unit);
    worst_kl = std::max(worst_kl, u.kl / p.bounds.epsilon - 1);
    worst_entropy = std::max(worst_entropy, u.entropy_residual);
    // stationarity: the policy is the one that belongs to the multipliers
    EXPECT_LT(static_cast<double>(expected_divergence(p, next, dual->policy)), 1e-16);
  }
  RecordProperty("kl_only", kl_only);
  fmt::print(
      "KL {}, KL and entropy {}, entropy {}, none {}; worst KL(update || reference) {:.1e}, gain {:.1e}, duality gap "
      "{:.1e}, "
      "slackness {:.1e}, KL excess {:.1e}, entropy {:.1e}\n",
      kl_only, both, entropy_only, none, worst_policy, worst_gain, worst_gap, worst_slack, worst_kl, worst_entropy);
  EXPECT_GE(kl_only, 100);
  EXPECT_GE(both, 100);
  EXPECT_GE(entropy_only, 30);
  EXPECT_GE(none, 10);
  EXPECT_LT(worst_policy, 1e-16);
  EXPECT_LT(worst_gain, 1e-10);
  EXPECT_LT(worst_gap, 1e-9);
  EXPECT_LT(worst_slack, 1e-9);
}

TEST(GaussianStep, IsNeverBeatenByARandomFeasiblePolicy) {
  for (std::uint32_t i = 0; i < problems; i += 4) {
    SCOPED_TRACE(i);
    const Problem p = random_problem(i);
    const GaussianStep u = update(p);
    ASSERT_EQ(u.status, StepStatus::ok) << u.message;
    Stream random(11, i, 0, 0);
    const Index da = p.da(), ds = p.ds();
    const double kl_tolerance = p.bounds.epsilon * (1 + 1e-9), beta = static_cast<double>(lower_bound(p)) - 1e-12;
    const auto feasible = [&](const LinearGaussian& x) {
      return expected_kl(x, p.pi, p.rho) <= kl_tolerance && entropy(x.C) >= beta;
    };
    // Strictly feasible: the old mean, and the covariance inflated to an entropy between the smallest and the largest allowed.
    const double h =
        0.5 * (std::max(0.0, -p.bounds.entropy_drop.value_or(0.0)) + max_entropy_gain(p.bounds.epsilon, da));
    const LinearGaussian inside =
        make_linear_gaussian(p.pi.K, p.pi.k, std::exp(2 * h / static_cast<double>(da)) * p.pi.Sigma);
    ASSERT_TRUE(feasible(inside));
    for (int j = 0; j < 20; ++j) {
      // A policy around the solution or the old one; from it back towards the inside until it is feasible.
      const LinearGaussian& centre = j % 2 == 0 ? u.next : p.pi;
      const double size = std::exp(-5 + 6 * random.uniform());
      const MatrixXd dK =
          size * p.pi.C *
          p.rho.L.transpose().triangularView<Eigen::Upper>().solve(random_matrix(ds, da, random)).transpose();
      const VectorXd dk = size * p.pi.C * random_matrix(da, 1, random) - dK * p.rho.mean;
      const MatrixXd R = centre.C * (MatrixXd::Identity(da, da) + size * random_matrix(da, da, random));
      const auto blend = [&](double t) {
        return make_linear_gaussian((1 - t) * inside.K + t * (centre.K + dK), (1 - t) * inside.k + t * (centre.k + dk),
                                    (1 - t) * inside.Sigma + t * (R * R.transpose() + 1e-12 * centre.Sigma));
      };
      double low = 0, high = 1;
      if (feasible(blend(1))) low = 1;
      for (int step = 0; step < 25 && low < 1; ++step)
        (feasible(blend(0.5 * (low + high))) ? low : high) = 0.5 * (low + high);
      EXPECT_LE(gain_of(p, raw(blend(low))), u.gain + 1e-9 * unit_of(p, u));
    }
  }
}

TEST(GaussianStep, DualHasTheCorrectedGradient) {
  for (std::uint32_t i = 0; i < 200; ++i) {
    SCOPED_TRACE(i);
    Problem p = random_problem(i);
    if (!p.bounds.entropy_drop) p.bounds.entropy_drop = 0.3;
    Stream random(13, i, 0, 0);
    const double scale = std::max(p.q.Qaa.norm() * p.pi.Sigma.norm(), 1e-3);
    const Real eta = static_cast<Real>(scale * (1.1 + random.uniform())),
               omega = static_cast<Real>(scale * random.uniform());
    const auto at = [&](Real e, Real w) {
      const auto dual = paper_dual(p, e, w);
      EXPECT_TRUE(dual.has_value());
      return *dual;
    };
    const PaperDual dual = at(eta, omega);
    const Real step = eta * 1e-5L;
    const Real d_eta = (at(eta + step, omega).value - at(eta - step, omega).value) / (2 * step);
    const Real d_omega = (at(eta, omega + step).value - at(eta, omega - step).value) / (2 * step);
    const Real size = 1 + std::abs(dual.d_eta) + std::abs(dual.d_omega);
    EXPECT_NEAR(static_cast<double>((d_eta - dual.d_eta) / size), 0, 1e-7);
    EXPECT_NEAR(static_cast<double>((d_omega - dual.d_omega) / size), 0, 1e-7);
    const Real kl = expected_divergence(p, dual.policy, raw(p.pi)), h = policy_entropy(dual.policy);
    EXPECT_NEAR(static_cast<double>(dual.d_eta), p.bounds.epsilon - static_cast<double>(kl),
                1e-9 * static_cast<double>(size));
    EXPECT_NEAR(static_cast<double>(dual.d_omega), static_cast<double>(h - lower_bound(p)),
                1e-9 * static_cast<double>(size));
  }
}

// ---- Closed forms ---------------------------------------------------------------------------------------------------

TEST(GaussianStep, ShiftsTheMeanOnlyIfQIsLinear) {
  const GaussianStep u = update(scalar_problem(0, 3, {0.02, 0.1}));
  ASSERT_EQ(u.status, StepStatus::ok);
  EXPECT_NEAR(u.next.k[0], std::sqrt(2 * 0.02), 1e-12);  // KL = k^2 / 2
  EXPECT_NEAR(u.next.Sigma(0, 0), 1, 1e-14);
  EXPECT_NEAR(u.eta, 3 / std::sqrt(2 * 0.02), 1e-10);
  EXPECT_EQ(u.omega, 0);
}

TEST(GaussianStep, MeetsTheKlByVarianceIfThereIsNoSlope) {
  for (const double curvature : {2.0, -2.0}) {
    const GaussianStep u = update(scalar_problem(curvature, 0, {0.02, unbounded}));
    ASSERT_EQ(u.status, StepStatus::ok);
    const double r = u.next.Sigma(0, 0);
    EXPECT_NEAR(0.5 * (r - 1 - std::log(r)), 0.02, 1e-11);
    EXPECT_EQ(r > 1, curvature > 0);
    EXPECT_EQ(u.next.k[0], 0);
  }
}

TEST(GaussianStep, IsANewtonStepIfOnlyTheEntropyBinds) {
  const GaussianStep u = update(scalar_problem(-2, 0.1, {10, 0.3}));  // optimum at a = 0.05, entropy falls by 0.3
  ASSERT_EQ(u.status, StepStatus::ok);
  EXPECT_EQ(u.eta, 0);
  EXPECT_NEAR(u.next.k[0], 0.05, 1e-14);
  EXPECT_NEAR(u.next.Sigma(0, 0), std::exp(-0.6), 1e-14);
  EXPECT_NEAR(u.omega, 2 * std::exp(-0.6), 1e-14);
  EXPECT_LT(u.kl, 10);
  const GaussianStep unlimited = update(scalar_problem(-2, 0.1, {inf, 0.3}));
  ASSERT_EQ(unlimited.status, StepStatus::ok) << unlimited.message;
  EXPECT_TRUE(equal(unlimited.next, u.next));
}

TEST(GaussianStep, FindsASmallEntropyMultiplierNextToALargeKlMultiplier) {
  const GaussianStep u = update(scalar_problem(-2, 1, {1e-12, 0}));  // the variance is kept: eta + omega = eta - Qaa
  ASSERT_EQ(u.status, StepStatus::ok) << u.message;
  EXPECT_GT(u.eta, 1e5);
  EXPECT_NEAR(u.omega, 2, 1e-13);
}

TEST(GaussianStep, HasNoHardCase) {
  // No slope along the direction of largest, positive curvature; the slope elsewhere cannot use up the KL.
  Problem p = scalar_problem(0, 0, {0.1, 0.05});
  p.pi = make_linear_gaussian(MatrixXd::Zero(2, 1), VectorXd::Zero(2), MatrixXd::Identity(2, 2));
  p.q = {VectorXd{{2.0, -1.0}}.asDiagonal().toDenseMatrix(), MatrixXd::Zero(2, 1), VectorXd{{0.0, 1e-3}}};
  for (const double epsilon : {1e-6, 0.1, 10.0, 100.0}) {
    p.bounds.epsilon = epsilon;
    const GaussianStep u = update(p);
    expect_bounds_met(p, u);
    EXPECT_NEAR(u.kl / epsilon, 1, 1e-9);
    EXPECT_GT(u.eta, 2.0);
    EXPECT_GT(u.next.Sigma(0, 0), 1.0);
    EXPECT_EQ(u.next.k[0], 0.0);
  }
}

TEST(GaussianStep, KeepsThePolicyIfQDoesNotDependOnTheAction) {
  for (const std::optional<double> drop : {std::optional(0.0), std::optional(0.1), unbounded})
    for (const double epsilon : {0.1, inf}) {
      const Problem p = scalar_problem(0, 0, {epsilon, drop});
      const GaussianStep u = update(p);
      EXPECT_EQ(u.status, StepStatus::ok);
      EXPECT_TRUE(equal(u.next, p.pi));
      EXPECT_EQ(u.eta, 0);
      EXPECT_EQ(u.omega, 0);
      EXPECT_EQ(u.kl, 0);
      EXPECT_EQ(u.gain, 0);
    }
  for (const double epsilon : {0.1, inf}) {
    const GaussianStep u =
        update(scalar_problem(0, 0, {epsilon, -0.05}));  // the nearest policy with the entropy asked for
    ASSERT_EQ(u.status, StepStatus::ok);
    EXPECT_NEAR(u.next.Sigma(0, 0), std::exp(0.1), 1e-14);
    EXPECT_EQ(u.next.k[0], 0);
  }
}

// ---- Ranges ---------------------------------------------------------------------------------------------------------

TEST(GaussianStep, WorksAtEveryScaleOfQ) {
  for (std::uint32_t i = 0; i < 50; ++i) {
    SCOPED_TRACE(i);
    const Problem p = random_problem(i);
    const WhitenedQuadratic w = whiten(p.q, p.pi, p.rho);
    const GaussianStep one = gaussian_step(p.pi, w, p.rho, p.bounds);
    for (const double scale : {1e-12, 1e-6, 1e6, 1e12}) {
      const GaussianStep u = gaussian_step(p.pi, {scale * w.A, scale * w.B, scale * w.g}, p.rho, p.bounds);
      ASSERT_EQ(u.status, StepStatus::ok) << u.message;
      EXPECT_NEAR(u.eta, scale * one.eta, 1e-10 * scale * (one.eta + one.omega));
      EXPECT_NEAR(u.omega, scale * one.omega, 1e-10 * scale * (one.eta + one.omega));
      EXPECT_LT(expected_kl(u.next, one.next, p.rho), 1e-20);
    }
    for (const int power : {-900, -1, 1, 900}) {  // exact: the same bits
      const double scale = std::ldexp(1.0, power);
      const GaussianStep u = gaussian_step(p.pi, {scale * w.A, scale * w.B, scale * w.g}, p.rho, p.bounds);
      ASSERT_EQ(u.status, StepStatus::ok) << u.message;
      EXPECT_TRUE(equal(u.next, one.next));
      EXPECT_EQ(u.eta, scale * one.eta);
      EXPECT_EQ(u.omega, scale * one.omega);
    }
  }
}

TEST(GaussianStep, TendsToTheOldPolicyAsEpsilonVanishes) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    SCOPED_TRACE(i);
    Problem p = random_problem(i);
    if (p.bounds.entropy_drop && *p.bounds.entropy_drop < 0) p.bounds.entropy_drop = 0.1;
    for (const double epsilon : {1e-4, 1e-6, 1e-8, 1e-10}) {
      p.bounds.epsilon = epsilon;
      const GaussianStep u = update(p);
      expect_bounds_met(p, u);
      if (u.eta > 0) {
        EXPECT_NEAR(u.kl / epsilon, 1, 1e-13 / std::sqrt(epsilon));  // the stored policy is rounded
      }
      const double da = static_cast<double>(p.da());
      const MatrixXd shift = p.pi.C.triangularView<Eigen::Lower>().solve((u.next.K - p.pi.K) * p.rho.L);
      const MatrixXd ratio = p.pi.C.triangularView<Eigen::Lower>().solve(u.next.C) - MatrixXd::Identity(p.da(), p.da());
      EXPECT_LT(shift.norm(), std::sqrt(2 * epsilon) * (1 + 1e-6));
      EXPECT_LT(ratio.norm(), da * 2 * std::sqrt(epsilon));
    }
  }
}

TEST(GaussianStep, MeetsLargeKlBounds) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    SCOPED_TRACE(i);
    Problem p = random_problem(i);
    for (const double epsilon : {5.0, 20.0, 100.0}) {
      p.bounds.epsilon = epsilon;
      const GaussianStep u = update(p);
      expect_bounds_met(p, u);
      if (u.eta > 0) {
        EXPECT_NEAR(u.kl / epsilon, 1, 1e-9);
      }
    }
  }
}

/// Problem `number` with its states moved to `distance` standard deviations from the origin, in turns with
///   0 k = -K mu + (as much as before): large terms cancel in the old mean   1 an old mean as large as K mu
///   2 the same with K larger by 1000: rounding it moves the mean more than rounding k
Problem far_problem(std::uint32_t number, double distance) {
  Problem p = random_problem(number);
  Stream random(31, number, 0, 0);
  const VectorXd mean = distance * p.rho.L * random_matrix(p.ds(), 1, random).normalized();
  if (number % 3 == 0) p.pi.k -= p.pi.K * (mean - p.rho.mean);
  if (number % 3 == 2) p.pi.K *= 1000;
  p.rho.mean = mean;
  return p;
}

TEST(GaussianStep, StaysWithinTheBoundsFarFromTheOrigin) {
  for (std::uint32_t i = 0; i < 500; ++i)
    for (const double distance : {1e3, 1e6, 1e9}) {
      SCOPED_TRACE(fmt::format("problem {} at {:.0e}", i, distance));
      const Problem p = far_problem(i, distance);
      const Problem near = random_problem(i);  // Q is the same in whitened coordinates
      const GaussianStep u = gaussian_step(p.pi, whiten(near.q, near.pi, near.rho), p.rho, p.bounds);
      expect_bounds_met(p, u);
      if (u.eta > 0) {
        EXPECT_GT(u.kl,
                  p.bounds.epsilon * (1 - 1e-12 * std::max(1e3, distance)));  // no more is lost than by rounding k
      }
    }
}

TEST(GaussianStep, StaysWithinTheBoundsWhereThePolicyIsNearlySingular) {
  for (std::uint32_t i = 0; i < 300; ++i) {
    SCOPED_TRACE(i);
    Problem p = random_problem(i);
    const WhitenedQuadratic q = whiten(p.q, p.pi, p.rho);
    Stream random(37, i, 0, 0);
    const MatrixXd U = Eigen::HouseholderQR<MatrixXd>(random_matrix(p.da(), p.da(), random)).householderQ();
    const VectorXd variance = Eigen::pow(10.0, VectorXd::LinSpaced(p.da(), -11, 0).array());  // log det loses digits
    p.pi = make_linear_gaussian(p.pi.K, p.pi.k, U * variance.asDiagonal() * U.transpose());
    const GaussianStep u = gaussian_step(p.pi, q, p.rho, p.bounds);
    ASSERT_EQ(u.status, StepStatus::ok) << u.message;
    Real change = 0;  // of the entropy
    for (Index j = 0; j < p.da(); ++j)
      change += std::log(static_cast<Real>(u.next.C(j, j))) - std::log(static_cast<Real>(p.pi.C(j, j)));
    EXPECT_GE(static_cast<double>(change),
              -p.bounds.entropy_drop.value_or(inf) - 1e-9 * std::max(1.0, std::abs(u.beta)));
    EXPECT_LE(u.kl, p.bounds.epsilon * (1 + 1e-9));
  }
}

TEST(GaussianStep, ReachesTheLargestFeasibleEntropy) {
  for (std::uint32_t i = 0; i < 60; ++i) {
    SCOPED_TRACE(i);
    Problem p = random_problem(i);
    const double most = max_entropy_gain(p.bounds.epsilon, p.da());
    for (const double slack : {1e-3, 1e-6, 1e-9, 1e-12}) {
      p.bounds.entropy_drop = -(1 - slack) * most;
      expect_bounds_met(p, update(p));
    }
    p.bounds.entropy_drop = -(1 + 1e-9) * most;
    EXPECT_EQ(update(p).status, StepStatus::infeasible);
  }
}

// ---- Invariances ----------------------------------------------------------------------------------------------------

TEST(GaussianStep, DoesNotDependOnTheCoordinates) {
  for (std::uint32_t i = 0; i < 60; ++i) {
    SCOPED_TRACE(i);
    const Problem p = random_problem(i);
    Stream random(17, i, 0, 0);
    const Index da = p.da(), ds = p.ds();
    // s = M t + c, a = N b + d. Q changes by terms without b, too: those that depend on the state only are irrelevant.
    const MatrixXd M = MatrixXd::Identity(ds, ds) + 0.2 * random_matrix(ds, ds, random),
                   N = MatrixXd::Identity(da, da) + 0.2 * random_matrix(da, da, random);
    const VectorXd c = random_matrix(ds, 1, random), d = random_matrix(da, 1, random);
    const MatrixXd Mi = M.inverse(), Ni = N.inverse();
    const auto transform = [&](const LinearGaussian& x) {
      return make_linear_gaussian(Ni * x.K * M, Ni * (x.K * c + x.k - d), Ni * x.Sigma * Ni.transpose());
    };
    Problem t;
    t.pi = transform(p.pi);
    t.rho = *make_gaussian(Mi * (p.rho.mean - c), Mi * p.rho.cov * Mi.transpose());
    t.q = {N.transpose() * p.q.Qaa * N, N.transpose() * p.q.Qas * M,
           N.transpose() * (p.q.Qaa * d + p.q.Qas * c + p.q.qa)};
    t.bounds = p.bounds;

    const GaussianStep u = update(p), v = update(t);
    ASSERT_EQ(v.status, StepStatus::ok) << v.message;
    const double unit = unit_of(p, u);
    EXPECT_NEAR(v.eta, u.eta, 1e-8 * (u.eta + u.omega));
    EXPECT_NEAR(v.omega, u.omega, 1e-8 * (u.eta + u.omega));
    EXPECT_NEAR(v.gain, u.gain, 1e-8 * unit);
    EXPECT_LT(expected_kl(v.next, transform(u.next), t.rho), 1e-16);
  }
}

/// The step without a context: a search distribution over parameters.
TEST(GaussianStep, WorksWithoutAState) {
  for (std::uint32_t i = 0; i < 50; ++i) {
    SCOPED_TRACE(i);
    Problem p = random_problem(i);
    p.pi.K.setZero();
    p.q.Qas.setZero();
    const GaussianStep with = update(p);  // a state that does not matter
    p.pi.K.resize(p.da(), 0);
    p.q.Qas.resize(p.da(), 0);
    p.rho = {VectorXd(0), MatrixXd(0, 0), MatrixXd(0, 0)};
    const GaussianStep without = update(p);
    ASSERT_EQ(without.status, with.status) << without.message;
    EXPECT_EQ(without.next.K.cols(), 0);
    EXPECT_LT((without.next.k - with.next.k).norm(), 1e-9 * (1 + with.next.k.norm()));
    EXPECT_LT((without.next.Sigma - with.next.Sigma).norm(), 1e-9 * with.next.Sigma.norm());
    EXPECT_NEAR(without.kl, with.kl, 1e-9 * with.kl);
  }
}

TEST(GaussianStep, IgnoresTheSkewPartOfQaa) {
  const Problem p = random_problem(11);
  ASSERT_GE(p.da(), 2);
  Problem skewed = p;
  skewed.q.Qaa(0, 1) += 7;
  skewed.q.Qaa(1, 0) -= 7;
  const GaussianStep u = update(p), v = update(skewed);
  EXPECT_LT(expected_kl(u.next, v.next, p.rho), 1e-24);
}

TEST(Whiten, IsQInOtherCoordinates) {
  for (std::uint32_t i = 0; i < 50; ++i) {
    SCOPED_TRACE(i);
    const Problem p = random_problem(i);
    const WhitenedQuadratic w = whiten(p.q, p.pi, p.rho);
    Stream random(19, i, 0, 0);
    const VectorXd s = p.rho.mean + p.rho.L * random_matrix(p.ds(), 1, random);
    const VectorXd mean = p.pi.K * s + p.pi.k;
    const auto q = [&](const VectorXd& a) { return 0.5 * a.dot(p.q.Qaa * a) + a.dot(p.q.Qas * s) + a.dot(p.q.qa); };
    const VectorXd xi = p.rho.L.triangularView<Eigen::Lower>().solve(s - p.rho.mean);
    const VectorXd alpha = random_matrix(p.da(), 1, random);
    const double expected = q(mean + p.pi.C * alpha) - q(mean),
                 size = std::abs(q(mean + p.pi.C * alpha)) + std::abs(q(mean));
    EXPECT_NEAR(0.5 * alpha.dot(w.A * alpha) + alpha.dot(w.B * xi + w.g), expected, 1e-10 * size);

    const ActionQuadratic back = unwhiten(w, p.pi, p.rho);
    EXPECT_LE((back.Qaa - p.q.Qaa).norm(), 1e-10 * p.q.Qaa.norm());
    EXPECT_LE((back.Qas - p.q.Qas).norm(), 1e-10 * (p.q.Qas.norm() + (p.q.Qaa * p.pi.K).norm()));
    EXPECT_LE((back.qa - p.q.qa).norm(),
              1e-10 * (p.q.qa.norm() + (p.q.Qaa * p.pi.k).norm() + (p.q.Qas * p.rho.mean).norm()));
  }
}

TEST(ExpectedKl, EqualsTheTextbookFormula) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    Stream random(23, i, 0, 0);
    const Index da = 1 + i % 9, ds = 1 + i % 21;
    const Problem p = random_setting(da, ds, random);
    LinearGaussian other = make_linear_gaussian(p.pi.K + random_matrix(da, ds, random), p.pi.k, 2 * p.pi.Sigma);
    const double expected = static_cast<double>(expected_divergence(p, raw(other), raw(p.pi)));
    EXPECT_NEAR(expected_kl(other, p.pi, p.rho), expected, 1e-11 * expected);
    EXPECT_LT(expected_kl(p.pi, p.pi, p.rho), 1e-26);
    other = p.pi;
    other.Sigma *= 1 + 1e-9;
    other.C *= std::sqrt(1 + 1e-9);
    EXPECT_NEAR(expected_kl(other, p.pi, p.rho), 0.25e-18 * static_cast<double>(da), 1e-24);
  }
}

// ---- Failures -------------------------------------------------------------------------------------------------------

TEST(GaussianStep, KeepsTheOldPolicyIfItFails) {
  const auto expect_failure = [](const Problem& p, StepStatus status, const char* text) {
    const GaussianStep u = update(p);
    EXPECT_EQ(u.status, status) << to_string(u.status);
    EXPECT_THAT(u.message, HasSubstr(text));
    EXPECT_TRUE(equal(u.next, p.pi));
    EXPECT_EQ(u.kl, 0);
    EXPECT_EQ(u.gain, 0);
  };
  expect_failure(scalar_problem(-1, 1, {0.01, -1}), StepStatus::infeasible,
                 "an entropy higher by 1 nats needs a KL of at least");
  expect_failure(scalar_problem(0, 0, {0.01, -1}), StepStatus::infeasible, "epsilon = 0.01");
  expect_failure(scalar_problem(-1, 1, {inf, -1e4}), StepStatus::infeasible, "inf");
  expect_failure(scalar_problem(1, 1, {inf, 0.1}), StepStatus::unbounded, "largest eigenvalue of C'Qaa C is 1");
  expect_failure(scalar_problem(0, 1, {inf, 0.1}), StepStatus::unbounded, "strictly concave");
  expect_failure(scalar_problem(-1, 1, {inf, unbounded}), StepStatus::unbounded, "no entropy constraint");

  // The step is lost in the rounding of a large K: KL of the stored policy is not the one that was solved for.
  Problem p = scalar_problem(0, 0, {5e-17, 0.1});
  p.pi.K(0, 0) = 1e8;  // its next neighbour is 1.5e-8 away, the step would be 1e-8
  p.q.Qas(0, 0) = 1;
  expect_failure(p, StepStatus::imprecise, "for epsilon = 4.99");
  p.bounds.epsilon = 8e-17;  // a third of that would be met, by no step at all
  expect_failure(p, StepStatus::imprecise, "for epsilon = 8");
}

TEST(GaussianStep, NamesTheInputThatIsNotFinite) {
  for (const double bad : {nan, inf, -inf}) {
    const Problem p = random_problem(1);
    const WhitenedQuadratic w = whiten(p.q, p.pi, p.rho);
    const auto expect_named = [&](const char* name, auto&& spoil) {
      LinearGaussian pi = p.pi;
      WhitenedQuadratic q = w;
      Gaussian rho = p.rho;
      spoil(pi, q, rho);
      const GaussianStep u = gaussian_step(pi, q, rho, p.bounds);
      EXPECT_EQ(u.status, StepStatus::not_finite);
      EXPECT_THAT(u.message, HasSubstr(name));
    };
    expect_named("Q", [&](auto&, auto& q, auto&) { q.A(0, 0) = bad; });
    expect_named("Q", [&](auto&, auto& q, auto&) { q.B(0, 0) = bad; });
    expect_named("Q", [&](auto&, auto& q, auto&) { q.g[0] = bad; });
    expect_named("old policy", [&](auto& pi, auto&, auto&) { pi.K(0, 0) = bad; });
    expect_named("old policy", [&](auto& pi, auto&, auto&) { pi.k[0] = bad; });
    expect_named("old policy", [&](auto& pi, auto&, auto&) { pi.Sigma(0, 0) = bad; });
    expect_named("old policy", [&](auto& pi, auto&, auto&) { pi.C(0, 0) = bad; });
    expect_named("state distribution", [&](auto&, auto&, auto& rho) { rho.mean[0] = bad; });
    expect_named("state distribution", [&](auto&, auto&, auto& rho) { rho.L(0, 0) = bad; });
  }
}

TEST(GaussianStep, RejectsImpossibleBoundsAndShapes) {
  for (const double epsilon : {0.0, -1.0, nan}) EXPECT_THROW(update(scalar_problem(-1, 1, {epsilon, 0.1})), InputError);
  for (const double drop : {nan, inf, -inf}) EXPECT_THROW(update(scalar_problem(-1, 1, {0.1, drop})), InputError);
  const Problem p = random_problem(2);
  const WhitenedQuadratic w = whiten(p.q, p.pi, p.rho);
  WhitenedQuadratic q = w;
  q.B = MatrixXd::Zero(p.da(), p.ds() + 1);
  EXPECT_THROW(gaussian_step(p.pi, q, p.rho, p.bounds), InputError);
  q = w;
  q.A = MatrixXd::Zero(p.da() + 1, p.da());
  EXPECT_THROW(gaussian_step(p.pi, q, p.rho, p.bounds), InputError);
  q = w;
  q.g = VectorXd::Zero(p.da() + 1);
  EXPECT_THROW(gaussian_step(p.pi, q, p.rho, p.bounds), InputError);
  EXPECT_THROW(gaussian_step(LinearGaussian{}, w, p.rho, p.bounds), InputError);
  ActionQuadratic raw_q = p.q;
  raw_q.qa = VectorXd::Zero(p.da() + 1);
  EXPECT_THROW(whiten(raw_q, p.pi, p.rho), InputError);
  EXPECT_THROW(unwhiten(q, p.pi, p.rho), InputError);
}

TEST(GaussianStep, HasANameForEveryStatus) {
  for (const auto status :
       {StepStatus::ok, StepStatus::not_finite, StepStatus::infeasible, StepStatus::unbounded, StepStatus::imprecise})
    EXPECT_STRNE(to_string(status), "?");
}

}  // namespace
}  // namespace kedge
