#include "kedge/evaluation/return_model.h"

#include <cmath>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/core/random.h"

namespace kedge {

namespace {

constexpr double kNoise = 0.25;  ///< variance of the noise on standardised returns, of marginal likelihoods

/// Returns, less their weighted mean, in units of their standard deviation, each times the root of its weight.
struct Targets {
  double mean = 0.0, deviation = 0.0;
  VectorXd y;     ///< [N] |y| = 1
  VectorXd root;  ///< [N] sqrt(w)
};

Targets standardised(VectorIn returns, VectorIn weight) {
  Targets t{weight.dot(returns), 0.0, {}, weight.cwiseSqrt()};
  t.y = (returns.array() - t.mean) * t.root.array();
  t.deviation = t.y.norm();
  if (t.deviation > 0.0) t.y /= t.deviation;
  return t;
}

/// phi(z_m)'phi(z_n), centred and times the roots of the weights. @return [N, N]
MatrixXd centred_products(MatrixIn z, VectorIn weight, const VectorXd& root) {
  const VectorXd square = z.colwise().squaredNorm().transpose();
  MatrixXd G = z.transpose() * z;
  G.array() += 0.5 * (G.array().square() + static_cast<double>(z.rows()));
  G.colwise() -= 0.5 * square;
  G.rowwise() -= 0.5 * square.transpose();
  const VectorXd mean = G * weight;
  const double overall = weight.dot(mean);
  G.colwise() -= mean;
  G.rowwise() -= mean.transpose();
  G.array() += overall;
  return root.asDiagonal() * G * root.asDiagonal();
}

/// Gradient and curvature of a model, for standardised targets, and its log marginal likelihood but for a constant.
struct Fit {
  VectorXd g;  ///< [n]
  MatrixXd H;  ///< [n, n]
  double log_evidence = 0.0;
};

std::optional<Fit> fit(MatrixIn z, VectorIn weight, const Targets& targets, double ridge) {
  MatrixXd G = centred_products(z, weight, targets.root);
  G.diagonal().array() += ridge;
  const Eigen::LLT<MatrixXd> llt(G);
  if (llt.info() != Eigen::Success) return std::nullopt;
  const VectorXd alpha = llt.solve(targets.y);
  const VectorXd a = targets.root.cwiseProduct(alpha) - weight * targets.root.dot(alpha);
  Fit fit{z * a, z * a.asDiagonal() * z.transpose(), 0.0};
  const double prior = kNoise * weight.squaredNorm() / ridge;  // its variance: ridge = noise / (N_eff prior)
  fit.log_evidence = -0.5 * targets.y.dot(alpha) / prior - llt.matrixLLT().diagonal().array().log().sum() -
                     0.5 * static_cast<double>(z.cols()) * std::log(prior);
  if (!fit.g.allFinite() || !fit.H.allFinite() || !std::isfinite(fit.log_evidence)) return std::nullopt;
  return fit;
}

/// The average of the models of random projections.
std::optional<Fit> fit_projections(MatrixIn z, VectorIn weight, const Targets& targets,
                                   const ReturnModelOptions& options, std::uint64_t seed, int iteration, int threads) {
  const Index n = z.rows();
  const double deviation = 1.0 / std::sqrt(static_cast<double>(options.projected));
  std::vector<std::optional<Fit>> fits(static_cast<std::size_t>(options.projections));
  std::vector<MatrixXd> P(fits.size(), MatrixXd(options.projected, n));
  parallel_for(options.projections, threads, [&](Index i) {
    const auto at = static_cast<std::size_t>(i);
    Stream random(seed, streams::projections.iteration(iteration), streams::projections.rollout(0),
                  static_cast<std::uint32_t>(i));
    random.normal(P[at].reshaped());
    P[at] *= deviation;
    fits[at] = fit(P[at] * z, weight, targets, options.ridge);
  });
  double highest = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (const auto& one : fits)
    if (one) highest = std::max(highest, one->log_evidence);
  Fit average{VectorXd::Zero(n), MatrixXd::Zero(n, n), highest};
  for (std::size_t i = 0; i < fits.size(); ++i) {
    if (!fits[i]) continue;
    const double p = std::exp(fits[i]->log_evidence - highest);
    average.g += p * P[i].transpose() * fits[i]->g;
    average.H += p * P[i].transpose() * fits[i]->H * P[i];
    sum += p;
  }
  if (!(sum > 0.0)) return std::nullopt;
  average.g /= sum;
  average.H /= sum;
  return average;
}

}  // namespace

std::optional<ReturnModel> fit_return_model(MatrixIn z, VectorIn returns, VectorIn weight,
                                            const ReturnModelOptions& options, std::uint64_t seed, int iteration,
                                            int threads) {
  require(options.ridge > 0.0, "return model, ridge", options.ridge, "> 0");
  require(options.projections >= 0, "return model, projections", options.projections, ">= 0");
  require(options.projected >= 1, "return model, projected", options.projected, ">= 1");
  if (returns.size() != z.cols() || weight.size() != z.cols() || z.cols() < 1)
    throw InputError(fmt::format("return model: {} samples, {} returns, {} weights, but they must agree", z.cols(),
                                 returns.size(), weight.size()));
  const Index n = z.rows();
  const Targets targets = standardised(returns, weight);
  ReturnModel model{{targets.mean, VectorXd::Zero(n), MatrixXd::Zero(n, n)}, 1.0};
  if (!std::isfinite(targets.deviation)) return std::nullopt;
  if (targets.deviation == 0.0) return model;
  const auto found = options.projections > 0 ? fit_projections(z, weight, targets, options, seed, iteration, threads)
                                             : fit(z, weight, targets, options.ridge);
  if (!found) return std::nullopt;
  model.q.g = targets.deviation * found->g;
  model.q.H = targets.deviation * 0.5 * (found->H + found->H.transpose());
  model.q.c = 0.0;
  VectorXd predicted(z.cols());
  for (Index k = 0; k < z.cols(); ++k) predicted[k] = model.q(z.col(k));
  model.q.c = targets.mean - weight.dot(predicted);
  const double missed = weight.dot(((returns - predicted).array() - model.q.c).square().matrix());
  model.r2 = 1.0 - missed / (targets.deviation * targets.deviation);
  return model;
}

}  // namespace kedge
