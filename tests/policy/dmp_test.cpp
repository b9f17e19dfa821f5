// The policy that tracks a movement, on a unit mass whose motion under piecewise constant forces is exact. What every policy
// keeps: laws_test.cpp.
#include "kedge/policy/dmp.h"

#include <gtest/gtest.h>

#include <limits>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

InverseDynamics mass(double m) {
  return [m](VectorIn, VectorIn, VectorIn qdd, VectorOut a, MatrixOut inertia) {
    a = m * qdd;
    inertia.setIdentity();
    inertia *= m;
  };
}

Tracking tracking(double limit = kInfinity) {
  return {{0}, {1}, VectorXd{{-limit}}, VectorXd{{limit}}, VectorXd{{0.1}}};
}

std::shared_ptr<const MovementBasis> basis(double step) {
  return std::make_shared<MovementBasis>(movement_basis(static_cast<int>(std::lround(1.0 / step)), step, 3));
}

const MatrixXd kMovement{{0.2, 0.1, 1.0, -0.5, 40.0, -20.0, 10.0}};

/// The positions of a mass that the policy moves from (q, v). @return [T+1]
VectorXd path(const DmpPolicy& policy, double m, double q, double v, double h) {
  VectorXd positions(policy.horizon() + 1), s(2), a(1);
  for (int t = 0; t <= policy.horizon(); ++t) {
    positions[t] = q;
    if (t == policy.horizon()) break;
    s << q, v;
    policy.mean(t, s, a);
    q += h * v + 0.5 * h * h * a[0] / m;
    v += h * a[0] / m;
  }
  return positions;
}

TEST(Dmp, FollowsItsMovement) {
  for (const double h : {0.002, 0.02, 0.1}) {
    const auto b = basis(h);
    const DmpPolicy policy = DmpPolicy::track(kMovement, b, tracking(), 2, mass(3.0));
    const VectorXd y = (kMovement * b->position).transpose();
    EXPECT_LT((path(policy, 3.0, 0.2, 0.1, h) - y).cwiseAbs().maxCoeff(), h < 0.05 ? 5e-3 : 0.1) << h;
  }
}

TEST(Dmp, ComesBackToItsMovement) {
  for (const double h : {0.002, 0.02}) {
    const auto b = basis(h);
    const DmpPolicy policy = DmpPolicy::track(kMovement, b, tracking(), 2, mass(3.0));
    const VectorXd apart = path(policy, 3.0, 0.5, -1.0, h) - (kMovement * b->position).transpose();
    EXPECT_GT(apart[0], 0.29);
    EXPECT_LT(std::abs(apart[apart.size() - 1]), 0.01) << "after ten time constants";
  }
}

TEST(Dmp, KeepsItsLimits) {
  const DmpPolicy policy = DmpPolicy::track(kMovement, basis(0.02), tracking(2.0), 2, mass(3.0));
  VectorXd a(1);
  double largest = 0.0;
  for (int t = 0; t < policy.horizon(); ++t) {
    policy.mean(t, VectorXd{{0.0, 0.0}}, a);
    EXPECT_LE(std::abs(a[0]), 2.0);
    largest = std::max(largest, std::abs(a[0]));
  }
  EXPECT_EQ(largest, 2.0);
}

TEST(Dmp, AModelThatFailsGivesActionsThatAreNoNumbers) {
  const InverseDynamics broken = [](VectorIn, VectorIn, VectorIn, VectorOut a, MatrixOut inertia) {
    a.setConstant(std::numeric_limits<double>::quiet_NaN());
    inertia.setConstant(std::numeric_limits<double>::quiet_NaN());
  };
  const DmpPolicy policy = DmpPolicy::track(kMovement, basis(0.1), tracking(2.0), 2, broken);
  EXPECT_FALSE(policy.finite());
  VectorXd a(1);
  policy.mean(0, VectorXd{{0.0, 0.0}}, a);
  EXPECT_TRUE(std::isnan(a[0]));
  EXPECT_THROW(DmpPolicy(policy.movement(), 0.1, policy.tracking(), policy.K(), policy.k()), InputError);
}

TEST(Dmp, RefusesWhatDoesNotFit) {
  const DmpPolicy good = DmpPolicy::track(kMovement, basis(0.1), tracking(), 2, mass(1.0));
  EXPECT_NO_THROW(DmpPolicy(good.movement(), 0.1, good.tracking(), good.K(), good.k()));
  EXPECT_THROW(DmpPolicy(good.movement(), 0.0, good.tracking(), good.K(), good.k()), InputError);
  EXPECT_THROW(DmpPolicy(good.movement().leftCols(3), 0.1, good.tracking(), good.K(), good.k()), InputError);
  EXPECT_THROW(DmpPolicy(good.movement(), 0.1, good.tracking(), good.K(), good.k().leftCols(3)), InputError);
  Tracking other = good.tracking();
  other.position = {2};
  EXPECT_THROW(DmpPolicy(good.movement(), 0.1, other, good.K(), good.k()), InputError);
  other = good.tracking();
  other.std[0] = 0.0;
  EXPECT_THROW(DmpPolicy(good.movement(), 0.1, other, good.K(), good.k()), InputError);
}

}  // namespace
}  // namespace kedge
