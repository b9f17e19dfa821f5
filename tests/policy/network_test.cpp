// The network against its formulas, one number at a time, and against differences.
#include "kedge/policy/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "tests/support/allocations.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::allocations;
using test::random_matrix;
using test::random_vector;
using test::same_bits;
using ::testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

NetworkShape shape(Index inputs, std::vector<Index> hidden, Index outputs, Activation activation = Activation::softplus,
                   bool output_bias = false) {
  Stream random(3, static_cast<std::uint32_t>(inputs), static_cast<std::uint32_t>(outputs), 0);
  NetworkShape s{std::move(hidden), activation, output_bias, 0.3 * random_vector(inputs, random), {}, {}};
  s.input_scale = (0.2 * random_vector(inputs, random)).array().exp();
  s.output_scale = random_vector(outputs, random).array().exp();
  return s;
}

Network network(const NetworkShape& shape) {
  Stream random(4, 0, 0, 0);
  Network net(shape);
  net.set_weights(random_weights(shape, random, 0.4, 0.9));
  return net;
}

/// Networks of many shapes.
std::vector<Network> networks() {
  std::vector<Network> all;
  for (const auto activation : {Activation::softplus, Activation::tanh})
    for (const bool bias : {false, true})
      for (const auto& [inputs, hidden, outputs] :
           std::vector<std::tuple<Index, std::vector<Index>, Index>>{{1, {}, 1},
                                                                     {3, {}, 2},
                                                                     {4, {1}, 1},
                                                                     {17, {10}, 6},
                                                                     {9, {5}, 2},
                                                                     {5, {7, 3}, 4},
                                                                     {3, {8, 9, 4}, 9},
                                                                     {70, {66, 33}, 3}})
        all.push_back(network(shape(inputs, hidden, outputs, activation, bias)));
  return all;
}

/// The formulas of the header, one number at a time.
VectorXd plain_output(const Network& net, VectorIn input) {
  const NetworkShape& n = net.shape();
  std::vector<double> x;
  for (Index j = 0; j < input.size(); ++j) x.push_back((input[j] - n.input_mean[j]) / n.input_scale[j]);
  Index next = 0;
  for (std::size_t l = 0; l <= n.hidden.size(); ++l) {
    const bool last = l == n.hidden.size();
    const Index out = last ? n.outputs() : n.hidden[l];
    std::vector<double> z(static_cast<std::size_t>(out), 0.0);
    for (const double xj : x)
      for (double& zi : z) zi += net.weights()[next++] * xj;
    if (!last || n.output_bias)
      for (double& zi : z) zi += net.weights()[next++];
    if (!last)
      for (double& zi : z) zi = n.activation == Activation::softplus ? std::log1p(std::exp(zi)) : std::tanh(zi);
    x = std::move(z);
  }
  EXPECT_EQ(next, net.weights().size());
  VectorXd y(n.outputs());
  for (Index i = 0; i < y.size(); ++i) y[i] = x[static_cast<std::size_t>(i)] * n.output_scale[i];
  return y;
}

VectorXd output(const Network& net, VectorIn x) {
  VectorXd y(net.shape().outputs());
  net.output(x, y);
  return y;
}

/// d/dweights sum_n g_n'y(x_n). @param x [inputs, N]  @param g [outputs, N]
VectorXd gradient(const Network& net, MatrixIn x, const MatrixXd& g, int threads = 1) {
  return net.gradient(
      net.prepare(x),
      [&](Index first, const Eigen::Ref<const MatrixXd>& y, Eigen::Ref<MatrixXd> out) {
        out = g.middleCols(first, y.rows()).transpose();
      },
      threads);
}

/// (f(x + h) - f(x - h)) / 2h, entry by entry, with two step sizes: error of order h^4.
template <class F>
VectorXd differences(F f, VectorXd x) {
  VectorXd g(x.size());
  const auto centred = [&](Index i, double h) {
    const double old = x[i];
    x[i] = old + h;
    const double up = f(x);
    x[i] = old - h;
    const double down = f(x);
    x[i] = old;
    return (up - down) / (2 * h);
  };
  for (Index i = 0; i < x.size(); ++i) g[i] = (4 * centred(i, 1e-3) - centred(i, 2e-3)) / 3;
  return g;
}

TEST(Network, CountsWeightsAndBiases) {
  EXPECT_EQ(weight_count(shape(17, {10}, 6)), 17 * 10 + 10 + 10 * 6);
  EXPECT_EQ(weight_count(shape(17, {10}, 6, Activation::softplus, true)), 17 * 10 + 10 + 10 * 6 + 6);
  EXPECT_EQ(weight_count(shape(3, {}, 2)), 6);
  EXPECT_EQ(weight_count(shape(3, {4, 5}, 2, Activation::tanh, true)), 16 + 25 + 12);
}

TEST(Network, WeightMaskLeavesOutBiases) {
  const NetworkShape n = shape(2, {3, 2}, 2, Activation::tanh, true);
  EXPECT_EQ(weight_mask(n), (VectorXd(6 + 3 + 6 + 2 + 4 + 2) << VectorXd::Ones(6), VectorXd::Zero(3), VectorXd::Ones(6),
                             VectorXd::Zero(2), VectorXd::Ones(4), VectorXd::Zero(2))
                                .finished());
  EXPECT_EQ(weight_mask(shape(17, {10}, 6)).sum(), 230);
}

TEST(Network, OutputIsTheFormula) {
  Stream random(5, 0, 0, 0);
  for (const Network& net : networks())
    for (int i = 0; i < 5; ++i) {
      const VectorXd x = 2 * random_vector(net.shape().inputs(), random), expected = plain_output(net, x);
      EXPECT_LT((output(net, x) - expected).norm(), 1e-13 * (1 + expected.norm()));
    }
}

TEST(Network, BatchesHaveTheBitsOfSingleInputs) {
  Stream random(6, 0, 0, 0);
  for (const Network& net : networks())
    for (const Index N : {0, 1, 63, 64, 65, 200, 2300}) {
      const MatrixXd x = 2 * random_matrix(net.shape().inputs(), N, random);
      const MatrixXd y = net.outputs(net.prepare(x));
      ASSERT_EQ(y.cols(), N);
      for (Index n = 0; n < N; n += N < 100 ? 1 : 37) EXPECT_TRUE(same_bits(VectorXd(y.col(n)), output(net, x.col(n))));
    }
}

TEST(Network, JacobianAgreesWithDifferences) {
  Stream random(7, 0, 0, 0);
  for (const Network& net : networks()) {
    const VectorXd x = random_vector(net.shape().inputs(), random);
    VectorXd y(net.shape().outputs());
    MatrixXd J(y.size(), x.size());
    net.output_and_jacobian(x, y, J);
    EXPECT_TRUE(same_bits(y, output(net, x)));
    for (Index i = 0; i < y.size(); ++i) {
      const VectorXd row = differences([&](const VectorXd& at) { return output(net, at)[i]; }, x);
      EXPECT_LT((J.row(i).transpose() - row).norm(), 1e-8 * (1 + row.norm()));
    }
  }
}

TEST(Network, GradientAgreesWithDifferences) {
  Stream random(8, 0, 0, 0);
  for (Network net : networks()) {
    const bool large = net.weights().size() > 1000;
    const Index N = large ? 3 : 70;
    const MatrixXd x = random_matrix(net.shape().inputs(), N, random),
                   g = random_matrix(net.shape().outputs(), N, random);
    const VectorXd weights = net.weights(), found = gradient(net, x, g);
    ASSERT_EQ(found.size(), weights.size());
    const auto value = [&](const VectorXd& at) {
      net.set_weights(at);
      return (g.array() * net.outputs(net.prepare(x)).array()).sum();
    };
    if (!large) {
      const VectorXd expected = differences(value, weights);
      EXPECT_LT((found - expected).norm(), 1e-8 * (1 + expected.norm()));
      continue;
    }
    for (int i = 0; i < 10; ++i) {  // along a few directions instead of every entry
      const VectorXd direction = random_vector(weights.size(), random).normalized();
      const double expected =
          differences([&](const VectorXd& a) { return value(weights + a[0] * direction); }, VectorXd::Zero(1))[0];
      EXPECT_NEAR(found.dot(direction), expected, 1e-8 * (1 + found.norm()));
    }
  }
}

TEST(Network, GradientInOnePassSeesOutputsAndRanges) {
  const Network net = network(shape(5, {7}, 3));
  Stream random(9, 0, 0, 0);
  constexpr Index N = 150;
  const MatrixXd x = random_matrix(5, N, random), target = random_matrix(3, N, random), y = net.outputs(net.prepare(x));
  std::vector<int> seen(N, 0);
  const VectorXd one_pass =
      net.gradient(net.prepare(x), [&](Index first, const Eigen::Ref<const MatrixXd>& m, Eigen::Ref<MatrixXd> g) {
        for (Index n = 0; n < m.rows(); ++n) {
          ++seen[static_cast<std::size_t>(first + n)];
          EXPECT_EQ(m.row(n).transpose(), y.col(first + n));
        }
        g = m - target.middleCols(first, m.rows()).transpose();
      });
  EXPECT_EQ(seen, std::vector<int>(N, 1));
  EXPECT_TRUE(same_bits(one_pass, gradient(net, x, y - target)));
}

TEST(Network, ResultsDoNotDependOnThreadsOrAddresses) {
  const Network net = network(shape(17, {10}, 6));
  Stream random(10, 0, 0, 0);
  constexpr Index N = 5000;
  const MatrixXd x = random_matrix(17, N, random), g = random_matrix(6, N, random);
  const MatrixXd y = net.outputs(net.prepare(x), 1);
  const VectorXd one = gradient(net, x, g);
  MatrixXd shifted(17, N + 1);
  shifted.rightCols(N) = x;
  for (const int threads : {1, 2, 8}) {
    EXPECT_TRUE(same_bits(net.outputs(net.prepare(shifted.rightCols(N)), threads), y));
    EXPECT_TRUE(same_bits(gradient(net, shifted.rightCols(N), g, threads), one));
  }
}

TEST(Network, RandomWeightsHaveTheirScales) {
  const NetworkShape n = shape(50, {64, 40}, 20, Activation::softplus, true);
  Stream random(11, 0, 0, 0), again(11, 0, 0, 0);
  const VectorXd weights = random_weights(n, random, 0.3, 0.1);
  const Index hidden = 64 * 51 + 40 * 65, output = 40 * 20;
  EXPECT_NEAR(std::sqrt(weights.head(hidden).squaredNorm() / hidden), 0.3, 0.01);
  EXPECT_NEAR(std::sqrt(weights.segment(hidden, output).squaredNorm() / output), 0.1, 0.01);
  EXPECT_TRUE((weights.tail(20).array() == 0).all());
  EXPECT_TRUE(same_bits(random_weights(n, again, 0.3, 0.1), weights));
}

#ifdef KEDGE_COUNT_ALLOCATIONS
TEST(Network, OutputAllocatesNothingUpToSixtyFourUnits) {
  for (const auto& hidden : {std::vector<Index>{10}, {64}, {64, 64, 3}}) {
    const Network net = network(shape(17, hidden, 6));
    const VectorXd x = VectorXd::Ones(17);
    VectorXd y(6);
    const long before = allocations;
    net.output(x, y);
    EXPECT_EQ(allocations, before);
  }
  const Network wide = network(shape(17, {65}, 6));
  const long before = allocations;
  const VectorXd y = output(wide, VectorXd::Ones(17));
  EXPECT_GT(allocations, before + 1);  // the counter counts
}
#endif

TEST(Network, RejectsImpossibleShapesAndWeights) {
  const auto message = [](auto change) -> std::string {
    NetworkShape n = shape(3, {4}, 2);
    VectorXd weights = VectorXd::Zero(weight_count(n));
    change(n, weights);
    try {
      Network(n).set_weights(weights);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  EXPECT_EQ(message([](NetworkShape&, VectorXd&) {}), "nothing");
  EXPECT_THAT(message([](NetworkShape& n, VectorXd&) { n.input_mean.resize(0); }), HasSubstr("inputs = 0"));
  EXPECT_THAT(message([](NetworkShape& n, VectorXd&) { n.output_scale.resize(0); }), HasSubstr("outputs = 0"));
  EXPECT_THAT(message([](NetworkShape& n, VectorXd&) { n.input_scale = VectorXd::Ones(4); }),
              HasSubstr("input_scale 4"));
  EXPECT_THAT(message([](NetworkShape& n, VectorXd&) { n.hidden = {3, 0}; }), HasSubstr("hidden units = 0"));
  EXPECT_THAT(message([](NetworkShape& n, VectorXd&) { n.input_mean[1] = nan; }), HasSubstr("input_mean = nan"));
  for (const double bad : {0.0, -1.0, nan, inf}) {
    EXPECT_THAT(message([&](NetworkShape& n, VectorXd&) { n.input_scale[1] = bad; }), HasSubstr("input_scale = "));
    EXPECT_THAT(message([&](NetworkShape& n, VectorXd&) { n.output_scale[1] = bad; }), HasSubstr("output_scale = "));
  }
  EXPECT_THAT(message([](NetworkShape&, VectorXd& w) { w.conservativeResize(5); }), HasSubstr("5 weights"));
  EXPECT_THAT(message([](NetworkShape&, VectorXd& w) { w[4] = nan; }), HasSubstr("weights[4] = nan"));
  EXPECT_THROW((void)network(shape(3, {4}, 2)).prepare(MatrixXd::Zero(4, 5)), InputError);
}

TEST(Network, CutsItsInputsAtTheClip) {
  NetworkShape n = shape(3, {5}, 2, Activation::tanh, true);
  n.input_mean = VectorXd{{1, 0, -1}};
  n.input_scale = VectorXd{{2, 1, 0.5}};
  const Network open = network(n);
  n.input_clip = 1.5;
  const Network cut = network(n);
  const VectorXd inside{{3.5, -1, -1.5}}, beyond{{40, -1, -9}}, at_the_border{{4, -1, -1.75}};
  EXPECT_TRUE(same_bits(output(cut, inside), output(open, inside)));
  EXPECT_TRUE(same_bits(output(cut, beyond), output(open, at_the_border)));
  MatrixXd both(3, 2);
  both << inside, beyond;
  const MatrixXd y = cut.outputs(cut.prepare(both));
  EXPECT_TRUE(same_bits(VectorXd(y.col(0)), output(cut, inside)));
  EXPECT_TRUE(same_bits(VectorXd(y.col(1)), output(cut, beyond)));
  VectorXd out(2);
  MatrixXd J(2, 3);
  cut.output_and_jacobian(beyond, out, J);
  EXPECT_TRUE(J.col(0).isZero(0.0) && J.col(2).isZero(0.0));
  EXPECT_FALSE(J.col(1).isZero(0.0));
  n.input_clip = -1;
  EXPECT_THROW(Network{n}, InputError);
}

TEST(Network, GaussNewtonProductIsThatOfTheJacobian) {
  for (const Network& net : networks()) {
    if (net.weights().size() > 200) continue;
    Stream random(20, 0, 0, 0);
    const Index inputs = net.shape().inputs(), outputs = net.shape().outputs();
    const MatrixXd x = random_matrix(inputs, 3, random);
    const VectorXd v = random_vector(net.weights().size(), random);
    const VectorXd weight = random_vector(outputs, random).array().exp();
    VectorXd expected = VectorXd::Zero(v.size());
    for (Index k = 0; k < x.cols(); ++k)
      for (Index i = 0; i < outputs; ++i) {
        const VectorXd row = gradient(net, x.col(k), VectorXd::Unit(outputs, i));
        expected += weight[i] * row.dot(v) * row;
      }
    const VectorXd product = net.gauss_newton_product(net.prepare(x), v, weight);
    EXPECT_LT((product - expected).norm(), 1e-12 * (1 + expected.norm()));
  }
}

TEST(Network, UnitWeightsHaveRowsOfOneNorm) {
  const NetworkShape n = shape(4, {6, 3}, 2, Activation::tanh, true);
  Stream random(21, 0, 0, 0);
  const VectorXd w = unit_weights(n, random, 0.01);
  ASSERT_EQ(w.size(), weight_count(n));
  const auto norms = [&](Index at, Index out, Index in) {
    return VectorXd(Eigen::Map<const MatrixXd>(w.data() + at, out, in).rowwise().norm());
  };
  EXPECT_TRUE(norms(0, 6, 4).isApprox(VectorXd::Ones(6), 1e-14));
  EXPECT_TRUE(norms(30, 3, 6).isApprox(VectorXd::Ones(3), 1e-14));
  EXPECT_TRUE(norms(51, 2, 3).isApprox(VectorXd::Constant(2, 0.01), 1e-14));
  EXPECT_TRUE(((VectorXd::Ones(w.size()) - weight_mask(n)).cwiseProduct(w)).isZero(0.0)) << "biases are 0";
}

TEST(Network, OrthogonalWeightsAreOrthogonal) {
  const NetworkShape n = shape(4, {6, 6, 3}, 2, Activation::tanh, true);
  Stream random(21, 0, 0, 0);
  const VectorXd w = orthogonal_weights(n, random, 1.5, 0.01);
  ASSERT_EQ(w.size(), weight_count(n));
  const auto layer = [&](Index at, Index out, Index in) {
    return MatrixXd(Eigen::Map<const MatrixXd>(w.data() + at, out, in));
  };
  const MatrixXd tall = layer(0, 6, 4) / 1.5, square = layer(30, 6, 6) / 1.5, wide = layer(72, 3, 6) / 1.5,
                 last = layer(93, 2, 3) / 0.01;
  EXPECT_LT((tall.transpose() * tall - MatrixXd::Identity(4, 4)).norm(), 1e-12);
  EXPECT_LT((square.transpose() * square - MatrixXd::Identity(6, 6)).norm(), 1e-12);
  EXPECT_LT((wide * wide.transpose() - MatrixXd::Identity(3, 3)).norm(), 1e-12);
  EXPECT_LT((last * last.transpose() - MatrixXd::Identity(2, 2)).norm(), 1e-12);
  EXPECT_TRUE(((VectorXd::Ones(w.size()) - weight_mask(n)).cwiseProduct(w)).isZero(0.0)) << "biases are 0";
}

TEST(Network, OrthogonalWeightsAreUniform) {
  const NetworkShape n = shape(2, {}, 2, Activation::tanh, true);
  constexpr int draws = 4000;
  VectorXd sum = VectorXd::Zero(4);
  double rotations = 0.0;
  for (std::uint32_t i = 0; i < draws; ++i) {
    Stream random(21, 0, 0, i);
    const VectorXd w = orthogonal_weights(n, random, 1.0, 1.0);
    sum += w.head(4);
    rotations += w[0] * w[3] - w[1] * w[2] > 0.0 ? 1.0 : 0.0;
  }
  EXPECT_LT((sum / draws).cwiseAbs().maxCoeff(), 0.06) << "each entry has mean 0 and deviation 0.7: five deviations";
  EXPECT_NEAR(rotations / draws, 0.5, 0.04) << "the other half are reflections";
}

TEST(Network, WeightsForOtherInputMapsAreTheSameFunction) {
  for (const auto& hidden : std::vector<std::vector<Index>>{{}, {5}, {4, 3}}) {
    NetworkShape n = shape(3, hidden, 2, Activation::tanh, true);
    const Network before = network(n);
    const VectorXd mean{{0.3, -2, 5}}, scale{{0.1, 3, 40}};
    const VectorXd weights = weights_for_inputs(n, before.weights(), mean, scale);
    n.input_mean = mean;
    n.input_scale = scale;
    Network after(n);
    after.set_weights(weights);
    Stream random(22, 0, 0, 0);
    for (int i = 0; i < 20; ++i) {
      const VectorXd x = random_vector(3, random);
      EXPECT_LT((output(after, x) - output(before, x)).norm(), 1e-11);
    }
  }
}

}  // namespace
}  // namespace kedge
