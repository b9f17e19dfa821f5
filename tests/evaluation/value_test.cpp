// Value functions: a network fitted by minibatches, and a quadratic function of every step fitted backwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/evaluation/network_value.h"
#include "kedge/evaluation/quadratic_value.h"
#include "tests/evaluation/data.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::same_bits;
using testing::HasSubstr;

NetworkValue network_value(std::vector<Index> hidden) {
  const NetworkShape shape{.hidden = std::move(hidden),
                           .activation = Activation::tanh,
                           .output_bias = true,
                           .input_mean = VectorXd::Zero(2),
                           .input_scale = VectorXd::Ones(2),
                           .output_scale = VectorXd::Ones(1)};
  Stream random(1, 0, 0, 0);
  NetworkValue value{Network(shape), Adam(weight_count(shape))};
  value.network.set_weights(unit_weights(shape, random, 1.0));
  return value;
}

struct Data {
  MatrixXd x;
  VectorXd target;
};
Data curved(Index N) {
  Stream random(2, 0, 0, 0);
  Data data{random_matrix(2, N, random), VectorXd(N)};
  for (Index n = 0; n < N; ++n) data.target[n] = data.x(0, n) * data.x(0, n) - 0.5 * data.x(1, n) + 3.0;
  return data;
}

TEST(NetworkValue, WithoutHiddenLayersComesToLeastSquares) {
  const Data data = curved(200);
  MatrixXd X(200, 3);
  X << data.x.transpose(), VectorXd::Ones(200);
  const VectorXd least_squares = X.householderQr().solve(data.target);
  NetworkValue value = network_value({});
  for (std::uint32_t round = 0; round < 4; ++round)
    ASSERT_TRUE(fit_value(data.x, data.target, {500, 200, 0.1 * std::pow(0.2, round)}, Stream(3, 0, 0, round), value));
  EXPECT_LT((value.network.weights() - least_squares).norm(), 1e-3);
}

TEST(NetworkValue, LearnsACurve) {
  const Data data = curved(500);
  NetworkValue value = network_value({16, 16});
  const double before = explained_share(values(value.network, data.x, 1), data.target);
  ASSERT_TRUE(fit_value(data.x, data.target, {100, 64, 1e-2}, Stream(3, 0, 0, 0), value));
  EXPECT_LT(before, 0.5);
  EXPECT_GT(explained_share(values(value.network, data.x, 1), data.target), 0.95);
  EXPECT_EQ(value.optimiser.steps, 100 * 8) << "the last minibatch of a pass has what is left";
}

TEST(NetworkValue, GoesOnWithItsOptimiser) {
  const Data data = curved(64);
  NetworkValue whole = network_value({4}), parts = whole, forgetful = whole;
  // One minibatch a pass, so that the order changes rounding only.
  ASSERT_TRUE(fit_value(data.x, data.target, {6, 64, 1e-2}, Stream(3, 0, 0, 0), whole));
  for (std::uint32_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(fit_value(data.x, data.target, {3, 64, 1e-2}, Stream(4, 0, 0, i), parts));
    ASSERT_TRUE(fit_value(data.x, data.target, {3, 64, 1e-2}, Stream(4, 0, 0, i), forgetful));
    forgetful.optimiser = Adam(forgetful.optimiser.m.size());
  }
  EXPECT_LT((whole.network.weights() - parts.network.weights()).norm(), 1e-9);
  EXPECT_GT((whole.network.weights() - forgetful.network.weights()).norm(), 1e-4);
}

TEST(NetworkValue, KeepsItselfWhereANumberIsNotFinite) {
  Data data = curved(100);
  NetworkValue value = network_value({4});
  const VectorXd weights = value.network.weights();
  data.target[3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(fit_value(data.x, data.target, {}, Stream(3, 0, 0, 0), value));
  data.target[3] = 1e300;  // its square is infinite
  EXPECT_FALSE(fit_value(data.x, data.target, {}, Stream(3, 0, 0, 0), value));
  EXPECT_TRUE(same_bits(value.network.weights(), weights));
  EXPECT_EQ(value.optimiser.steps, 0);
  EXPECT_THROW((void)fit_value(data.x, data.target, {.epochs = -1}, Stream(3, 0, 0, 0), value), InputError);
  EXPECT_THROW((void)fit_value(data.x, data.target, {.minibatch = 0}, Stream(3, 0, 0, 0), value), InputError);
  EXPECT_THROW((void)fit_value(data.x, data.target, {.rate = 0}, Stream(3, 0, 0, 0), value), InputError);
}

TEST(ExplainedShare, IsOneForAConstantErrorAndZeroForAConstant) {
  const VectorXd target{{1, 2, 4}};
  EXPECT_NEAR(explained_share(target.array() + 7.0, target), 1.0, 1e-15);
  EXPECT_NEAR(explained_share(VectorXd::Constant(3, 9.0), target), 0.0, 1e-15);
  EXPECT_EQ(explained_share(target, VectorXd::Ones(3)), 0.0);
}

/// Rollouts of s+ = A s + B a without noise, whose only cost is the first term, |s|^2 at every step and at the end.
struct LinearRollouts {
  static constexpr int T = 6;
  MatrixXd A{{1, 0.2}, {-0.1, 0.9}};
  Task task = test::task_with_terms(T, {std::vector<char>(T + 1, 1)});
  Batch batch;

  /// @param push a = K s + push z
  LinearRollouts(int rollouts, double push) {
    const Index states = Index{rollouts} * (T + 1);
    batch.rollouts = rollouts;
    batch.horizon = T;
    batch.state = batch.observation = MatrixXd(2, states);
    batch.action = MatrixXd(1, Index{rollouts} * T);
    batch.terms = MatrixXd(1, states);
    batch.cost = MatrixXd(T + 1, rollouts);
    batch.success = VectorXd::Zero(rollouts);
    batch.diverged_at.assign(static_cast<std::size_t>(rollouts), -1);
    for (int n = 0; n < rollouts; ++n) {
      Stream random(1, 0, static_cast<std::uint32_t>(n), 0);
      VectorXd s = test::random_vector(2, random);
      for (int t = 0; t <= T; ++t) {
        batch.observation.col(batch.at(n, t)) = s;
        batch.terms(0, batch.at(n, t)) = batch.cost(t, n) = s.squaredNorm();
        if (t == T) break;
        const double a = 0.3 * s[0] - 0.5 * s[1] + push * random.normal();
        batch.action(0, batch.step(n, t)) = a;
        s = (A * s + VectorXd{{0.1, 0.4}} * a).eval();
      }
    }
  }
};

TEST(QuadraticValue, IsTheDiscountedReturnWhereThatIsQuadratic) {
  const LinearRollouts linear(60, 0.0);
  for (const double gamma : {1.0, 0.8}) {
    auto value = fit_quadratic_value(linear.task, linear.batch, gamma, 1e-12, 1);
    ASSERT_TRUE(static_cast<bool>(value)) << value.ending().message;
    const Batch& b = linear.batch;
    for (int n = 0; n < b.rollouts; ++n)
      for (int t = 0; t < b.horizon; ++t) {
        double to_go = 0.0;
        for (int i = t; i <= b.horizon; ++i)  // the final state's cost belongs to the last step
          to_go -= std::pow(gamma, std::min(i, b.horizon - 1) - t) * b.cost(i, n);
        EXPECT_NEAR((*value)(t, b.observation.col(b.at(n, t))), to_go, 1e-3 * (1 + std::abs(to_go))) << t;
      }
    EXPECT_EQ((*value)(b.horizon, VectorXd::Ones(2)), 0.0);
  }
}

TEST(QuadraticValue, DoesNotDependOnThreads) {
  const LinearRollouts linear(30, 1.0);
  auto one = fit_quadratic_value(linear.task, linear.batch, 0.99, 1e-3, 1);
  auto two = fit_quadratic_value(linear.task, linear.batch, 0.99, 1e-3, 2);
  for (int t = 0; t < linear.batch.horizon; ++t) EXPECT_EQ((*one)(t, VectorXd{{1, 2}}), (*two)(t, VectorXd{{1, 2}}));
}

TEST(QuadraticValue, SaysWhenTooFewRolloutsAreUsable) {
  LinearRollouts linear(3, 1.0);
  linear.batch.diverged_at = {0, -1, 2};
  auto value = fit_quadratic_value(linear.task, linear.batch, 1.0, 1e-3, 1);
  ASSERT_FALSE(static_cast<bool>(value));
  EXPECT_THAT(value.ending().message, HasSubstr("1 of 3 rollouts are usable"));
}

}  // namespace
}  // namespace kedge
