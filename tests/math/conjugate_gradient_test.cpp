#include "kedge/math/conjugate_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using Status = ConjugateGradientStatus;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Symmetric with eigenvalues in [1, condition].
MatrixXd positive_definite(Index n, double condition, Stream& random) {
  const Eigen::HouseholderQR<MatrixXd> qr(random_matrix(n, n, random));
  const MatrixXd Q = qr.householderQ();
  VectorXd eigenvalue(n);
  for (Index i = 0; i < n; ++i) eigenvalue[i] = std::pow(condition, random.uniform());
  return Q * eigenvalue.asDiagonal() * Q.transpose();
}

LinearMap product(const MatrixXd& A) {
  return [&A](const VectorXd& v) -> VectorXd { return A * v; };
}

TEST(ConjugateGradient, AgreesWithADenseSolve) {
  Stream random(1, 0, 0, 0);
  for (const Index n : {1, 2, 5, 30}) {
    const MatrixXd A = positive_definite(n, 100, random);
    const VectorXd b = random_vector(n, random);
    const ConjugateGradient r = conjugate_gradient(product(A), b, {.iterations = static_cast<int>(4 * n)});
    EXPECT_EQ(r.status, Status::converged) << n;
    const VectorXd dense = A.llt().solve(b);
    EXPECT_LT((r.x - dense).norm(), 1e-9 * dense.norm()) << n;
    EXPECT_NEAR(r.residual, (b - A * r.x).norm() / b.norm(), 1e-10);
  }
}

TEST(ConjugateGradient, EachIterationIsTheBestPointOfItsKrylovSpace) {
  Stream random(2, 0, 0, 0);
  constexpr Index n = 12;
  const MatrixXd A = positive_definite(n, 50, random);
  const VectorXd b = random_vector(n, random), solution = A.llt().solve(b);
  MatrixXd krylov(n, 0);
  VectorXd power = b;
  for (int k = 1; k <= 5; ++k) {
    krylov.conservativeResize(n, k);
    krylov.col(k - 1) = power.normalized();
    power = A * power;
    const Eigen::HouseholderQR<MatrixXd> qr(krylov);
    const MatrixXd Q = qr.householderQ() * MatrixXd::Identity(n, k);
    const VectorXd best = Q * (Q.transpose() * A * Q).llt().solve(Q.transpose() * b);
    const ConjugateGradient r = conjugate_gradient(product(A), b, {.iterations = k});
    EXPECT_EQ(r.status, Status::max_iterations);
    EXPECT_EQ(r.iterations, k);
    EXPECT_LT((r.x - best).norm(), 1e-9 * solution.norm()) << k;
  }
}

TEST(ConjugateGradient, NothingIsTheSolutionForNothing) {
  const ConjugateGradient r = conjugate_gradient(product(MatrixXd::Identity(3, 3)), VectorXd::Zero(3));
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_EQ(r.x, VectorXd::Zero(3));
  EXPECT_EQ(r.iterations, 0);
}

TEST(ConjugateGradient, SaysWhenTheMatrixIsNotPositiveDefinite) {
  const MatrixXd A = VectorXd{{1, -2, 3}}.asDiagonal();
  const ConjugateGradient first = conjugate_gradient(product(A), VectorXd{{0, 1, 0}});
  EXPECT_EQ(first.status, Status::not_positive);
  EXPECT_EQ(first.x, VectorXd::Zero(3));
  const ConjugateGradient later = conjugate_gradient(product(A), VectorXd{{1, 0.5, 1}});
  EXPECT_EQ(later.status, Status::not_positive);
  EXPECT_TRUE(later.x.allFinite());
  EXPECT_GT(later.iterations, 1);
  EXPECT_EQ(conjugate_gradient(product(MatrixXd::Zero(3, 3)), VectorXd::Ones(3)).status, Status::not_positive);
}

TEST(ConjugateGradient, LetsNoNumberThatIsNotFiniteTravel) {
  const MatrixXd A = MatrixXd::Identity(2, 2);
  const ConjugateGradient of_b = conjugate_gradient(product(A), VectorXd{{1, nan}});
  EXPECT_EQ(of_b.status, Status::not_finite);
  EXPECT_EQ(of_b.x, VectorXd::Zero(2));
  EXPECT_EQ(of_b.iterations, 0);
  int calls = 0;
  const ConjugateGradient of_product = conjugate_gradient(
      [&](const VectorXd& v) -> VectorXd {
        return ++calls == 2 ? VectorXd::Constant(2, nan) : VectorXd(VectorXd{{1, 2}}.cwiseProduct(v));
      },
      VectorXd{{1, 1}});
  EXPECT_EQ(of_product.status, Status::not_finite);
  EXPECT_TRUE(of_product.x.allFinite());
  EXPECT_EQ(calls, 2);
}

TEST(ConjugateGradient, RefusesImpossibleOptions) {
  const MatrixXd A = MatrixXd::Identity(2, 2);
  EXPECT_THROW((void)conjugate_gradient(product(A), VectorXd::Ones(2), {.iterations = 0}), InputError);
  EXPECT_THROW((void)conjugate_gradient(product(A), VectorXd::Ones(2), {.iterations = 1, .tolerance = nan}),
               InputError);
}

}  // namespace
}  // namespace kedge
