#include "kedge/policy/mlp_gaussian.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr Index kBlock = Network::kBlock;

}  // namespace

Index parameter_count(const NetworkShape& shape) { return weight_count(shape) + shape.outputs(); }

VectorXd random_theta(const NetworkShape& shape, VectorIn log_std, Stream& random, double hidden, double output) {
  require(log_std.size() == shape.outputs(), "network log_std entries", log_std.size(), "da");
  VectorXd theta(parameter_count(shape));
  theta << random_weights(shape, random, hidden, output), log_std;
  return theta;
}

MlpGaussian::MlpGaussian(NetworkShape shape, VectorXd theta, int clock) : network_(std::move(shape)), clock_(clock) {
  require(clock >= 0, "network clock", clock, ">= 0");
  require(observation_dim() >= 1, "network observation size", observation_dim(), ">= 1");
  set_theta(std::move(theta));
}

void MlpGaussian::set_theta(VectorXd theta) {
  const Index P = parameter_count(shape()), da = action_dim();
  if (theta.size() != P)
    throw InputError(fmt::format("network: theta has {} entries, but its sizes ask for {}", theta.size(), P));
  for (Index i = 0; i < P; ++i)
    if (!std::isfinite(theta[i]))
      throw InputError(fmt::format("network: theta[{}] = {}, but must be finite", i, theta[i]));
  // One by one: packets of Eigen's exp end at the smallest normal number instead of 0.
  const VectorXd std = theta.tail(da).unaryExpr([](double log_std) { return std::exp(log_std); });
  for (Index i = 0; i < da; ++i)
    if (!(std[i] > 0.0) || !std::isfinite(std[i]))
      throw InputError(
          fmt::format("network: log_std[{}] = {} is no standard deviation in double precision", i, theta[P - da + i]));
  network_.set_weights(theta.head(P - da));
  theta_ = std::move(theta);
  std_ = std;
}

void MlpGaussian::mean(int t, VectorIn s, VectorOut a) const {
  if (clock_ == 0) return network_.output(s, a);
  const Index ds = s.size();
  const auto with_time = [&](auto& x) {
    x.head(ds) = s;
    x[ds] = static_cast<double>(t) / static_cast<double>(clock_);
    network_.output(x, a);
  };
  constexpr Index kOnStack = 64;
  if (ds < kOnStack) {
    Eigen::Matrix<double, kOnStack, 1> memory;
    Eigen::Map<VectorXd> x(memory.data(), ds + 1);
    with_time(x);
  } else {
    VectorXd x(ds + 1);
    with_time(x);
  }
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

VectorXd MlpGaussian::gradient(const NetworkInputs& s, const Network::OutputGradient& output_gradient,
                               int threads) const {
  VectorXd total = VectorXd::Zero(theta_.size());
  total.head(theta_.size() - action_dim()) = network_.gradient(s, output_gradient, threads);
  return total;
}

VectorXd MlpGaussian::fisher_product(const NetworkInputs& s, VectorIn v, int threads) const {
  require(v.size() == theta_.size(), "network direction entries", v.size(), fmt::format("{}", theta_.size()).c_str());
  require(s.count >= 1, "network inputs", s.count, ">= 1");
  const Index da = action_dim(), weights = theta_.size() - da;
  VectorXd product(theta_.size());
  product.head(weights) =
      network_.gauss_newton_product(s, v.head(weights), std_.array().square().inverse().matrix(), threads) /
      static_cast<double>(s.count);
  product.tail(da) = 2.0 * v.tail(da);
  return product;
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
  MatrixXd log_std_gradient(da, (N + kBlock - 1) / kBlock);
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
