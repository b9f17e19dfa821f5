#include "kedge/update/sample_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

TEST(CostWeights, AreTheSoftmax) {
  const auto w = cost_weights(VectorXd{{1, 3, 2, 3}}, 0.7);
  ASSERT_TRUE(w);
  EXPECT_NEAR(w->weight.sum(), 1, 1e-14);
  EXPECT_NEAR(w->weight[1] / w->weight[0], std::exp(-1.4), 1e-14);
  EXPECT_NEAR(w->weight[2] / w->weight[0], std::exp(-0.7), 1e-14);
  EXPECT_DOUBLE_EQ(w->weight[1], w->weight[3]);
  EXPECT_NEAR(w->effective, 1 / w->weight.squaredNorm(), 1e-14);
}

TEST(CostWeights, DoNotChangeWithAConstantAndDoNotOverflow) {
  Stream random(1, 0, 0, 0);
  const VectorXd cost = random_vector(20, random);
  const auto w = cost_weights(cost, 2);
  for (const double shift : {-1024.0, 1024.0}) {
    const VectorXd shifted = cost.array() + shift;
    EXPECT_LT((cost_weights(shifted, 2)->weight - w->weight).norm(), 1e-12);
  }
  EXPECT_EQ(cost_weights(VectorXd{{-1e300, 1e300, 0}}, 1e5)->weight, (VectorXd{{1, 0, 0}}));
}

TEST(CostWeights, EffectiveSampleSizeRunsFromOneToAll) {
  const VectorXd cost = VectorXd::LinSpaced(10, 0, 9);
  EXPECT_NEAR(cost_weights(cost, 0)->effective, 10, 1e-13);
  EXPECT_NEAR(cost_weights(cost, 1e3)->effective, 1, 1e-13);
  EXPECT_GT(cost_weights(cost, 0.1)->effective, cost_weights(cost, 0.2)->effective);
}

TEST(CostWeights, AreZeroForDivergedRollouts) {
  const auto w = cost_weights(VectorXd{{1, inf, 1}}, 0);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->weight, (VectorXd{{0.5, 0, 0.5}}));
  EXPECT_FALSE(cost_weights(VectorXd{{inf, inf}}, 1));
  EXPECT_FALSE(cost_weights(VectorXd{{1, nan}}, 1));
  EXPECT_FALSE(cost_weights(VectorXd{{1, -inf}}, 1));
  EXPECT_FALSE(cost_weights(VectorXd(), 1));
  for (const double bad : {-1.0, nan, inf}) EXPECT_THROW((void)cost_weights(VectorXd{{1, 2}}, bad), InputError);
}

TEST(MarginalWeights, AreTheDensityRelativeToItsMaximum) {
  Stream random(2, 0, 0, 0);
  const MatrixXd C = random_matrix(4, 6, random), Sigma = C * C.transpose(), d = random_matrix(4, 30, random);
  const auto w = marginal_weights(d, Sigma);
  ASSERT_TRUE(w);
  for (Index n = 0; n < 30; ++n) {
    const double exponent = 0.5 * d.col(n).dot(Sigma.inverse() * d.col(n));
    EXPECT_NEAR((*w)[n], exponent > 20 ? 0 : std::exp(-exponent), 1e-12);
  }
  EXPECT_EQ((*marginal_weights(MatrixXd::Zero(4, 1), Sigma))[0], 1);
}

TEST(MarginalWeights, AreCutWhereTheDensityIsNegligible) {
  const MatrixXd one = MatrixXd::Identity(1, 1);
  const auto at = [&](double exponent, double cut) {
    return (*marginal_weights(MatrixXd::Constant(1, 1, std::sqrt(2 * exponent)), one, cut))[0];
  };
  EXPECT_NEAR(at(19.9, 20), std::exp(-19.9), 1e-20);
  EXPECT_EQ(at(20.1, 20), 0);
  EXPECT_EQ(at(3.1, 3), 0);
  EXPECT_NEAR(at(20.1, inf), std::exp(-20.1), 1e-20);
}

TEST(MarginalWeights, RejectNonPositiveDefinite) {
  const MatrixXd d = MatrixXd::Ones(2, 3);
  EXPECT_FALSE(marginal_weights(d, MatrixXd{{1, 2}, {2, 1}}));
  EXPECT_FALSE(marginal_weights(d, MatrixXd::Zero(2, 2)));
  EXPECT_FALSE(marginal_weights(d, MatrixXd::Constant(2, 2, nan)));
  EXPECT_FALSE(marginal_weights(MatrixXd::Constant(2, 3, nan), MatrixXd::Identity(2, 2)));
  EXPECT_THROW((void)marginal_weights(d, MatrixXd::Identity(3, 3)), InputError);
  for (const double bad : {0.0, -1.0, nan})
    EXPECT_THROW((void)marginal_weights(d, MatrixXd::Identity(2, 2), bad), InputError);
}

}  // namespace
}  // namespace kedge
