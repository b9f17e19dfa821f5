#include "kedge/update/riccati.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using testing::HasSubstr;

/// A problem and its matrices.
struct Trajectory {
  std::vector<MatrixXd> A, B;
  std::vector<StageCost> cost;

  operator LqProblem() const { return {A, B, cost}; }  // NOLINT: a view of itself
  [[nodiscard]] std::size_t T() const { return A.size(); }
  [[nodiscard]] Index ndx() const { return A[0].rows(); }
  [[nodiscard]] Index da() const { return B[0].cols(); }
};

/// Convex costs with cross terms and linear terms; dynamics that neither explode nor die out.
Trajectory random_problem(int T, Index ndx, Index da, std::uint32_t number) {
  Stream random(3, number, static_cast<std::uint32_t>(ndx), static_cast<std::uint32_t>(da));
  Trajectory p;
  for (int t = 0; t <= T; ++t) {
    const MatrixXd M = random_matrix(ndx + da, ndx + da, random) / std::sqrt(static_cast<double>(ndx + da));
    const MatrixXd H = M * M.transpose() + 0.05 * MatrixXd::Identity(ndx + da, ndx + da);
    p.cost.push_back({random.normal(), random_vector(ndx, random), random_vector(da, random), H.topLeftCorner(ndx, ndx),
                      H.bottomLeftCorner(da, ndx), H.bottomRightCorner(da, da)});
    if (t == T) break;
    p.A.push_back(random_matrix(ndx, ndx, random) / std::sqrt(static_cast<double>(ndx)));
    p.B.push_back(random_matrix(ndx, da, random));
  }
  return p;
}

double stage(const StageCost& q, const VectorXd& x, const VectorXd& u) {
  return q.c + q.gx.dot(x) + q.gu.dot(u) + 0.5 * x.dot(q.Hxx * x) + u.dot(q.Hux * x) + 0.5 * u.dot(q.Huu * u);
}

/// Total cost of actions du [da, T] from dx0.
double total(const Trajectory& p, VectorXd x, const MatrixXd& du) {
  double sum = 0.0;
  for (std::size_t t = 0; t < p.T(); ++t) {
    const VectorXd u = du.col(static_cast<Index>(t));
    sum += stage(p.cost[t], x, u);
    x = p.A[t] * x + p.B[t] * u;
  }
  return sum + stage(p.cost[p.T()], x, VectorXd::Zero(p.da()));
}

/// Actions of the law a k + K dx from dx0.
MatrixXd closed_loop(const Trajectory& p, VectorXd x, const Riccati& s, double a = 1.0) {
  MatrixXd du(p.da(), static_cast<Index>(p.T()));
  for (std::size_t t = 0; t < p.T(); ++t) {
    const VectorXd u = a * s.k.col(static_cast<Index>(t)) + s.K[t] * x;
    du.col(static_cast<Index>(t)) = u;
    x = p.A[t] * x + p.B[t] * u;
  }
  return du;
}

/// The actions of least cost, all at once: the total cost is quadratic in them, its derivatives are exact differences.
MatrixXd dense_minimum(const Trajectory& p, const VectorXd& x0) {
  const Index n = p.da() * static_cast<Index>(p.T());
  const auto f = [&](const VectorXd& u) { return total(p, x0, u.reshaped(p.da(), static_cast<Index>(p.T()))); };
  const VectorXd zero = VectorXd::Zero(n);
  const double f0 = f(zero);
  VectorXd g(n), diagonal(n);
  MatrixXd H(n, n);
  for (Index i = 0; i < n; ++i) {
    const double plus = f(VectorXd::Unit(n, i)), minus = f(-VectorXd::Unit(n, i));
    g[i] = 0.5 * (plus - minus);
    H(i, i) = plus + minus - 2.0 * f0;
  }
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) {
      const double both = f(VectorXd::Unit(n, i) + VectorXd::Unit(n, j));
      H(i, j) = H(j, i) = both - f0 - g[i] - g[j] - 0.5 * (H(i, i) + H(j, j));
    }
  return VectorXd(-H.llt().solve(g)).reshaped(p.da(), static_cast<Index>(p.T()));
}

TEST(Riccati, IsTheLeastSquaresSolutionOfAllActionsAtOnce) {
  Stream random(4, 0, 0, 0);
  Riccati s;
  for (std::uint32_t number = 0; number < 20; ++number) {
    const Trajectory p = random_problem(6, 1 + number % 5, 1 + number % 3, number);
    ASSERT_TRUE(riccati(p, {}, s));
    const VectorXd x0 = random_vector(p.ndx(), random);
    const MatrixXd expected = dense_minimum(p, x0), du = closed_loop(p, x0, s);
    EXPECT_LT((du - expected).norm(), 1e-8 * (1.0 + expected.norm())) << number;
    const double value = s.value[0] + s.Vx[0].dot(x0) + 0.5 * x0.dot(s.Vxx[0] * x0);
    EXPECT_NEAR(value, total(p, x0, expected), 1e-9 * (1.0 + std::abs(value)));
  }
}

TEST(Riccati, ValueAndPredictionAreThoseOfItsGainsWhateverTheRegularisation) {
  Stream random(5, 0, 0, 0);
  Riccati s;
  for (std::uint32_t number = 0; number < 20; ++number) {
    const Trajectory p = random_problem(5, 3, 2, number);
    RiccatiOptions options;
    options.lambda = 0.1 * number;
    options.R = test::vec({2.0, 0.5});
    if (number % 3 == 0) options.S = test::vec({0.3, 0.0, 2.0});
    if (number % 2) {
      options.low = MatrixXd::Constant(2, 5, -0.1);
      options.high = MatrixXd::Constant(2, 5, 0.3);
    }
    ASSERT_TRUE(riccati(p, options, s));
    const VectorXd x0 = random_vector(3, random), zero = VectorXd::Zero(3);
    EXPECT_NEAR(s.value[0] + s.Vx[0].dot(x0) + 0.5 * x0.dot(s.Vxx[0] * x0), total(p, x0, closed_loop(p, x0, s)), 1e-9);
    const double before = total(p, zero, MatrixXd::Zero(2, 5));
    for (const double a : {1.0, 0.3})
      EXPECT_NEAR(total(p, zero, closed_loop(p, zero, s, a)) - before, a * s.linear + a * a * s.quadratic, 1e-9);
    EXPECT_LT(s.linear, 0.0);
  }
}

TEST(Riccati, RegularisationShortensTheStep) {
  const Trajectory p = random_problem(5, 3, 2, 1);
  Riccati s;
  double last = std::numeric_limits<double>::infinity();
  for (const double lambda : {0.0, 1.0, 10.0, 1e3, 1e6}) {
    ASSERT_TRUE(riccati(p, {lambda, VectorXd::Ones(2), {}, {}, {}, false}, s));
    EXPECT_LT(s.k.norm(), last);
    last = s.k.norm();
  }
  EXPECT_LT(last, 1e-3);
}

TEST(Riccati, RegularisationIsACostOfChangesOfTheActionAndTheNextState) {
  Trajectory p = random_problem(1, 5, 2, 12);
  RiccatiOptions options;
  options.lambda = 0.7;
  options.R = VectorXd::Constant(2, 3.0);
  options.S = VectorXd::LinSpaced(5, 0.0, 2.0);
  Riccati regularised, costly;
  ASSERT_TRUE(riccati(p, options, regularised));
  const MatrixXd B = p.B[0], SB = 0.7 * options.S.asDiagonal() * B;
  p.cost[0].Huu += B.transpose() * SB;
  p.cost[0].Huu.diagonal() += 0.7 * options.R;
  p.cost[0].Hux += SB.transpose() * p.A[0];
  ASSERT_TRUE(riccati(p, {}, costly));
  EXPECT_LT((regularised.k - costly.k).norm(), 1e-13);
  EXPECT_LT((regularised.K[0] - costly.K[0]).norm(), 1e-13);
  options.S.resize(0);
  ASSERT_TRUE(riccati(random_problem(1, 5, 2, 12), options, costly));
  EXPECT_GT((regularised.K[0] - costly.K[0]).norm(), 1e-3);  // that of the action alone differs
}

TEST(Riccati, GivesNoFeedbackToActionsAtABound) {
  Riccati s, unbounded;
  int held = 0;
  for (std::uint32_t number = 0; number < 20; ++number) {
    const Trajectory p = random_problem(6, 4, 3, number);
    const MatrixXd low = MatrixXd::Constant(3, 6, -0.2), high = MatrixXd::Constant(3, 6, 0.1);
    ASSERT_TRUE(riccati(p, {0.0, {}, {}, low, high, false}, s));
    EXPECT_TRUE((s.k.array() >= -0.2).all() && (s.k.array() <= 0.1).all());
    for (std::size_t t = 0; t < 6; ++t)
      for (Index i = 0; i < 3; ++i) {
        const double k = s.k(i, static_cast<Index>(t));
        const bool at_bound = k == -0.2 || k == 0.1;
        EXPECT_EQ(s.K[t].row(i).norm() == 0.0, at_bound);
        held += at_bound;
      }
    ASSERT_TRUE(riccati(p, {0.0, {}, {}, 1e9 * low, 1e9 * high, false}, s));
    ASSERT_TRUE(riccati(p, {}, unbounded));
    EXPECT_LT((s.k - unbounded.k).norm(), 1e-9);
    EXPECT_LT((s.K[0] - unbounded.K[0]).norm(), 1e-9);
  }
  EXPECT_GT(held, 50);
}

TEST(Riccati, GradientByActionsIsThatOfTheTotalCost) {
  const Trajectory p = random_problem(5, 3, 2, 7);
  const MatrixXd g = action_gradient(p);
  const VectorXd x0 = VectorXd::Zero(3);
  for (Index t = 0; t < 5; ++t)
    for (Index i = 0; i < 2; ++i) {
      MatrixXd du = MatrixXd::Zero(2, 5);
      du(i, t) = 1.0;  // the cost is quadratic: exact
      EXPECT_NEAR(g(i, t), 0.5 * (total(p, x0, du) - total(p, x0, -du)), 1e-10);
    }
}

/// -log of the integral of exp(-f) over [-12, 12] by the trapezoidal rule, which is exact here to rounding.
template <class F>
double soft_minimum(const F& f) {
  const double h = 0.05;
  double sum = 0.0;
  for (double u = -12.0; u <= 12.0; u += h) sum += std::exp(-f(u));
  return -std::log(h * sum);
}

TEST(Riccati, SoftValueIsAnIntegralOverActions) {
  // Two steps of one action, nested; and one step of two actions.
  Trajectory p = random_problem(2, 2, 1, 3);
  for (StageCost& q : p.cost) q.Huu += MatrixXd::Ones(1, 1);
  Riccati s;
  ASSERT_TRUE(riccati(p, {0.0, {}, {}, {}, {}, true}, s));
  const auto value = [&](std::size_t t, const VectorXd& x) {
    return s.value[static_cast<Index>(t)] + s.Vx[t].dot(x) + 0.5 * x.dot(s.Vxx[t] * x);
  };
  const VectorXd x0 = test::vec({0.3, -0.2});
  const auto at_one = [&](const VectorXd& x) {
    return soft_minimum([&](double u) {
      const VectorXd action = VectorXd::Constant(1, u), next = p.A[1] * x + p.B[1] * action;
      return stage(p.cost[1], x, action) + stage(p.cost[2], next, VectorXd::Zero(1));
    });
  };
  EXPECT_NEAR(at_one(x0), value(1, x0), 1e-9);
  const double at_zero = soft_minimum([&](double u) {
    const VectorXd action = VectorXd::Constant(1, u);
    return stage(p.cost[0], x0, action) + at_one(p.A[0] * x0 + p.B[0] * action);
  });
  EXPECT_NEAR(at_zero, value(0, x0), 1e-9);

  p = random_problem(1, 2, 2, 4);
  p.cost[0].Huu += MatrixXd::Identity(2, 2);
  ASSERT_TRUE(riccati(p, {0.0, {}, {}, {}, {}, true}, s));
  const double both = soft_minimum([&](double u) {
    return soft_minimum([&](double v) {
      const VectorXd action = test::vec({u, v}), next = p.A[0] * x0 + p.B[0] * action;
      return stage(p.cost[0], x0, action) + stage(p.cost[1], next, VectorXd::Zero(2));
    });
  });
  EXPECT_NEAR(both, value(0, x0), 1e-9);
}

TEST(Riccati, CovarianceIsTheInverseOfQuu) {
  const Trajectory p = random_problem(4, 3, 3, 5);
  Riccati s;
  ASSERT_TRUE(riccati(p, {}, s));
  const std::vector<MatrixXd> Sigma = policy_covariances(s.Quu);
  for (std::size_t t = 0; t < 4; ++t) {
    EXPECT_LT((Sigma[t] * s.Quu[t] - MatrixXd::Identity(3, 3)).norm(), 1e-9);
    EXPECT_EQ(Sigma[t], MatrixXd(Sigma[t].transpose()));
  }
}

TEST(StateMarginals, AreThoseOfSampledTrajectories) {
  Trajectory p = random_problem(5, 3, 2, 6);
  Riccati s;
  ASSERT_TRUE(riccati(p, {}, s));
  const std::vector<MatrixXd> Sigma = policy_covariances(s.Quu);
  const MatrixXd S0 = test::vec({0.5, 1.0, 0.2}).asDiagonal(), Sf = 0.1 * MatrixXd::Identity(3, 3);
  const std::vector<MatrixXd> S = state_marginals({p.A, p.B, s.K, Sigma}, S0, Sf);
  ASSERT_EQ(S.size(), 6u);

  const int N = 40000;
  std::vector<MatrixXd> sum(6, MatrixXd::Zero(3, 3));
  for (int n = 0; n < N; ++n) {
    Stream noise(7, 0, static_cast<std::uint32_t>(n), 0);
    VectorXd x = S0.cwiseSqrt() * random_vector(3, noise);
    for (std::size_t t = 0; t < 5; ++t) {
      sum[t] += x * x.transpose();
      const VectorXd u = s.K[t] * x + MatrixXd(Sigma[t].llt().matrixL()) * random_vector(2, noise);
      x = p.A[t] * x + p.B[t] * u + std::sqrt(0.1) * random_vector(3, noise);
    }
    sum[5] += x * x.transpose();
  }
  for (std::size_t t = 0; t < 6; ++t)
    EXPECT_LT((sum[t] / N - S[t]).norm(), 6.0 * S[t].norm() * std::sqrt(2.0 / N)) << t;
}

TEST(Riccati, NamesTheStepAndTheEigenvalueWhereQuuIsNotPositiveDefinite) {
  Trajectory p = random_problem(6, 3, 2, 8);
  p.cost[3].Huu = test::vec({1.0, -1e4}).asDiagonal();
  Riccati s;
  EXPECT_FALSE(riccati(p, {}, s));
  EXPECT_EQ(s.status, RiccatiStatus::not_positive_definite);
  EXPECT_EQ(s.step, 3);
  EXPECT_LT(s.eigenvalue, -9e3);
  EXPECT_THAT(describe_failure(s, 0.0), HasSubstr("step 3"));
  ASSERT_TRUE(riccati(p, {2e4, VectorXd::Ones(2), {}, {}, {}, false}, s));  // regularisation repairs it
  EXPECT_EQ(s.step, -1);

  for (std::size_t t = 0; t < 6; ++t) p.cost[t] = StageCost::zero(3, 2);
  p.cost[6] = StageCost::zero(3, 2);
  EXPECT_FALSE(riccati(p, {}, s));  // no action costs anything
  EXPECT_EQ(s.step, 5);
  EXPECT_EQ(s.eigenvalue, 0.0);
}

TEST(Riccati, NamesTheStepWhereANumberIsNotFinite) {
  Trajectory p = random_problem(6, 3, 2, 9);
  p.A[2](0, 0) = std::nan("");
  Riccati s;
  EXPECT_FALSE(riccati(p, {}, s));
  EXPECT_EQ(s.status, RiccatiStatus::not_finite);
  EXPECT_EQ(s.step, 2);
  EXPECT_THAT(describe_failure(s, 0.0), HasSubstr("not finite at step 2"));
}

TEST(Riccati, NamesTheStepWhereBoundsAreLostToRounding) {
  Trajectory p = random_problem(1, 2, 1, 10);
  p.B[0].setZero();
  p.cost[0].Huu.setConstant(1e-300);
  p.cost[0].gu.setConstant(1e100);
  const MatrixXd wide = MatrixXd::Constant(1, 1, std::numeric_limits<double>::infinity());
  Riccati s;
  EXPECT_FALSE(riccati(p, {0.0, {}, {}, -wide, wide, false}, s));
  EXPECT_EQ(s.status, RiccatiStatus::undecided_bounds);
  EXPECT_THAT(describe_failure(s, 0.0), HasSubstr("step 0"));
}

}  // namespace
}  // namespace kedge
