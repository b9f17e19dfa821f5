// Movement primitives against a direct integration of their equation, and imitation. What every policy keeps: laws_test.cpp.
#include "kedge/policy/movement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

/// The equation of movement.h, integrated with the classical Runge-Kutta method and small steps.
struct State {
  double y, yd;
};
State integrated(const VectorXd& p, double D, double until, int steps) {
  const double a = 15.0 / D;
  const Index B = p.size() - kWeights;
  const auto acceleration = [&](double t, double y, double yd) {
    const double g = p[kGoal] - p[kGoalVelocity] * (D - t), z = std::exp(-2.0 * t / D);
    double sum = 0.0, all = 0.0;
    for (Index b = 0; b < B; ++b) {
      const auto centre = [&](Index i) { return std::exp(-2.0 * static_cast<double>(i) / static_cast<double>(B - 1)); };
      const double gap = b + 1 < B ? centre(b) - centre(b + 1) : centre(b - 1) - centre(b);
      const double psi = std::exp(-1.5 * std::pow((z - centre(b)) / gap, 2));
      sum += p[kWeights + b] * psi * z;
      all += psi;
    }
    return a * (a / 4.0 * (g - y) + p[kGoalVelocity] - yd) + sum / all;
  };
  State s{p[kStart], p[kStartVelocity]};
  const double h = until / steps;
  for (int i = 0; i < steps; ++i) {
    const double t = i * h;
    const double v1 = s.yd, a1 = acceleration(t, s.y, s.yd);
    const double v2 = s.yd + h / 2 * a1, a2 = acceleration(t + h / 2, s.y + h / 2 * v1, v2);
    const double v3 = s.yd + h / 2 * a2, a3 = acceleration(t + h / 2, s.y + h / 2 * v2, v3);
    const double v4 = s.yd + h * a3, a4 = acceleration(t + h, s.y + h * v3, v4);
    s.y += h / 6 * (v1 + 2 * v2 + 2 * v3 + v4);
    s.yd += h / 6 * (a1 + 2 * a2 + 2 * a3 + a4);
  }
  return s;
}

TEST(Movement, FollowsItsEquation) {
  Stream random(1, 0, 0, 0);
  const MovementBasis basis = movement_basis(30, 0.02, 5);
  VectorXd p = test::random_vector(9, random);
  p.tail(5) *= 100.0;
  for (const int t : {0, 1, 10, 30}) {
    const State expected = integrated(p, 0.6, t * 0.02, 3000);
    EXPECT_NEAR(p.dot(basis.position.col(t)), expected.y, 0.03) << t;
    EXPECT_NEAR(p.dot(basis.velocity.col(t)), expected.yd, 0.5) << t;
  }
}

TEST(Movement, ConvergesToItsEquationWithTheStep) {
  VectorXd p(6);
  p << 0.3, -1.0, 1.2, 2.0, 30.0, -40.0;
  const auto error = [&](double step) {  // steps below 2 ms are those of the integration
    const int T = static_cast<int>(std::lround(0.6 / step));
    const MovementBasis basis = movement_basis(T, step, 2);
    return std::abs(p.dot(basis.position.col(T / 2)) - integrated(p, 0.6, 0.3, 3000).y);
  };
  EXPECT_LT(error(5e-4), 0.3 * error(2e-3));
  EXPECT_LT(error(5e-4), 2e-3);
}

TEST(Movement, StandsStillWhereStartAndGoalAreTheSame) {
  const MovementBasis basis = movement_basis(50, 0.05, 3);
  VectorXd p = VectorXd::Zero(7);
  p[kStart] = p[kGoal] = 1.7;
  EXPECT_LT(((p.transpose() * basis.position).array() - 1.7).abs().maxCoeff(), 1e-12);
  EXPECT_LT((p.transpose() * basis.velocity).cwiseAbs().maxCoeff(), 1e-12);
}

TEST(Movement, ArrivesAtItsGoalWithItsVelocity) {
  const MovementBasis basis = movement_basis(300, 0.002, 0);
  const VectorXd p{{0.4, 0.0, -0.3, 2.5}};
  EXPECT_NEAR(p.dot(basis.position.col(300)), -0.3, 0.02);
  EXPECT_NEAR(p.dot(basis.velocity.col(300)), 2.5, 0.15);
}

/// A backswing and a stroke: a sum of smooth bumps with another end.
MatrixXd stroke(int T, double step, MatrixXd& velocity) {
  MatrixXd q(2, T + 1);
  velocity.resize(2, T + 1);
  for (int t = 0; t <= T; ++t) {
    const double s = t * step / 0.6, w = std::numbers::pi;
    q.col(t) << -0.4 * std::sin(w * s) + 0.9 * s * s * s, 0.3 * std::cos(w * s) + 0.1 * s;
    velocity.col(t) << (-0.4 * w * std::cos(w * s) + 2.7 * s * s) / 0.6, (-0.3 * w * std::sin(w * s) + 0.1) / 0.6;
  }
  return q;
}

TEST(Movement, ImitatesADemonstrationTo5Milliradians) {
  for (const auto& [T, step] : {std::pair{300, 0.002}, std::pair{30, 0.02}}) {
    MatrixXd velocity;
    const MatrixXd q = stroke(T, step, velocity);
    const MovementBasis basis = movement_basis(T, step, 10);
    const MatrixXd p = imitate(basis, q, velocity);
    EXPECT_LT((p * basis.position - q).cwiseAbs().maxCoeff(), 5e-3);
    EXPECT_LT((p * basis.velocity - velocity).cwiseAbs().maxCoeff(), 0.15);
    EXPECT_EQ(p.col(kGoal), q.col(T));
    EXPECT_EQ(p.col(kGoalVelocity), velocity.col(T));
  }
}

TEST(Movement, ImitationFindsTheParametersOfAMovement) {
  Stream random(3, 0, 0, 0);
  const MovementBasis basis = movement_basis(100, 0.01, 6);
  VectorXd p = test::random_vector(10, random);
  p.tail(6) *= 50.0;
  // Its goal and goal velocity are where it ends: two linear equations.
  const VectorXd y = basis.position.col(100), yd = basis.velocity.col(100);
  p[kGoal] = p[kGoalVelocity] = 0.0;
  const Eigen::Matrix2d A{{1.0 - y[kGoal], -y[kGoalVelocity]}, {-yd[kGoal], 1.0 - yd[kGoalVelocity]}};
  const Eigen::Vector2d end = A.lu().solve(Eigen::Vector2d(p.dot(y), p.dot(yd)));
  p[kGoal] = end[0];
  p[kGoalVelocity] = end[1];
  const MatrixXd found = imitate(basis, p.transpose() * basis.position, p.transpose() * basis.velocity);
  EXPECT_LT((found.transpose() - p).cwiseAbs().maxCoeff(), 1e-6 * p.cwiseAbs().maxCoeff());
}

TEST(Movement, RefusesImpossibleSizes) {
  EXPECT_THROW(movement_basis(0, 0.1, 3), InputError);
  EXPECT_THROW(movement_basis(5, 0.0, 3), InputError);
  EXPECT_THROW(movement_basis(5, 0.1, -1), InputError);
  const MovementBasis basis = movement_basis(5, 0.1, 3);
  EXPECT_THROW(imitate(basis, MatrixXd::Zero(1, 5), MatrixXd::Zero(1, 5)), InputError);
  EXPECT_THROW(imitate(basis, MatrixXd::Zero(1, 6), MatrixXd::Zero(2, 6)), InputError);
}

}  // namespace
}  // namespace kedge
