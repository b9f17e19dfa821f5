#include "kedge/math/adam.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

/// Algorithm 1 of the paper, one number at a time.
TEST(Adam, FollowsThePapersAlgorithm) {
  Stream random(1, 0, 0, 0);
  VectorXd x = test::random_vector(4, random), plain = x, m = VectorXd::Zero(4), v = m;
  Adam adam(4);
  for (int t = 1; t <= 30; ++t) {
    const VectorXd g = test::random_vector(4, random);
    const double rate = 0.1 / t;
    adam_step(adam, g, rate, x);
    for (Index i = 0; i < 4; ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      plain[i] -= rate * (m[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
    }
    EXPECT_EQ(adam.steps, t);
    EXPECT_LT((x - plain).norm(), 1e-13);
  }
}

TEST(Adam, FirstStepIsAsLongAsTheRateWhateverTheGradient) {
  for (const double size : {1e-6, 1.0, 1e9}) {
    VectorXd x = VectorXd::Zero(1);
    Adam adam(1);
    adam_step(adam, VectorXd::Constant(1, size), 0.25, x);
    EXPECT_NEAR(x[0], -0.25, 0.25 * 0.011);
  }
}

}  // namespace
}  // namespace kedge
