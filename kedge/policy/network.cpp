#include "kedge/policy/network.h"

#include <fmt/format.h>

#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/math/activation.h"
#include "kedge/math/vectors.h"
#include "kedge/policy/layer_products.h"

namespace kedge {
namespace {

constexpr Index kBlock = Network::kBlock;
static_assert(kBlock == kStateBlock);
constexpr Index kChunk = 32;    // blocks whose gradients are summed together, by one thread
constexpr Index kOnStack = 64;  // widest layer without an allocation in `output`

Index blocks_of(Index states) { return (states + kBlock - 1) / kBlock; }

void check(const NetworkShape& n) {
  require(n.inputs() >= 1, "network inputs", n.inputs(), ">= 1");
  require(n.outputs() >= 1, "network outputs", n.outputs(), ">= 1");
  if (n.input_scale.size() != n.inputs())
    throw InputError(
        fmt::format("network: input_mean has {} entries, but input_scale {}", n.inputs(), n.input_scale.size()));
  for (const Index units : n.hidden) require(units >= 1, "network hidden units", units, ">= 1");
  for (Index i = 0; i < n.inputs(); ++i) {
    require(std::isfinite(n.input_mean[i]), "network input_mean", n.input_mean[i], "finite");
    require(std::isfinite(n.input_scale[i]) && n.input_scale[i] > 0, "network input_scale", n.input_scale[i],
            "> 0 and finite");
  }
  for (Index i = 0; i < n.outputs(); ++i)
    require(std::isfinite(n.output_scale[i]) && n.output_scale[i] > 0, "network output_scale", n.output_scale[i],
            "> 0 and finite");
  require(std::isfinite(n.input_clip) && n.input_clip >= 0, "network input_clip", n.input_clip, ">= 0 and finite");
}

/// Entry j of x_0.
double mapped(const NetworkShape& shape, Index j, double x) {
  const double z = (x - shape.input_mean[j]) / shape.input_scale[j];
  return shape.input_clip > 0 ? std::clamp(z, -shape.input_clip, shape.input_clip) : z;
}

void activate(Activation activation, Index count, double* z, double* slope) {
  if (activation == Activation::softplus)
    apply_softplus(count, z, slope);
  else
    apply_tanh(count, z, slope);
}

/// Draws every W_l from N(0, 1) and has it changed by `finish`; b_l = 0. @return [P]
VectorXd drawn_layers(const NetworkShape& shape, Stream& random,
                      const std::function<void(Eigen::Ref<MatrixXd> W, bool last)>& finish) {
  check(shape);
  VectorXd weights = VectorXd::Zero(weight_count(shape));
  Index next = 0, in = shape.inputs();
  const auto draw = [&](Index units, bool last) {
    Eigen::Map<MatrixXd> W(weights.data() + next, units, in);
    for (Index j = 0; j < in; ++j) random.normal(W.col(j));
    finish(W, last);
    next += units * in;
  };
  for (const Index units : shape.hidden) {
    draw(units, false);
    next += units;
    in = units;
  }
  draw(shape.outputs(), true);
  return weights;
}

/// Returns the orthonormal factor of A = Q R whose R has a positive diagonal: with entries from N(0, 1), Q is uniform [Mezzadri2007].
/// @param A [m, n], m >= n  @return [m, n]
MatrixXd orthonormal(const MatrixXd& A) {
  const Eigen::HouseholderQR<MatrixXd> qr(A);
  MatrixXd Q = qr.householderQ() * MatrixXd::Identity(A.rows(), A.cols());
  for (Index j = 0; j < A.cols(); ++j)
    if (qr.matrixQR()(j, j) < 0.0) Q.col(j) *= -1.0;
  return Q;
}

}  // namespace

const char* to_string(Activation activation) { return activation == Activation::softplus ? "softplus" : "tanh"; }

Index weight_count(const NetworkShape& shape) {
  Index count = 0, in = shape.inputs();
  for (const Index units : shape.hidden) {
    count += units * (in + 1);
    in = units;
  }
  return count + shape.outputs() * (in + (shape.output_bias ? 1 : 0));
}

VectorXd weight_mask(const NetworkShape& shape) {
  VectorXd mask = VectorXd::Zero(weight_count(shape));
  Index next = 0, in = shape.inputs();
  for (const Index units : shape.hidden) {
    mask.segment(next, units * in).setOnes();
    next += units * (in + 1);
    in = units;
  }
  mask.segment(next, shape.outputs() * in).setOnes();
  return mask;
}

VectorXd random_weights(const NetworkShape& shape, Stream& random, double hidden, double output) {
  check(shape);
  VectorXd weights = VectorXd::Zero(weight_count(shape));
  Index next = 0, in = shape.inputs();
  for (const Index units : shape.hidden) {
    for (const Index end = next + units * (in + 1); next < end; ++next) weights[next] = hidden * random.normal();
    in = units;
  }
  for (const Index end = next + shape.outputs() * in; next < end; ++next) weights[next] = output * random.normal();
  return weights;
}

VectorXd unit_weights(const NetworkShape& shape, Stream& random, double output) {
  return drawn_layers(shape, random, [&](Eigen::Ref<MatrixXd> W, bool last) {
    for (Index i = 0; i < W.rows(); ++i) W.row(i) *= (last ? output : 1.0) / W.row(i).norm();
  });
}

VectorXd orthogonal_weights(const NetworkShape& shape, Stream& random, double hidden, double output) {
  return drawn_layers(shape, random, [&](Eigen::Ref<MatrixXd> W, bool last) {
    const double norm = last ? output : hidden;
    if (W.rows() >= W.cols())
      W = norm * orthonormal(W);
    else
      W = norm * orthonormal(W.transpose()).transpose();
  });
}

VectorXd weights_for_inputs(const NetworkShape& shape, VectorXd weights, VectorIn mean, VectorIn scale) {
  const bool hidden = !shape.hidden.empty();
  const Index units = hidden ? shape.hidden.front() : shape.outputs();
  if (!hidden && !shape.output_bias) throw InputError("network: a linear function without bias has fixed input maps");
  Eigen::Map<MatrixXd> W(weights.data(), units, shape.inputs());
  Eigen::Map<VectorXd> b(weights.data() + W.size(), units);
  // W ((x - m) / c) + b = W' ((x - m') / c') + b' for every x
  b += W * ((mean - shape.input_mean).array() / shape.input_scale.array()).matrix();
  W *= (scale.array() / shape.input_scale.array()).matrix().asDiagonal();
  return weights;
}

/// A block on its way through the network.
struct Network::Block {
  const double* inputs = nullptr;         // [64, inputs]
  std::vector<MatrixXd> x, slope, delta;  // of each layer [64, out]: outputs, their slopes, d(sum of losses)/d(outputs)
  Block(const std::vector<Layer>& layers, bool backward) {
    for (const Layer& layer : layers) {
      x.emplace_back(kBlock, layer.out);
      if (backward) {
        slope.emplace_back(kBlock, layer.out);
        delta.emplace_back(kBlock, layer.out);
      }
    }
  }
  [[nodiscard]] const double* inputs_of(std::size_t layer) const { return layer == 0 ? inputs : x[layer - 1].data(); }
};

Network::Network(NetworkShape shape) : shape_(std::move(shape)) {
  check(shape_);
  Index in = widest_ = shape_.inputs();
  const auto add = [&](Index out, bool bias) {
    layers_.push_back({in, out, MatrixXd::Zero(padded(out), in), VectorXd::Zero(padded(out)), bias});
    in = out;
    widest_ = std::max(widest_, padded(out));
  };
  for (const Index units : shape_.hidden) add(units, true);
  add(shape_.outputs(), shape_.output_bias);
  weights_ = VectorXd::Zero(weight_count(shape_));
}

void Network::set_weights(VectorXd weights) {
  if (weights.size() != weight_count(shape_))
    throw InputError(
        fmt::format("network: {} weights, but its sizes ask for {}", weights.size(), weight_count(shape_)));
  for (Index i = 0; i < weights.size(); ++i)
    if (!std::isfinite(weights[i]))
      throw InputError(fmt::format("network: weights[{}] = {}, but must be finite", i, weights[i]));
  weights_ = std::move(weights);
  Index next = 0;
  for (Layer& layer : layers_) {
    for (Index j = 0; j < layer.in; ++j, next += layer.out)
      layer.W.col(j).head(layer.out) = weights_.segment(next, layer.out);
    if (!layer.bias) continue;
    layer.b.head(layer.out) = weights_.segment(next, layer.out);
    next += layer.out;
  }
}

void Network::output(VectorIn input, VectorOut y) const {
  alignas(64) std::array<double, 2 * kOnStack> small;
  MatrixXd large;
  double *x = small.data(), *z = small.data() + kOnStack;
  if (widest_ > kOnStack) {
    large.resize(padded(widest_), 2);
    x = large.col(0).data();
    z = large.col(1).data();
  }
  for (Index j = 0; j < input.size(); ++j) x[j] = mapped(shape_, j, input[j]);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layer_single(layers_[l].W, layers_[l].b, x, z);
    if (l + 1 < layers_.size()) activate(shape_.activation, layers_[l].W.rows(), z, nullptr);
    std::swap(x, z);
  }
  for (Index i = 0; i < y.size(); ++i) y[i] = x[i] * shape_.output_scale[i];
}

void Network::output_and_jacobian(VectorIn input, VectorOut y, MatrixOut J) const {
  const std::size_t L = layers_.size();
  VectorXd x(input.size()), input_slope = shape_.input_scale.cwiseInverse();
  for (Index j = 0; j < x.size(); ++j) {
    x[j] = mapped(shape_, j, input[j]);
    if (shape_.input_clip > 0 && std::abs(x[j]) >= shape_.input_clip) input_slope[j] = 0.0;
  }
  std::vector<VectorXd> slope(L - 1);
  for (std::size_t l = 0; l < L; ++l) {
    VectorXd z(layers_[l].W.rows());
    layer_single(layers_[l].W, layers_[l].b, x.data(), z.data());
    if (l + 1 < L) {
      slope[l].resize(z.size());
      activate(shape_.activation, z.size(), z.data(), slope[l].data());
    }
    x = std::move(z);
  }
  y = (x.head(y.size()).array() * shape_.output_scale.array()).matrix();
  MatrixXd D = shape_.output_scale.asDiagonal() * layers_[L - 1].W.topRows(shape_.outputs());
  for (std::size_t l = L - 1; l-- > 0;) {
    const Index out = layers_[l].out;
    D = ((D * slope[l].head(out).asDiagonal()).lazyProduct(layers_[l].W.topRows(out))).eval();
  }
  J = D * input_slope.asDiagonal();
}

NetworkInputs Network::prepare(MatrixIn s) const {
  const Index ds = shape_.inputs();
  if (s.rows() != ds) throw InputError(fmt::format("network: states have {} entries, but ds = {}", s.rows(), ds));
  NetworkInputs inputs{s.cols(), MatrixXd(kBlock, ds * blocks_of(s.cols()))};
  for (Index block = 0; block < blocks_of(s.cols()); ++block) {
    const Index first = block * kBlock, count = std::min(kBlock, s.cols() - first);
    auto x = inputs.x.middleCols(block * ds, ds);
    for (Index j = 0; j < ds; ++j)
      for (Index n = 0; n < count; ++n) x(n, j) = mapped(shape_, j, s(j, first + n));
    x.bottomRows(kBlock - count).setZero();
  }
  return inputs;
}

void Network::forward(Block& block, bool slopes) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    MatrixXd& z = block.x[l];
    layer_block(layer.W.data(), 1, layer.W.rows(), layer.out, layer.in, layer.b.data(), block.inputs_of(l), z.data());
    if (l + 1 < layers_.size())
      activate(shape_.activation, z.size(), z.data(), slopes ? block.slope[l].data() : nullptr);
  }
  for (Index i = 0; i < shape_.outputs(); ++i) block.x.back().col(i) *= shape_.output_scale[i];
}

MatrixXd Network::outputs(const NetworkInputs& s, int threads) const {
  MatrixXd y(shape_.outputs(), s.count);
  const Index blocks = blocks_of(s.count);
  parallel_for((blocks + kChunk - 1) / kChunk, threads, [&](Index chunk) {
    Block block(layers_, false);
    for (Index b = chunk * kChunk; b < std::min(blocks, (chunk + 1) * kChunk); ++b) {
      block.inputs = s.x.col(b * shape_.inputs()).data();
      forward(block, false);
      const Index count = std::min(kBlock, s.count - b * kBlock);
      y.middleCols(b * kBlock, count) = block.x.back().topRows(count).transpose();
    }
  });
  return y;
}

/// d/dweights sum_n loss_n of blocks of inputs. @param output_delta sets d(loss)/dy of a block that went forward, in the last of
/// its deltas
VectorXd Network::back_propagated(const NetworkInputs& s, const OutputDelta& output_delta, int threads) const {
  const Index blocks = blocks_of(s.count), chunks = (blocks + kChunk - 1) / kChunk, P = weights_.size();
  const std::size_t L = layers_.size();
  MatrixXd partial = MatrixXd::Zero(P, chunks);
  parallel_for(chunks, threads, [&](Index chunk) {
    Block block(layers_, true);
    MatrixXd sums = MatrixXd::Zero(kLanes, P);  // in the order of the weights
    for (Index b = chunk * kChunk; b < std::min(blocks, (chunk + 1) * kChunk); ++b) {
      block.inputs = s.x.col(b * shape_.inputs()).data();
      forward(block, true);
      const Index count = std::min(kBlock, s.count - b * kBlock);
      output_delta(b * kBlock, count, block);
      MatrixXd& g = block.delta[L - 1];
      for (Index i = 0; i < shape_.outputs(); ++i) g.col(i).head(count) *= shape_.output_scale[i];
      g.bottomRows(kBlock - count).setZero();
      double* end = sums.data() + sums.size();
      for (std::size_t l = L; l-- > 0;) {
        const Layer& layer = layers_[l];
        double *bias = layer.bias ? end - layer.out * kLanes : nullptr,
               *weights = (bias ? bias : end) - layer.out * layer.in * kLanes;
        add_layer_gradient(block.delta[l].data(), block.inputs_of(l), layer.out, layer.in, weights, bias);
        end = weights;
        if (l == 0) break;
        layer_block(layer.W.data(), layer.W.rows(), 1, layer.in, layer.out, nullptr, block.delta[l].data(),
                    block.delta[l - 1].data());
        block.delta[l - 1].array() *= block.slope[l - 1].array();
      }
    }
    for (Index i = 0; i < P; ++i) partial(i, chunk) = sum_lanes(&sums(0, i));
  });
  VectorXd sum = VectorXd::Zero(P);
  for (Index chunk = 0; chunk < chunks; ++chunk) sum += partial.col(chunk);
  return sum;
}

VectorXd Network::gradient(const NetworkInputs& s, const OutputGradient& output_gradient, int threads) const {
  return back_propagated(
      s,
      [&](Index first, Index count, Block& block) {
        output_gradient(first, block.x.back().topRows(count), block.delta.back().topRows(count));
      },
      threads);
}

VectorXd Network::gauss_newton_product(const NetworkInputs& s, VectorIn v, VectorIn weight, int threads) const {
  Network change(shape_);
  change.set_weights(v);
  const std::size_t L = layers_.size();
  return back_propagated(
      s,
      [&](Index, Index, Block& block) {
        // Forwards once more: how the outputs of each layer move when the weights move by v.
        std::array<MatrixXd, 2> moved;  // of the layer before, of this one
        MatrixXd by_inputs;
        for (std::size_t l = 0; l < L; ++l) {
          const Layer &layer = layers_[l], &step = change.layers_[l];
          MatrixXd& z = moved[1];
          z.resize(kBlock, layer.out);
          layer_block(step.W.data(), 1, step.W.rows(), layer.out, layer.in, step.b.data(), block.inputs_of(l),
                      z.data());
          if (l > 0) {
            by_inputs.resize(kBlock, layer.out);
            layer_block(layer.W.data(), 1, layer.W.rows(), layer.out, layer.in, nullptr, moved[0].data(),
                        by_inputs.data());
            z += by_inputs;
          }
          if (l + 1 < L) z.array() *= block.slope[l].array();
          std::swap(moved[0], moved[1]);
        }
        for (Index i = 0; i < shape_.outputs(); ++i)
          block.delta.back().col(i) = (shape_.output_scale[i] * weight[i]) * moved[0].col(i);
      },
      threads);
}

}  // namespace kedge
