#include "kedge/update/stationary_lqr.h"

#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>
#include <cmath>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;

StageCost cost(const MatrixXd& Hxx, const MatrixXd& Hux, const MatrixXd& Huu) {
  StageCost q = StageCost::zero(Hxx.rows(), Huu.rows());
  q.Hxx = Hxx;
  q.Hux = Hux;
  q.Huu = Huu;
  return q;
}

StageCost plain(Index ndx, Index da) {
  return cost(MatrixXd::Identity(ndx, ndx), MatrixXd::Zero(da, ndx), MatrixXd::Identity(da, da));
}

TEST(StationaryLqr, OfOneStateSolvesItsQuadraticEquation) {
  // P = q + a^2 P - a^2 b^2 P^2 / (r + b^2 P)  <=>  b^2 P^2 + (r - a^2 r - b^2 q) P - q r = 0
  for (const double a : {0.5, 1.0, 3.0}) {
    const double b = 0.7, q = 2.0, r = 0.3, half = (r - a * a * r - b * b * q) / (2 * b * b);
    const double P = -half + std::sqrt(half * half + q * r / (b * b));
    const StationaryLqr found =
        stationary_lqr(MatrixXd{{a}}, MatrixXd{{b}}, cost(MatrixXd{{q}}, MatrixXd{{0.0}}, MatrixXd{{r}}));
    ASSERT_EQ(found.status, StationaryStatus::ok);
    EXPECT_NEAR(found.P(0, 0), P, 1e-13 * P);
    EXPECT_NEAR(found.K(0, 0), -a * b * P / (r + b * b * P), 1e-13);
  }
}

TEST(StationaryLqr, IsTheLimitOfTheBackwardRecursion) {
  for (std::uint32_t number = 0; number < 20; ++number) {
    Stream random(5, number, 0, 0);
    const Index n = 1 + static_cast<Index>(number % 6), m = 1 + static_cast<Index>(number % 3);
    const MatrixXd A = random_matrix(n, n, random) * 1.5 / std::sqrt(static_cast<double>(n));
    const MatrixXd B = random_matrix(n, m, random), M = random_matrix(n + m, n + m, random);
    const MatrixXd H = M * M.transpose() + 0.1 * MatrixXd::Identity(n + m, n + m);
    const StageCost q = cost(H.topLeftCorner(n, n), H.bottomLeftCorner(m, n), H.bottomRightCorner(m, m));
    const StationaryLqr found = stationary_lqr(A, B, q);
    ASSERT_EQ(found.status, StationaryStatus::ok) << number;
    MatrixXd P = MatrixXd::Zero(n, n), K;
    for (int t = 0; t < 3000; ++t) {
      K = -(q.Huu + B.transpose() * P * B).ldlt().solve(q.Hux + B.transpose() * P * A);
      P = q.Hxx + A.transpose() * P * A + (q.Hux + B.transpose() * P * A).transpose() * K;
      P = 0.5 * (P + P.transpose()).eval();
    }
    EXPECT_LT((found.P - P).norm(), 1e-9 * P.norm()) << number;
    EXPECT_LT((found.K - K).norm(), 1e-9 * (1 + K.norm())) << number;
    EXPECT_LT(Eigen::EigenSolver<MatrixXd>(A + B * found.K).eigenvalues().cwiseAbs().maxCoeff(), 1.0);
  }
}

TEST(StationaryLqr, LeavesACoordinateThatNothingSeesWhereItIs) {
  // The place of a double integrator costs nothing: its velocity alone is regulated, as that of a system of one state.
  const MatrixXd A{{1.0, 0.1}, {0.0, 1.0}}, B{{0.0}, {0.1}};
  StageCost q = plain(2, 1);
  q.Hxx(0, 0) = 0.0;
  const StationaryLqr found = stationary_lqr(A, B, q);
  const StationaryLqr alone = stationary_lqr(MatrixXd{{1.0}}, MatrixXd{{0.1}}, plain(1, 1));
  ASSERT_EQ(found.status, StationaryStatus::ok);
  EXPECT_NEAR(found.K(0, 0), 0.0, 1e-12);
  EXPECT_NEAR(found.K(0, 1), alone.K(0, 0), 1e-12);
}

TEST(StationaryLqr, SaysWhyThereIsNone) {
  const MatrixXd A{{1.0, 0.1, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 1.2}}, B{{0.0, 0.0}, {0.1, 0.0}, {0.0, 1.0}};
  EXPECT_EQ(stationary_lqr(A, B, plain(3, 2)).status, StationaryStatus::ok);

  const StationaryLqr unmoved = stationary_lqr(A, B.leftCols(1), plain(3, 1));
  EXPECT_EQ(unmoved.status, StationaryStatus::not_stabilisable);
  EXPECT_NEAR(unmoved.eigenvalue.real(), 1.2, 1e-12);
  EXPECT_EQ(unmoved.entry, 2);

  StageCost blind = plain(3, 2);
  blind.Hxx(0, 0) = blind.Hxx(1, 1) = 0.0;  // the double integrator: its place runs away at any velocity
  const StationaryLqr unseen = stationary_lqr(A, B, blind);
  EXPECT_EQ(unseen.status, StationaryStatus::not_detectable);
  EXPECT_NEAR(unseen.eigenvalue.real(), 1.0, 1e-6);
  blind = plain(3, 2);
  blind.Hxx(2, 2) = 0.0;
  const StationaryLqr grows = stationary_lqr(A, B, blind);
  EXPECT_EQ(grows.status, StationaryStatus::not_detectable);
  EXPECT_NEAR(grows.eigenvalue.real(), 1.2, 1e-12);
  EXPECT_EQ(grows.entry, 2);

  StageCost flat = plain(3, 2);
  flat.Huu(1, 1) = 0.0;
  EXPECT_EQ(stationary_lqr(A, B, flat).status, StationaryStatus::not_curved);

  // A mode that dies out by itself needs neither action nor cost.
  const MatrixXd dying{{1.0, 0.1, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 0.9}};
  StageCost q = plain(3, 1);
  q.Hxx(2, 2) = 0.0;
  EXPECT_EQ(stationary_lqr(dying, B.leftCols(1), q).status, StationaryStatus::ok);
}

}  // namespace
}  // namespace kedge
