#include "kedge/math/slsqp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

#include "kedge/core/errors.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using test::same_bits;
using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();

/// minimise sum w (x - c)^2 / 2 such that A x = b.
EqualityProblem quadratic(const VectorXd& w, const VectorXd& c, const MatrixXd& A, const VectorXd& b) {
  EqualityProblem problem;
  problem.f = [=](VectorIn x, VectorOut gradient) {
    gradient = w.cwiseProduct(x - c);
    return 0.5 * w.dot((x - c).cwiseAbs2());
  };
  problem.h = [=](VectorIn x, VectorOut h, MatrixOut gradients) {
    h = A * x - b;
    gradients = A.transpose();
  };
  problem.equations = A.rows();
  problem.lower = VectorXd::Constant(c.size(), -inf);
  problem.upper = VectorXd::Constant(c.size(), inf);
  return problem;
}

TEST(Slsqp, SolvesQuadraticProblemsWithLinearEquations) {
  for (std::uint32_t trial = 0; trial < 10; ++trial) {
    Stream random(3, trial, 0, 0);
    const Index n = 9, m = 5;
    const VectorXd w = random_vector(n, random).cwiseAbs2().array() + 0.1, c = random_vector(n, random);
    const MatrixXd A = random_matrix(m, n, random);
    const VectorXd b = random_vector(m, random);
    const SlsqpResult r = slsqp(quadratic(w, c, A, b), VectorXd::Zero(n));
    ASSERT_TRUE(r.found) << r.message;
    // x = c - W^-1 A' (A W^-1 A')^-1 (A c - b)
    const MatrixXd WA = w.cwiseInverse().asDiagonal() * A.transpose();
    const VectorXd exact = c - WA * (A * WA).ldlt().solve(A * c - b);
    EXPECT_LT((r.x - exact).norm(), 1e-5) << trial;
    EXPECT_LT((A * r.x - b).norm(), 1e-8) << trial;
  }
}

/// The point of the unit sphere that is nearest to c.
EqualityProblem sphere(const VectorXd& c) {
  EqualityProblem problem = quadratic(VectorXd::Ones(c.size()), c, MatrixXd::Zero(1, c.size()), VectorXd::Zero(1));
  problem.h = [](VectorIn x, VectorOut h, MatrixOut gradients) {
    h[0] = x.squaredNorm() - 1.0;
    gradients.col(0) = 2.0 * x;
  };
  return problem;
}

TEST(Slsqp, SolvesCurvedEquationsWithinBounds) {
  const VectorXd c = test::vec({3, 4, 0});
  const SlsqpResult free = slsqp(sphere(c), test::vec({1, 0, 0}));
  ASSERT_TRUE(free.found) << free.message;
  EXPECT_LT((free.x - test::vec({0.6, 0.8, 0})).norm(), 1e-6);
  EXPECT_NEAR(free.value, 0.5 * 16, 1e-9);
  EqualityProblem bounded = sphere(c);
  bounded.upper[1] = 0.6;
  const SlsqpResult held = slsqp(bounded, test::vec({1, 0, 0}));
  ASSERT_TRUE(held.found) << held.message;
  EXPECT_LT((held.x - test::vec({0.8, 0.6, 0})).norm(), 1e-6);
  EXPECT_TRUE(same_bits(held.x, slsqp(bounded, test::vec({1, 0, 0})).x));
}

TEST(Slsqp, SaysWhereTheEquationsHaveNoSolution) {
  EqualityProblem problem = sphere(test::vec({3, 4}));
  problem.upper = VectorXd::Constant(2, 0.5);  // |x|^2 <= 1/2 in the corner; the others are free
  problem.lower = VectorXd::Constant(2, -0.5);
  const SlsqpResult r = slsqp(problem, VectorXd::Zero(2), {.max_evaluations = 200});
  EXPECT_FALSE(r.found);
  EXPECT_GT(r.violation, 0.4);
  EXPECT_THAT(r.message, HasSubstr("largest |equation|"));
  EXPECT_LE(r.x.cwiseAbs().maxCoeff(), 0.5);
}

TEST(Slsqp, PassesExceptionsOnAndRefusesBadInput) {
  EqualityProblem problem = sphere(test::vec({3, 4}));
  problem.f = [](VectorIn, VectorOut) -> double { throw std::runtime_error("mine"); };
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2)), std::runtime_error);
  problem = sphere(test::vec({3, 4}));
  problem.h = [](VectorIn, VectorOut, MatrixOut) { throw std::runtime_error("mine"); };
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2)), std::runtime_error);
  problem = sphere(test::vec({3, 4}));
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(3)), InputError);
  EXPECT_THROW((void)slsqp(problem, test::vec({inf, 0})), InputError);
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2), {.tolerance = 0.0}), InputError);
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2), {.slope = 0.0}), InputError);
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2), {.max_evaluations = 0}), InputError);
  problem.upper[0] = 0.0;
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2)), InputError);
  problem = sphere(test::vec({3, 4}));
  problem.equations = 0;
  EXPECT_THROW((void)slsqp(problem, VectorXd::Ones(2)), InputError);
}

}  // namespace
}  // namespace kedge
