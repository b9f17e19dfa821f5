// The weights of REPS: derivatives of the dual by differences, the bound, the balance of the features, optimality.
#include "kedge/update/reps_dual.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

struct Problem {
  VectorXd returns, base;
  MatrixXd phi;
};

Problem random_problem(std::uint32_t number, Index N, Index F) {
  Stream random(11, 0, number, 0);
  Problem p{test::random_vector(N, random), VectorXd(N), test::random_matrix(F, N, random)};
  p.returns *= std::pow(10.0, static_cast<double>(number % 7) - 3.0);
  p.returns.array() += 100.0 * random.normal();
  for (double& w : p.base) w = 0.05 + random.uniform();
  p.base /= p.base.sum();
  return p;
}

double kl(const VectorXd& p, const VectorXd& w) {
  double sum = 0.0;
  for (Index n = 0; n < p.size(); ++n)
    if (p[n] > 0.0) sum += p[n] * std::log(p[n] / w[n]);
  return sum;
}

TEST(RepsDual, GradientAndHessianAgreeWithDifferences) {
  for (const Index F : {0, 1, 4}) {
    Problem p = random_problem(3, 25, F);  // returns of order 1
    p.returns.array() -= p.returns.mean();
    const MatrixXd P = p.phi.colwise() - p.phi * p.base;
    Stream random(12, 0, 0, 0);
    VectorXd at(1 + F);
    at << 0.7, 0.3 * test::random_vector(F, random);
    const auto dual = [&](const VectorXd& x) { return reps_dual(p.returns, p.base, P, 0.4, x[0], x.tail(F)); };
    const RepsDual here = dual(at);
    constexpr double h = 1e-5;
    for (Index i = 0; i < at.size(); ++i) {
      VectorXd up = at, down = at;
      up[i] += h;
      down[i] -= h;
      const RepsDual above = dual(up), below = dual(down);
      EXPECT_NEAR(here.gradient[i], (above.value - below.value) / (2 * h), 1e-8);
      EXPECT_LT(((above.gradient - below.gradient) / (2 * h) - here.hessian.col(i)).cwiseAbs().maxCoeff(), 1e-7);
    }
    EXPECT_NEAR(here.kl, kl(here.weight, p.base), 1e-12);
  }
}

TEST(RepsDual, MeetsTheBoundAndKeepsTheFeatures) {
  for (std::uint32_t number = 0; number < 60; ++number) {
    const Index F = number % 5;
    const Problem p = random_problem(number, 30 + 10 * F, F);
    const double epsilon = std::pow(10.0, -2.0 + 0.04 * number);  // 0.01 ... 2.3
    const RepsWeights w = reps_weights(p.returns, p.base, p.phi, epsilon);
    ASSERT_EQ(w.status, RepsStatus::ok) << number << " " << w.message;
    EXPECT_NEAR(w.weight.sum(), 1.0, 1e-12);
    if (w.bounded) {
      EXPECT_NEAR(kl(w.weight, p.base), epsilon, 1e-9) << number;
    } else {
      EXPECT_LT(kl(w.weight, p.base), epsilon);
    }
    EXPECT_NEAR(w.kl, kl(w.weight, p.base), 1e-9);
    if (F > 0) {
      EXPECT_LT((p.phi * (w.weight - p.base)).cwiseAbs().maxCoeff(), 1e-8);
    }
    EXPECT_GE(p.returns.dot(w.weight), p.returns.dot(p.base));
    EXPECT_LT(w.iterations, 60) << number;
  }
}

TEST(RepsDual, FindsWeightsWhereTheFeaturesLeaveThemLittleRoom) {
  for (std::uint32_t number = 0; number < 60; ++number) {
    const Index F = 2 + number % 7, N = F + 2 + number % 3;
    const Problem p = random_problem(number, N, F);
    const RepsWeights w = reps_weights(p.returns, p.base, p.phi, 0.7);
    ASSERT_EQ(w.status, RepsStatus::ok) << number << " " << w.message;
    EXPECT_LT((p.phi * (w.weight - p.base)).cwiseAbs().maxCoeff(), 1e-8);
    if (w.bounded) {
      EXPECT_NEAR(w.kl, 0.7, 1e-9) << number;
    } else {
      EXPECT_LT(w.kl, 0.7) << number;
    }
    EXPECT_GE(p.returns.dot(w.weight), p.returns.dot(p.base));
  }
}

/// Strong duality: the dual at (eta, v) bounds the mean return from above, and the weights attain it.
TEST(RepsDual, HasNoGap) {
  for (const Index F : {0, 3}) {
    const Problem p = random_problem(2, 60, F);
    const RepsWeights w = reps_weights(p.returns, p.base, p.phi, 0.5);
    const MatrixXd P = p.phi.colwise() - p.phi * p.base;
    const double bound = reps_dual(p.returns, p.base, P, 0.5, w.eta, w.v).value;
    EXPECT_NEAR(p.returns.dot(w.weight), bound, 1e-9 * std::abs(bound));
  }
}

TEST(RepsDual, SamplesWithoutWeightGetNone) {
  Problem p = random_problem(3, 20, 1);
  p.base[4] = 0.0;
  p.base /= p.base.sum();
  p.returns[4] = 1e6;  // the best, but out of reach
  const RepsWeights w = reps_weights(p.returns, p.base, p.phi, 0.3);
  ASSERT_EQ(w.status, RepsStatus::ok) << w.message;
  EXPECT_EQ(w.weight[4], 0.0);
}

TEST(RepsDual, ABoundBeyondTheSamplesGivesTheBest) {
  const Problem p = random_problem(3, 6, 0);
  const RepsWeights w = reps_weights(p.returns, p.base, p.phi, 50.0);
  EXPECT_EQ(w.status, RepsStatus::ok);
  EXPECT_FALSE(w.bounded);
  Index best = 0;
  p.returns.maxCoeff(&best);
  EXPECT_NEAR(w.weight[best], 1.0, 1e-12);
}

TEST(RepsDual, EqualReturnsChangeNothing) {
  Problem p = random_problem(3, 6, 2);
  p.returns.setConstant(-3.0);
  const RepsWeights w = reps_weights(p.returns, p.base, p.phi, 0.5);
  EXPECT_EQ(w.status, RepsStatus::ok);
  EXPECT_EQ(w.weight, p.base);
}

TEST(RepsDual, FeaturesThatDependOnEachOtherChangeNothing) {
  const Problem p = random_problem(3, 40, 2);
  MatrixXd more(4, 40);
  more << p.phi, p.phi.row(0) + p.phi.row(1), MatrixXd::Constant(1, 40, 7.0);
  const RepsWeights few = reps_weights(p.returns, p.base, p.phi, 0.5),
                    many = reps_weights(p.returns, p.base, more, 0.5);
  ASSERT_EQ(many.status, RepsStatus::ok) << many.message;
  EXPECT_LT((few.weight - many.weight).cwiseAbs().maxCoeff(), 1e-9);
}

TEST(RepsDual, RefusesWhatDoesNotFit) {
  Problem p = random_problem(3, 6, 1);
  EXPECT_THROW((void)reps_weights(p.returns, p.base, p.phi, 0.0), InputError);
  EXPECT_THROW((void)reps_weights(p.returns.head(5), p.base, p.phi, 0.5), InputError);
  p.returns[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(reps_weights(p.returns, p.base, p.phi, 0.5).status, RepsStatus::not_finite);
}

}  // namespace
}  // namespace kedge
