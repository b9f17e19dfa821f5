#include "kedge/math/gaussian_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/math/log_mixture.h"
#include "kedge/math/outer_products.h"
#include "kedge/math/vectors.h"

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

/// Mean and covariance of the samples that belong to component k, each with its share of `total`. What has no share costs
/// nothing.
Moments weighted_moments(const MatrixXd& y, const VectorXd& share, double total) {
  const Index n = y.rows();
  std::vector<Index> own;
  for (Index i = 0; i < share.size(); ++i)
    if (share[i] > 0.0) own.push_back(i);
  Moments m{VectorXd::Zero(n), MatrixXd::Zero(padded(n), n)};
  for (const Index i : own) m.mean += share[i] / total * y.col(i);
  std::vector<Index> row(static_cast<std::size_t>(n));
  std::iota(row.begin(), row.end(), Index{0});
  MatrixXd block = MatrixXd::Zero(padded(n), kTile);  // deviations, each times the root of its weight
  for (std::size_t first = 0; first < own.size(); first += static_cast<std::size_t>(kTile)) {
    const Index count = std::min(kTile, static_cast<Index>(own.size() - first));
    for (Index j = 0; j < count; ++j) {
      const Index i = own[first + static_cast<std::size_t>(j)];
      block.col(j).head(n) = std::sqrt(share[i] / total) * (y.col(i) - m.mean);
    }
    add_outer_products(block.data(), block.rows(), row, block.data(), block.rows(), block.rows(), count, m.cov.data());
  }
  m.cov.conservativeResize(n, n);
  return m;
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
    Moments m = weighted_moments(y, r.col(k), total[k]);
    m.cov.diagonal().array() += lambda / total[k];
    component[static_cast<std::size_t>(i)] = make_gaussian(std::move(m.mean), m.cov);
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
  for (const Gaussian& g : mixture.component) sum += inverse_of_lower(g.L).squaredNorm();
  return sum;
}

/// Returns the component that is largest at x, but for its normaliser: where to begin a tile around x.
Index nearest(const std::vector<Whitening>& components, const VectorXd& x) {
  Index best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < components.size(); ++k) {
    const double distance = (components[k].W * x - components[k].b).squaredNorm();
    if (distance < least) least = distance, best = static_cast<Index>(k);
  }
  return best;
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

int components_for(Index samples, Index variables, int most) {
  return std::max(1, static_cast<int>(std::min<Index>(most, samples / (2 * variables))));
}

Responsibilities responsibilities(const GaussianMixture& mixture, MatrixIn x, int threads) {
  const Index N = x.cols(), K = mixture.size();
  std::vector<Whitening> components;
  for (Index k = 0; k < K; ++k) {
    components.push_back(whitening(mixture.component[static_cast<std::size_t>(k)]));
    components.back().log_normaliser += std::log(mixture.weight[k]);
  }
  Responsibilities r{MatrixXd(N, K), VectorXd(N)};
  parallel_for((N + kTile - 1) / kTile, threads, [&](Index tile) {
    const Index first = tile * kTile, count = std::min(kTile, N - first);
    MatrixXd samples(kTile, x.rows());
    load_tile(x, first, samples);
    TileMatrix log_z(kTile, K);
    const TileArray log_p = log_mixture(components, samples.data(), nearest(components, x.col(first)), log_z);
    for (Index k = 0; k < K; ++k)
      for (Index i = 0; i < count; ++i) {
        const double below = log_z(i, k) - log_p[i];
        r.share(first + i, k) = below < -kNegligible ? 0.0 : std::exp(below);
      }
    r.log_p.segment(first, count) = log_p.head(count);
  });
  return r;
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
    if (weight[k] == 0.0) continue;
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
    Responsibilities next = responsibilities(fit.mixture, y, threads);
    fit.objective.push_back(next.log_p.mean() - units - 0.5 * lambda * trace_of_inverses(fit.mixture) / samples);
    const std::size_t last = fit.objective.size() - 1;
    if (last > 0 && fit.objective[last] - fit.objective[last - 1] < options.tolerance) break;
    r = std::move(next.share);
  }
  unscale(scaling, fit.mixture);
  return fit;
}

}  // namespace kedge
