#include "kedge/math/gaussian_mixture.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"

namespace kedge {

namespace {

/// A component that holds less than this of one sample is left out: the objective does not notice.
constexpr double kLost = 1e-9;

struct Scaling {
  VectorXd mean, scale;  ///< [n]; scale > 0
};

Scaling scaling_of(MatrixIn x) {
  Scaling s{x.rowwise().mean(), VectorXd(x.rows())};
  for (Index i = 0; i < x.rows(); ++i) {
    const double std = std::sqrt((x.row(i).array() - s.mean[i]).square().mean());
    s.scale[i] = std > 0.0 && x.row(i).minCoeff() < x.row(i).maxCoeff() ? std : 1.0;
  }
  return s;
}

/// Index drawn with probability proportional to p.
Index draw(const VectorXd& p, Stream& random) {
  double left = random.uniform() * p.sum();
  Index last = 0;
  for (Index i = 0; i < p.size(); ++i) {
    if (!(p[i] > 0.0)) continue;
    last = i;
    left -= p[i];
    if (left < 0.0) break;
  }
  return last;
}

/// k-means++: every next centre is a sample, drawn in proportion to its squared distance from the nearest centre.
/// @return [N, K] 1 where the sample is nearest to the centre; no columns if there are fewer distinct samples than K
MatrixXd seed(const MatrixXd& y, int K, Stream& random) {
  const Index N = y.cols();
  VectorXd nearest = VectorXd::Ones(N);
  std::vector<int> owner(static_cast<std::size_t>(N), 0);
  for (int k = 0; k < K; ++k) {
    if (!(nearest.maxCoeff() > 0.0)) return {};
    const VectorXd centre = y.col(draw(nearest, random));
    for (Index n = 0; n < N; ++n) {
      const double d = (y.col(n) - centre).squaredNorm();
      if (k > 0 && d >= nearest[n]) continue;
      nearest[n] = d;
      owner[static_cast<std::size_t>(n)] = k;
    }
  }
  MatrixXd r = MatrixXd::Zero(N, K);
  for (Index n = 0; n < N; ++n) r(n, owner[static_cast<std::size_t>(n)]) = 1.0;
  return r;
}

/// The M-step. @param r [N, K] responsibilities  @param lambda of the penalty
/// @return false if a covariance is not positive definite
bool maximise(const MatrixXd& y, const MatrixXd& r, double lambda, int threads, GaussianMixture& mixture) {
  const VectorXd total = r.colwise().sum().transpose();
  std::vector<Index> kept;
  for (Index k = 0; k < r.cols(); ++k)
    if (total[k] > kLost) kept.push_back(k);
  const auto K = static_cast<Index>(kept.size());
  std::vector<std::optional<Gaussian>> component(kept.size());
  parallel_for(K, threads, [&](Index i) {
    const Index k = kept[static_cast<std::size_t>(i)];
    const VectorXd mean = y * r.col(k) / total[k];
    MatrixXd d = y.colwise() - mean;
    for (Index n = 0; n < d.cols(); ++n) d.col(n) *= std::sqrt(r(n, k) / total[k]);
    MatrixXd cov = d * d.transpose();
    cov.diagonal().array() += lambda / total[k];
    component[static_cast<std::size_t>(i)] = make_gaussian(mean, cov);
  });
  mixture.weight.resize(K);
  mixture.component.clear();
  for (Index i = 0; i < K; ++i) {
    if (!component[static_cast<std::size_t>(i)]) return false;
    mixture.weight[i] = total[kept[static_cast<std::size_t>(i)]] / static_cast<double>(y.cols());
    mixture.component.push_back(std::move(*component[static_cast<std::size_t>(i)]));
  }
  return true;
}

/// sum_k tr(Sigma_k^-1)
double trace_of_inverses(const GaussianMixture& mixture) {
  double sum = 0.0;
  for (const Gaussian& g : mixture.component) {
    const MatrixXd identity = MatrixXd::Identity(g.dim(), g.dim());
    sum += g.L.triangularView<Eigen::Lower>().solve(identity).squaredNorm();
  }
  return sum;
}

/// Back to the units of the samples.
void unscale(const Scaling& s, GaussianMixture& mixture) {
  for (Gaussian& g : mixture.component) {
    g.mean = s.mean + s.scale.cwiseProduct(g.mean);
    g.cov = s.scale.asDiagonal() * g.cov * s.scale.asDiagonal();
    g.L = s.scale.asDiagonal() * g.L;
  }
}

MixtureFit failed(MixtureStatus status, std::string message) { return {status, std::move(message), {}, {}}; }

}  // namespace

const char* to_string(MixtureStatus status) {
  switch (status) {
    case MixtureStatus::ok: return "ok";
    case MixtureStatus::too_few: return "too few";
    case MixtureStatus::not_finite: return "not finite";
  }
  return "?";
}

MatrixXd log_joint(const GaussianMixture& mixture, MatrixIn x, int threads) {
  MatrixXd log_p(x.cols(), mixture.size());
  parallel_for(mixture.size(), threads, [&](Index k) {
    const Gaussian& g = mixture.component[static_cast<std::size_t>(k)];
    const MatrixXd d = g.L.triangularView<Eigen::Lower>().solve(x.colwise() - g.mean);
    const double n = static_cast<double>(g.dim());
    const double constant = std::log(mixture.weight[k]) - 0.5 * (n * std::log(2.0 * std::numbers::pi) + log_det(g.L));
    log_p.col(k) = constant - 0.5 * d.colwise().squaredNorm().transpose().array();
  });
  return log_p;
}

VectorXd log_sum_exp_rows(MatrixIn m) {
  VectorXd result(m.rows());
  for (Index i = 0; i < m.rows(); ++i) {
    const double top = m.row(i).maxCoeff();
    double sum = 0.0;
    for (Index j = 0; j < m.cols(); ++j) sum += std::exp(m(i, j) - top);
    result[i] = std::isfinite(top) ? top + std::log(sum) : top;
  }
  return result;
}

Moments mixture_moments(const GaussianMixture& mixture, VectorIn weight) {
  const Index n = mixture.component.front().dim();
  const double total = weight.sum();
  Moments m{VectorXd::Zero(n), MatrixXd::Zero(n, n)};
  for (Index k = 0; k < mixture.size(); ++k)
    m.mean += weight[k] / total * mixture.component[static_cast<std::size_t>(k)].mean;
  for (Index k = 0; k < mixture.size(); ++k) {
    const Gaussian& g = mixture.component[static_cast<std::size_t>(k)];
    const VectorXd d = g.mean - m.mean;
    m.cov += weight[k] / total * (g.cov + d * d.transpose());
  }
  return m;
}

MixtureFit fit_mixture(MatrixIn x, const MixtureOptions& options, Stream random, int threads) {
  require(options.components >= 1, "components", options.components, ">= 1");
  require(options.ridge > 0 && std::isfinite(options.ridge), "ridge", options.ridge, "> 0");
  require(options.iterations >= 1, "iterations", options.iterations, ">= 1");
  require(options.tolerance >= 0, "tolerance", options.tolerance, ">= 0");
  const Index N = x.cols();
  if (N < options.components)
    return failed(MixtureStatus::too_few, fmt::format("{} samples for {} components", N, options.components));
  const Scaling scaling = scaling_of(x);
  if (!scaling.mean.allFinite() || !scaling.scale.allFinite())
    return failed(MixtureStatus::not_finite, "a sample is not finite, or too large to be squared");
  const MatrixXd y = scaling.scale.cwiseInverse().asDiagonal() * (x.colwise() - scaling.mean);

  MatrixXd r = seed(y, options.components, random);
  if (r.cols() == 0)
    return failed(MixtureStatus::too_few, fmt::format("fewer distinct samples than {} components", options.components));
  const double samples = static_cast<double>(N), lambda = options.ridge * samples / options.components;
  const double units = scaling.scale.array().log().sum();  // of the density
  MixtureFit fit;
  for (int iteration = 0; iteration < options.iterations; ++iteration) {
    if (!maximise(y, r, lambda, threads, fit.mixture))
      return failed(MixtureStatus::not_finite,
                    fmt::format("a covariance is lost to rounding at a ridge of {}", options.ridge));
    r = log_joint(fit.mixture, y, threads);
    const VectorXd log_p = log_sum_exp_rows(r);
    fit.objective.push_back(log_p.mean() - units - 0.5 * lambda * trace_of_inverses(fit.mixture) / samples);
    const std::size_t last = fit.objective.size() - 1;
    if (last > 0 && fit.objective[last] - fit.objective[last - 1] < options.tolerance) break;
    r = (r.colwise() - log_p).array().exp();
  }
  unscale(scaling, fit.mixture);
  return fit;
}

}  // namespace kedge
