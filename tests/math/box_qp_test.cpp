#include "kedge/math/box_qp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;

struct Problem {
  MatrixXd H;
  VectorXd g, low, high;
};

/// Bounds of all kinds: both sides, one side, none, at 0, of no width.
Problem random_problem(Index n, std::uint32_t number) {
  Stream random(1, number, static_cast<std::uint32_t>(n), 0);
  const MatrixXd M = random_matrix(n, n, random);
  Problem p{M * M.transpose() + 0.01 * MatrixXd::Identity(n, n), 3.0 * random_vector(n, random), VectorXd(n),
            VectorXd(n)};
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (Index i = 0; i < n; ++i) {
    const double at = random.normal(), width = random.uniform();
    p.low[i] = at - width;
    p.high[i] = at + width;
    switch (random.bits() % 6) {
      case 0: p.low[i] = -inf; break;
      case 1: p.high[i] = inf; break;
      case 2: p.low[i] = -inf, p.high[i] = inf; break;
      case 3: p.low[i] = 0.0, p.high[i] = width; break;
      case 4: p.low[i] = p.high[i] = at; break;
      default: break;
    }
  }
  return p;
}

/// The minimiser, by trying every set of bounds that may hold.
VectorXd brute_force(const Problem& p) {
  const Index n = p.g.size();
  VectorXd best(n);
  double least = std::numeric_limits<double>::infinity();
  const auto sets = static_cast<int>(std::pow(3, n));
  for (int set = 0; set < sets; ++set) {
    VectorXd x = VectorXd::Zero(n);
    std::vector<Index> free;
    for (Index i = 0, digits = set; i < n; ++i, digits /= 3) {
      if (digits % 3 == 0) free.push_back(i);
      if (digits % 3 == 1) x[i] = p.low[i];
      if (digits % 3 == 2) x[i] = p.high[i];
    }
    if (!x.allFinite()) continue;
    const VectorXd rest = p.g + p.H * x;
    if (!free.empty()) x(free) = -p.H(free, free).llt().solve(rest(free));
    if (((x - p.low).array() < -1e-12).any() || ((x - p.high).array() > 1e-12).any()) continue;
    const double value = p.g.dot(x) + 0.5 * x.dot(p.H * x);
    if (value < least) {
      least = value;
      best = x;
    }
  }
  return best;
}

TEST(BoxQp, FindsTheMinimumAmongAllSetsOfBounds) {
  BoxQp qp;
  int held = 0;
  for (Index n = 1; n <= 6; ++n)
    for (std::uint32_t number = 0; number < 60; ++number) {
      const Problem p = random_problem(n, number);
      ASSERT_TRUE(box_qp(p.H, p.g, p.low, p.high, qp)) << n << ' ' << number;
      const VectorXd expected = brute_force(p);
      EXPECT_LT((qp.x - expected).norm(), 1e-9 * (1.0 + expected.norm())) << n << ' ' << number;
      for (Index i = 0; i < n; ++i) {
        EXPECT_GE(qp.x[i], p.low[i]);
        EXPECT_LE(qp.x[i], p.high[i]);
        if (qp.free[static_cast<std::size_t>(i)]) continue;
        ++held;
        EXPECT_TRUE(qp.x[i] == p.low[i] || qp.x[i] == p.high[i]);
      }
    }
  EXPECT_GT(held, 200);
}

TEST(BoxQp, SolvesForTheFreeEntriesAlone) {
  BoxQp qp;
  Stream random(2, 0, 0, 0);
  for (std::uint32_t number = 0; number < 20; ++number) {
    const Problem p = random_problem(5, number);
    ASSERT_TRUE(box_qp(p.H, p.g, p.low, p.high, qp));
    const MatrixXd R = random_matrix(5, 3, random);
    MatrixXd Z = R;
    solve_free(qp, Z);
    std::vector<Index> free;
    for (Index i = 0; i < 5; ++i) {
      if (qp.free[static_cast<std::size_t>(i)]) {
        free.push_back(i);
      } else {
        EXPECT_EQ(Z.row(i).norm(), 0.0);
      }
    }
    if (free.empty()) continue;
    EXPECT_LT((p.H(free, free) * Z(free, Eigen::all) - R(free, Eigen::all)).norm(), 1e-9 * (1.0 + Z.norm()));
  }
}

TEST(BoxQp, RejectsProblemsWithoutAMinimum) {
  BoxQp qp;
  const VectorXd g = VectorXd::Ones(2), low = VectorXd::Constant(2, -1.0), high = VectorXd::Ones(2);
  EXPECT_FALSE(box_qp(-MatrixXd::Identity(2, 2), g, low, high, qp));
  EXPECT_FALSE(box_qp(MatrixXd::Constant(2, 2, std::nan("")), g, low, high, qp));
  EXPECT_FALSE(box_qp(MatrixXd::Identity(2, 2), VectorXd::Constant(2, std::nan("")), low, high, qp));
  EXPECT_TRUE(box_qp(MatrixXd::Identity(2, 2), g, low, high, qp));
}

}  // namespace
}  // namespace kedge
