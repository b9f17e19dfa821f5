#include "kedge/policy/mlp_gaussian.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/math/lanes.h"

namespace kedge {
namespace {

constexpr Index kBlock = MlpGaussian::kBlock;
constexpr Index kGroups = kBlock / kLanes;  // vectors of a block
constexpr Index kChunk = 32;                // blocks whose gradients are summed together, by one thread
constexpr Index kOnStack = 64;              // widest layer without an allocation in `mean`

Index whole_lanes(Index n) { return (n + kLanes - 1) / kLanes * kLanes; }
Index blocks_of(Index states) { return (states + kBlock - 1) / kBlock; }

void check(const Network& n) {
  require(n.ds() >= 1, "network inputs", n.ds(), ">= 1");
  require(n.da() >= 1, "network outputs", n.da(), ">= 1");
  if (n.input_scale.size() != n.ds())
    throw InputError(
        fmt::format("network: input_mean has {} entries, but input_scale {}", n.ds(), n.input_scale.size()));
  for (const Index units : n.hidden) require(units >= 1, "network hidden units", units, ">= 1");
  for (Index i = 0; i < n.ds(); ++i) {
    require(std::isfinite(n.input_mean[i]), "network input_mean", n.input_mean[i], "finite");
    require(std::isfinite(n.input_scale[i]) && n.input_scale[i] > 0, "network input_scale", n.input_scale[i],
            "> 0 and finite");
  }
  for (Index i = 0; i < n.da(); ++i)
    require(std::isfinite(n.output_scale[i]) && n.output_scale[i] > 0, "network output_scale", n.output_scale[i],
            "> 0 and finite");
}

/// Calls work.operator()<k>() for k = min(left, 4) in 1 ... 4: loops over tiles with their length known to the compiler.
template <class F>
void up_to_four(Index left, const F& work) {
  switch (left) {
    case 1: return work.template operator()<1>();
    case 2: return work.template operator()<2>();
    case 3: return work.template operator()<3>();
    default: return work.template operator()<4>();
  }
}

template <bool slopes>
void activate(Activation activation, Index vectors, double* value, [[maybe_unused]] double* slope) {
  const auto all = [&](auto function) {
    for (Index i = 0; i < vectors; ++i) {
      const ValueSlope f = function(load_lanes(value + i * kLanes));
      store_lanes(value + i * kLanes, f.value);
      if constexpr (slopes) store_lanes(slope + i * kLanes, f.slope);
    }
  };
  if (activation == Activation::softplus)
    all([](const Lanes& z) { return softplus(z); });
  else
    all([](const Lanes& z) { return tanh(z); });
}

/// One state through one layer, one unit a lane: z = W x + b. Entry by entry the same operations as `product`.
void single_product(const MatrixXd& W, const VectorXd& b, const double* x, double* z) {
  const Index groups = W.rows() / kLanes, columns = W.cols();
  for (Index g = 0; g < groups; g += 4)
    up_to_four(groups - g, [&]<int G>() {
      Lanes sum[G];
      for (int i = 0; i < G; ++i) sum[i] = load_lanes(b.data() + (g + i) * kLanes);
      const double* w = W.data() + g * kLanes;
      for (Index j = 0; j < columns; ++j, w += W.rows())
        for (int i = 0; i < G; ++i) sum[i] += load_lanes(w + i * kLanes) * x[j];
      for (int i = 0; i < G; ++i) store_lanes(z + (g + i) * kLanes, sum[i]);
    });
}

/// A block of states, one a lane: z_u = b_u + sum_j w(u, j) x_j for u = 0 ... rows-1.
/// @param w w(u, j) = w[u row_step + j column_step]  @param b nullptr: zero  @param x [64, columns]  @param z [64, rows], out
void product(const double* w, Index row_step, Index column_step, Index rows, Index columns, const double* b,
             const double* x, double* z) {
  constexpr Index half = kGroups / 2;  // 4 x 4 sums stay in registers
  for (Index u = 0; u < rows; u += 4)
    up_to_four(rows - u, [&]<int U>() {
      for (Index first = 0; first < kGroups; first += half) {
        Lanes sum[U][half];
        for (int i = 0; i < U; ++i)
          for (Index k = 0; k < half; ++k) sum[i][k] = Lanes{} + (b ? b[u + i] : 0.0);
        for (Index j = 0; j < columns; ++j) {
          const double* xj = x + j * kBlock + first * kLanes;
          const double* wj = w + u * row_step + j * column_step;
          for (int i = 0; i < U; ++i)
            for (Index k = 0; k < half; ++k) sum[i][k] += load_lanes(xj + k * kLanes) * wj[i * row_step];
        }
        for (int i = 0; i < U; ++i)
          for (Index k = 0; k < half; ++k) store_lanes(z + (u + i) * kBlock + (first + k) * kLanes, sum[i][k]);
      }
    });
}

/// Adds sum_n delta_o,n x_j,n to sums(o, j), and sum_n delta_o,n to bias_sums(o), lane by lane.
/// @param delta [64, rows]  @param x [64, columns]  @param sums [rows columns], column by column
void add_outer_products(const double* delta, const double* x, Index rows, Index columns, Lanes* sums,
                        Lanes* bias_sums) {
  for (Index j = 0; j < columns; j += 4)
    up_to_four(columns - j, [&]<int J>() {
      for (Index o = 0; o < rows; o += 4)
        up_to_four(rows - o, [&]<int O>() {
          Lanes sum[J][O] = {};
          for (Index k = 0; k < kBlock; k += kLanes) {
            Lanes d[O];
            for (int i = 0; i < O; ++i) d[i] = load_lanes(delta + (o + i) * kBlock + k);
            for (int c = 0; c < J; ++c) {
              const Lanes xc = load_lanes(x + (j + c) * kBlock + k);
              for (int i = 0; i < O; ++i) sum[c][i] += d[i] * xc;
            }
          }
          for (int c = 0; c < J; ++c)
            for (int i = 0; i < O; ++i) sums[(j + c) * rows + o + i] += sum[c][i];
        });
    });
  if (bias_sums)
    for (Index o = 0; o < rows; ++o) {
      Lanes sum{};
      for (Index k = 0; k < kBlock; k += kLanes) sum += load_lanes(delta + o * kBlock + k);
      bias_sums[o] += sum;
    }
}

}  // namespace

const char* to_string(Activation activation) { return activation == Activation::softplus ? "softplus" : "tanh"; }

Index parameter_count(const Network& network) {
  Index count = network.da(), in = network.ds();
  for (const Index units : network.hidden) {
    count += units * (in + 1);
    in = units;
  }
  return count + network.da() * (in + (network.output_bias ? 1 : 0));
}

VectorXd weight_mask(const Network& network) {
  VectorXd mask = VectorXd::Zero(parameter_count(network));
  Index next = 0, in = network.ds();
  for (const Index units : network.hidden) {
    mask.segment(next, units * in).setOnes();
    next += units * (in + 1);
    in = units;
  }
  mask.segment(next, network.da() * in).setOnes();
  return mask;
}

VectorXd random_theta(const Network& network, VectorIn log_std, Stream& random, double hidden, double output) {
  check(network);
  require(log_std.size() == network.da(), "network log_std entries", log_std.size(), "da");
  VectorXd theta = VectorXd::Zero(parameter_count(network));
  Index next = 0, in = network.ds();
  for (const Index units : network.hidden) {
    for (const Index end = next + units * (in + 1); next < end; ++next) theta[next] = hidden * random.normal();
    in = units;
  }
  for (const Index end = next + network.da() * in; next < end; ++next) theta[next] = output * random.normal();
  theta.tail(network.da()) = log_std;
  return theta;
}

/// A block on its way through the network.
struct MlpGaussian::Block {
  const double* inputs = nullptr;         // [64, ds]
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

MlpGaussian::MlpGaussian(Network network, VectorXd theta) : network_(std::move(network)) {
  check(network_);
  Index in = widest_ = network_.ds();
  const auto add = [&](Index out, bool bias) {
    layers_.push_back({in, out, MatrixXd::Zero(whole_lanes(out), in), VectorXd::Zero(whole_lanes(out)), bias});
    in = out;
    widest_ = std::max(widest_, whole_lanes(out));
  };
  for (const Index units : network_.hidden) add(units, true);
  add(network_.da(), network_.output_bias);
  set_theta(std::move(theta));
}

void MlpGaussian::set_theta(VectorXd theta) {
  if (theta.size() != parameter_count(network_))
    throw InputError(fmt::format("network: theta has {} entries, but its sizes ask for {}", theta.size(),
                                 parameter_count(network_)));
  for (Index i = 0; i < theta.size(); ++i)
    if (!std::isfinite(theta[i]))
      throw InputError(fmt::format("network: theta[{}] = {}, but must be finite", i, theta[i]));
  // One by one: packets of Eigen's exp end at the smallest normal number instead of 0.
  const VectorXd std = theta.tail(network_.da()).unaryExpr([](double log_std) { return std::exp(log_std); });
  for (Index i = 0; i < std.size(); ++i)
    if (!(std[i] > 0.0) || !std::isfinite(std[i]))
      throw InputError(fmt::format("network: log_std[{}] = {} is no standard deviation in double precision", i,
                                   theta[theta.size() - std.size() + i]));
  theta_ = std::move(theta);
  std_ = std;
  Index next = 0;
  for (Layer& layer : layers_) {
    for (Index j = 0; j < layer.in; ++j, next += layer.out)
      layer.W.col(j).head(layer.out) = theta_.segment(next, layer.out);
    if (!layer.bias) continue;
    layer.b.head(layer.out) = theta_.segment(next, layer.out);
    next += layer.out;
  }
}

void MlpGaussian::mean(int, VectorIn s, VectorOut a) const {
  alignas(64) std::array<double, 2 * kOnStack> small;
  MatrixXd large;
  double *x = small.data(), *z = small.data() + kOnStack;
  if (widest_ > kOnStack) {
    large.resize(whole_lanes(widest_), 2);
    x = large.col(0).data();
    z = large.col(1).data();
  }
  for (Index j = 0; j < s.size(); ++j) x[j] = (s[j] - network_.input_mean[j]) / network_.input_scale[j];
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    single_product(layers_[l].W, layers_[l].b, x, z);
    if (l + 1 < layers_.size()) activate<false>(network_.activation, layers_[l].W.rows() / kLanes, z, nullptr);
    std::swap(x, z);
  }
  for (Index i = 0; i < a.size(); ++i) a[i] = x[i] * network_.output_scale[i];
}

void MlpGaussian::sample(int t, VectorIn s, Stream& noise, VectorOut a) const {
  mean(t, s, a);
  for (Index i = 0; i < a.size(); ++i) a[i] += std_[i] * noise.normal();
}

double MlpGaussian::log_density(VectorIn mu, VectorIn a) const {
  double sum = 0.0;
  for (Index i = 0; i < std_.size(); ++i) {
    const double d = (a[i] - mu[i]) / std_[i];
    sum += 0.5 * d * d + log_std()[i];
  }
  return -sum - 0.5 * std::log(2.0 * std::numbers::pi) * static_cast<double>(std_.size());
}

double MlpGaussian::log_prob(int t, VectorIn s, VectorIn a) const {
  VectorXd mu(action_dim());
  mean(t, s, mu);
  return log_density(mu, a);
}

void MlpGaussian::mean_and_jacobian(VectorIn s, VectorOut a, Eigen::Ref<MatrixXd> J) const {
  const std::size_t L = layers_.size();
  VectorXd x = ((s - network_.input_mean).array() / network_.input_scale.array()).matrix();
  std::vector<VectorXd> slope(L - 1);
  for (std::size_t l = 0; l < L; ++l) {
    VectorXd z(layers_[l].W.rows());
    single_product(layers_[l].W, layers_[l].b, x.data(), z.data());
    if (l + 1 < L) {
      slope[l].resize(z.size());
      activate<true>(network_.activation, z.size() / kLanes, z.data(), slope[l].data());
    }
    x = std::move(z);
  }
  a = (x.head(a.size()).array() * network_.output_scale.array()).matrix();
  MatrixXd D = network_.output_scale.asDiagonal() * layers_[L - 1].W.topRows(action_dim());
  for (std::size_t l = L - 1; l-- > 0;) {
    const Index out = layers_[l].out;
    D = ((D * slope[l].head(out).asDiagonal()).lazyProduct(layers_[l].W.topRows(out))).eval();
  }
  J = D * network_.input_scale.cwiseInverse().asDiagonal();
}

MatrixXd MlpGaussian::input_jacobian(VectorIn s) const {
  VectorXd a(action_dim());
  MatrixXd J(action_dim(), observation_dim());
  mean_and_jacobian(s, a, J);
  return J;
}

NetworkInputs MlpGaussian::prepare(MatrixIn s) const {
  const Index ds = observation_dim();
  if (s.rows() != ds) throw InputError(fmt::format("network: states have {} entries, but ds = {}", s.rows(), ds));
  NetworkInputs inputs{s.cols(), MatrixXd(kBlock, ds * blocks_of(s.cols()))};
  for (Index block = 0; block < blocks_of(s.cols()); ++block) {
    const Index first = block * kBlock, count = std::min(kBlock, s.cols() - first);
    auto x = inputs.x.middleCols(block * ds, ds);
    for (Index j = 0; j < ds; ++j)
      for (Index n = 0; n < count; ++n) x(n, j) = (s(j, first + n) - network_.input_mean[j]) / network_.input_scale[j];
    x.bottomRows(kBlock - count).setZero();
  }
  return inputs;
}

template <bool slopes>
void MlpGaussian::forward(Block& block) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    MatrixXd& z = block.x[l];
    product(layer.W.data(), 1, layer.W.rows(), layer.out, layer.in, layer.b.data(), block.inputs_of(l), z.data());
    if (l + 1 < layers_.size())
      activate<slopes>(network_.activation, z.size() / kLanes, z.data(), slopes ? block.slope[l].data() : nullptr);
  }
  for (Index i = 0; i < action_dim(); ++i) block.x.back().col(i) *= network_.output_scale[i];
}

MatrixXd MlpGaussian::means(MatrixIn s, int threads) const { return means(prepare(s), threads); }

MatrixXd MlpGaussian::means(const NetworkInputs& s, int threads) const {
  MatrixXd mu(action_dim(), s.count);
  const Index blocks = blocks_of(s.count);
  parallel_for((blocks + kChunk - 1) / kChunk, threads, [&](Index chunk) {
    Block block(layers_, false);
    for (Index b = chunk * kChunk; b < std::min(blocks, (chunk + 1) * kChunk); ++b) {
      block.inputs = s.x.col(b * observation_dim()).data();
      forward<false>(block);
      const Index count = std::min(kBlock, s.count - b * kBlock);
      mu.middleCols(b * kBlock, count) = block.x.back().topRows(count).transpose();
    }
  });
  return mu;
}

VectorXd MlpGaussian::log_probs(MatrixIn s, MatrixIn a, int threads) const { return log_probs(prepare(s), a, threads); }

VectorXd MlpGaussian::log_probs(const NetworkInputs& s, MatrixIn a, int threads) const {
  const MatrixXd mu = means(s, threads);
  if (a.rows() != mu.rows() || a.cols() != mu.cols())
    throw InputError(fmt::format("network: actions are {}x{}, but da = {} and there are {} states", a.rows(), a.cols(),
                                 mu.rows(), mu.cols()));
  VectorXd log_p(mu.cols());
  for (Index n = 0; n < mu.cols(); ++n) log_p[n] = log_density(mu.col(n), a.col(n));
  return log_p;
}

VectorXd MlpGaussian::gradient(const NetworkInputs& s, const OutputGradient& output_gradient, int threads) const {
  const Index blocks = blocks_of(s.count), chunks = (blocks + kChunk - 1) / kChunk, P = theta_.size();
  const std::size_t L = layers_.size();
  MatrixXd partial = MatrixXd::Zero(P, chunks);
  parallel_for(chunks, threads, [&](Index chunk) {
    Block block(layers_, true);
    std::vector<Lanes> sums(static_cast<std::size_t>(P - action_dim()), Lanes{});  // in theta's order
    for (Index b = chunk * kChunk; b < std::min(blocks, (chunk + 1) * kChunk); ++b) {
      block.inputs = s.x.col(b * observation_dim()).data();
      forward<true>(block);
      const Index count = std::min(kBlock, s.count - b * kBlock);
      MatrixXd& g = block.delta[L - 1];
      output_gradient(b * kBlock, block.x.back().topRows(count), g.topRows(count));
      for (Index i = 0; i < action_dim(); ++i) g.col(i).head(count) *= network_.output_scale[i];
      g.bottomRows(kBlock - count).setZero();
      Lanes* end = sums.data() + sums.size();
      for (std::size_t l = L; l-- > 0;) {
        const Layer& layer = layers_[l];
        Lanes *bias = layer.bias ? end - layer.out : nullptr, *weights = (bias ? bias : end) - layer.out * layer.in;
        add_outer_products(block.delta[l].data(), block.inputs_of(l), layer.out, layer.in, weights, bias);
        end = weights;
        if (l == 0) break;
        product(layer.W.data(), layer.W.rows(), 1, layer.in, layer.out, nullptr, block.delta[l].data(),
                block.delta[l - 1].data());
        block.delta[l - 1].array() *= block.slope[l - 1].array();
      }
    }
    for (std::size_t i = 0; i < sums.size(); ++i) partial(static_cast<Index>(i), chunk) = sum_lanes(sums[i]);
  });
  VectorXd sum = VectorXd::Zero(P);
  for (Index chunk = 0; chunk < chunks; ++chunk) sum += partial.col(chunk);
  return sum;
}

VectorXd MlpGaussian::backward(MatrixIn s, MatrixIn g, int threads) const {
  if (g.rows() != action_dim() || g.cols() != s.cols())
    throw InputError(fmt::format("network: output gradients are {}x{}, but da = {} and there are {} states", g.rows(),
                                 g.cols(), action_dim(), s.cols()));
  return gradient(
      prepare(s),
      [&](Index first, const Eigen::Ref<const MatrixXd>& mu, Eigen::Ref<MatrixXd> out) {
        out = g.middleCols(first, mu.rows()).transpose();
      },
      threads);
}

VectorXd MlpGaussian::log_prob_gradient(MatrixIn s, MatrixIn a, VectorIn w, int threads) const {
  return log_prob_gradient(prepare(s), a, w, threads);
}

VectorXd MlpGaussian::log_prob_gradient(const NetworkInputs& s, MatrixIn a, VectorIn w, int threads) const {
  const Index da = action_dim(), N = s.count;
  if (a.rows() != da || a.cols() != N || w.size() != N)
    throw InputError(fmt::format("network: actions are {}x{}, weights {}, but da = {} and there are {} states",
                                 a.rows(), a.cols(), w.size(), da, N));
  const Eigen::ArrayXXd precision = std_.array().square().inverse();
  MatrixXd log_std_gradient(da, blocks_of(N));
  VectorXd total = gradient(
      s,
      [&](Index first, const Eigen::Ref<const MatrixXd>& mu, Eigen::Ref<MatrixXd> g) {
        for (Index i = 0; i < da; ++i) {
          double sum = 0.0;
          for (Index n = 0; n < mu.rows(); ++n) {
            const double d = a(i, first + n) - mu(n, i);
            g(n, i) = w[first + n] * d * precision(i);
            sum += g(n, i) * d - w[first + n];
          }
          log_std_gradient(i, first / kBlock) = sum;
        }
      },
      threads);
  for (Index block = 0; block < log_std_gradient.cols(); ++block) total.tail(da) += log_std_gradient.col(block);
  return total;
}

}  // namespace kedge
