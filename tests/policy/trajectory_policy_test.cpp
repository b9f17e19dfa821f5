#include "kedge/policy/trajectory_policy.h"

#include <gtest/gtest.h>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;

TEST(TrajectoryPolicy, IsALinearPolicyOfTheState) {
  Stream random(1, 0, 0, 0);
  TrajectoryPolicy policy{random_matrix(4, 3, random), random_matrix(2, 2, random), {}, {}};
  // x has 4 entries for 3 directions; G has orthogonal columns of different lengths, as a quaternion's beside others.
  const MatrixXd Q = MatrixXd(random_matrix(4, 4, random).householderQr().householderQ()).leftCols(3);
  const std::vector<MatrixXd> G(2, Q * test::vec({1.0, 0.5, 2.0}).asDiagonal());
  for (int t = 0; t < 2; ++t) {
    policy.K.push_back(random_matrix(2, 3, random));
    policy.Sigma.push_back((1.0 + t) * MatrixXd::Identity(2, 2));
  }
  const TvLinearGaussian raw = to_tv_linear_gaussian(policy, G);
  ASSERT_EQ(raw.horizon(), 2);
  for (int t = 0; t < 2; ++t) {
    const auto i = static_cast<std::size_t>(t);
    const VectorXd dx = random_vector(3, random), x = policy.x.col(t) + G[i] * dx;
    VectorXd a(2);
    raw.mean(t, x, a);
    EXPECT_LT((a - (policy.a.col(t) + policy.K[i] * dx)).norm(), 1e-12);
    EXPECT_EQ(raw[t].Sigma, policy.Sigma[i]);
  }
}

}  // namespace
}  // namespace kedge
