// The gated network against its definition, and its derivatives against differences.
#include "kedge/math/gated_network.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kedge {
namespace {

const GatedShape kShape{3, 5, 2};

VectorXf some_weights(std::uint64_t seed) {
  Stream random(seed, 0, 0, 0);
  VectorXf weights = random_weights(kShape, random);
  for (float& w : weights) w += 0.1F * static_cast<float>(random.normal());
  return weights;
}

MatrixXf some_inputs(Index count) {
  Stream random(7, 0, 0, 0);
  MatrixXf x(kShape.inputs, count);
  for (float& entry : x.reshaped()) entry = static_cast<float>(random.normal());
  return x;
}

MatrixXf outputs_of(const VectorXf& weights, const MatrixXf& x) {
  GatedWork work;
  outputs(kShape, weights, x, work);
  return work.y;
}

double phi(double v) { return v / (1.0 + std::exp(-v)); }

TEST(GatedNetwork, EqualsItsDefinition) {
  const VectorXf weights = some_weights(1);
  const Index n = kShape.inputs, H = kShape.units;
  const float* next = weights.data();
  const auto take = [&](Index rows, Index cols) {
    const MatrixXd part = Eigen::Map<const MatrixXf>(next, rows, cols).cast<double>();
    next += rows * cols;
    return part;
  };
  const MatrixXd skip = take(3 * H, n + 1), W2 = take(H, H), b2 = take(H, 1), W3 = take(kShape.outputs, H),
                 direct = take(kShape.outputs, n + 1);
  EXPECT_EQ(next, weights.data() + weight_count(kShape));
  const MatrixXf inputs = some_inputs(9), y = outputs_of(weights, inputs);
  for (Index i = 0; i < inputs.cols(); ++i) {
    VectorXd x(n + 1);
    x << inputs.col(i).cast<double>(), 1.0;
    const VectorXd h1 = (skip.topRows(H) * x).unaryExpr(&phi).cwiseProduct(skip.middleRows(H, H) * x);
    const VectorXd h2 = (W2 * h1 + b2).unaryExpr(&phi).cwiseProduct(skip.bottomRows(H) * x);
    EXPECT_TRUE(y.col(i).cast<double>().isApprox(W3 * h2 + direct * x, 1e-5)) << i;
  }
}

TEST(GatedNetwork, HasTheGradientOfItsOutputs) {
  VectorXf weights = some_weights(2), gradient_of_loss;
  const MatrixXf x = some_inputs(11);
  // The loss sum of y * c has the derivative c; with y quadratic in c nothing would be tested twice.
  const MatrixXf c = some_inputs(11).topRows(kShape.outputs);
  GatedWork work;
  outputs(kShape, weights, x, work);
  gradient(kShape, weights, c, work, gradient_of_loss);
  ASSERT_EQ(gradient_of_loss.size(), weight_count(kShape));
  const auto loss = [&] { return outputs_of(weights, x).cwiseProduct(c).cast<double>().sum(); };
  constexpr float h = 1e-2F;
  for (Index i = 0; i < weights.size(); ++i) {
    const float w = weights[i];
    weights[i] = w + h;
    const double above = loss();
    weights[i] = w - h;
    const double below = loss();
    weights[i] = w;
    EXPECT_NEAR(gradient_of_loss[i], (above - below) / (2.0 * h), 2e-3 * std::max(1.0F, std::abs(gradient_of_loss[i])))
        << i;
  }
}

TEST(GatedNetwork, HasTheJacobianOfItsOutputs) {
  const VectorXf weights = some_weights(3);
  const VectorXf x = some_inputs(1).col(0);
  const MatrixXf J = jacobian(kShape, weights, x);
  constexpr float h = 1e-2F;
  for (Index j = 0; j < kShape.inputs; ++j) {
    VectorXf above = x, below = x;
    above[j] += h;
    below[j] -= h;
    const MatrixXf difference = (outputs_of(weights, above) - outputs_of(weights, below)) / (2.0F * h);
    EXPECT_TRUE(J.col(j).isApprox(difference.col(0), 2e-3F)) << J.col(j) << " against " << difference;
  }
}

TEST(GatedNetwork, BeginsWithOpenGates) {
  Stream random(4, 0, 0, 0);
  const VectorXf weights = random_weights(kShape, random);
  // At x = 0 the gates are their biases c_1 = c_2 = 1, phi(0) = 0, and so is y.
  EXPECT_TRUE(outputs_of(weights, MatrixXf::Zero(kShape.inputs, 1)).isZero(0));
  EXPECT_EQ((weights.array() == 1.0F).count(), 2 * kShape.units);
}

}  // namespace
}  // namespace kedge
