#include "kedge/policy/diagonal_tv_linear.h"

#include <cmath>

#include "kedge/core/errors.h"

namespace kedge {

/// The parameters of one time step in a vector like theta.
struct DiagonalTvLinear::Part {
  Eigen::Map<MatrixXd> G;
  Eigen::Map<VectorXd> g, log_std;
  Part(VectorXd& theta, Index t, Index ds, Index da)
      : G(theta.data() + t * da * (ds + 2), da, ds), g(G.data() + da * ds, da), log_std(g.data() + da, da) {}
};

DiagonalTvLinear::DiagonalTvLinear(TvLinearGaussian policy, VectorXd input_mean, VectorXd input_scale)
    : policy_(std::move(policy)), input_mean_(std::move(input_mean)), input_scale_(std::move(input_scale)) {
  const Index ds = policy_.observation_dim(), da = policy_.action_dim();
  if (input_mean_.size() != ds || input_scale_.size() != ds)
    throw InputError(fmt::format("linear policy: {} observations, but {} input means and {} scales", ds,
                                 input_mean_.size(), input_scale_.size()));
  if (!(input_scale_.array() > 0.0).all()) throw InputError("linear policy: an input scale is not > 0");
  theta_.resize(policy_.horizon() * da * (ds + 2));
  for (int t = 0; t < policy_.horizon(); ++t) {
    const LinearGaussian& pi = policy_[t];
    if (!pi.Sigma.isDiagonal(0.0)) throw InputError(fmt::format("linear policy: Sigma is not diagonal at step {}", t));
    Part part(theta_, t, ds, da);
    part.G = pi.K * input_scale_.asDiagonal();
    part.g = pi.k + pi.K * input_mean_;
    part.log_std = pi.C.diagonal().array().log();
  }
}

void DiagonalTvLinear::set_theta(VectorXd theta) {
  if (theta.size() != theta_.size())
    throw InputError(
        fmt::format("linear policy: theta has {} entries, but its sizes ask for {}", theta.size(), theta_.size()));
  if (!theta.allFinite()) throw InputError("linear policy: theta has a number that is not finite");
  TvLinearGaussian policy = policy_;
  for (int t = 0; t < policy.horizon(); ++t) {
    const Part part(theta, t, policy.observation_dim(), policy.action_dim());
    const MatrixXd K = part.G * input_scale_.cwiseInverse().asDiagonal();
    policy[t] = make_linear_gaussian(K, part.g - K * input_mean_,
                                     (2.0 * part.log_std.array()).exp().matrix().asDiagonal().toDenseMatrix());
  }
  policy_ = std::move(policy);
  theta_ = std::move(theta);
}

DiagonalGaussians DiagonalTvLinear::actions(const StatesAtSteps& states) const {
  const Index da = policy_.action_dim(), N = states.s.cols();
  DiagonalGaussians result{MatrixXd(da, N), MatrixXd(da, N)};
  for (Index n = 0; n < N; ++n) {
    const int t = states.step[static_cast<std::size_t>(n)];
    policy_.mean(t, states.s.col(n), result.mean.col(n));
    result.std.col(n) = policy_[t].C.diagonal();
  }
  return result;
}

VectorXd DiagonalTvLinear::fisher_product(const StatesAtSteps& states, VectorIn v) const {
  require(v.size() == theta_.size(), "linear policy: direction entries", v.size(),
          fmt::format("{}", theta_.size()).c_str());
  const Index ds = policy_.observation_dim(), da = policy_.action_dim(), N = states.s.cols();
  require(N >= 1, "linear policy: states", N, ">= 1");
  VectorXd direction = v, product = VectorXd::Zero(v.size());
  VectorXd z(ds), moved(da);
  for (Index n = 0; n < N; ++n) {
    const int t = states.step[static_cast<std::size_t>(n)];
    const Part from(direction, t, ds, da);
    Part to(product, t, ds, da);
    z = (states.s.col(n) - input_mean_).cwiseQuotient(input_scale_);
    moved = (from.G * z + from.g).cwiseQuotient(policy_[t].Sigma.diagonal());
    to.G += moved * z.transpose();
    to.g += moved;
    to.log_std += 2.0 * from.log_std;
  }
  return product / static_cast<double>(N);
}

VectorXd DiagonalTvLinear::log_prob_gradient(const StatesAtSteps& states, MatrixIn a, VectorIn w) const {
  const Index ds = policy_.observation_dim(), da = policy_.action_dim(), N = states.s.cols();
  if (a.rows() != da || a.cols() != N || w.size() != N)
    throw InputError(fmt::format("linear policy: actions are {}x{}, weights {}, but da = {} and there are {} states",
                                 a.rows(), a.cols(), w.size(), da, N));
  VectorXd gradient = VectorXd::Zero(theta_.size());
  VectorXd z(ds), d(da), by_mean(da);
  for (Index n = 0; n < N; ++n) {
    const int t = states.step[static_cast<std::size_t>(n)];
    Part to(gradient, t, ds, da);
    z = (states.s.col(n) - input_mean_).cwiseQuotient(input_scale_);
    policy_.mean(t, states.s.col(n), d);
    d = a.col(n) - d;
    by_mean = w[n] * d.cwiseQuotient(policy_[t].Sigma.diagonal());
    to.G += by_mean * z.transpose();
    to.g += by_mean;
    to.log_std += (by_mean.array() * d.array() - w[n]).matrix();
  }
  return gradient;
}

}  // namespace kedge
