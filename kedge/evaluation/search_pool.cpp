#include "kedge/evaluation/search_pool.h"

#include <cmath>

#include "kedge/math/gaussian.h"
#include "kedge/math/gaussian_mixture.h"

namespace kedge {

namespace {

/// log N(theta_n; K phi_n + k, Sigma) but for a constant. @return [N]
VectorXd log_densities(const LinearGaussian& search, MatrixIn theta, MatrixIn phi) {
  return -0.5 * (whitened(search, theta, phi).colwise().squaredNorm().transpose().array() + log_det(search.C));
}

}  // namespace

MatrixXd whitened(const LinearGaussian& search, MatrixIn theta, MatrixIn phi) {
  MatrixXd d = theta.colwise() - search.k;
  if (phi.rows() > 0) d -= search.K * phi;
  return search.C.triangularView<Eigen::Lower>().solve(d);
}

std::optional<PooledSamples> pooled(const std::vector<Generation>& pool) {
  Index N = 0;
  for (const Generation& g : pool) N += g.returns.size();
  const Generation& newest = pool.back();
  PooledSamples all{MatrixXd(newest.theta.rows(), N), MatrixXd(newest.phi.rows(), N), VectorXd(N), {}, 0.0, {}};
  Index at = 0;
  for (const Generation& g : pool) {
    const Index n = g.returns.size();
    all.theta.middleCols(at, n) = g.theta;
    all.phi.middleCols(at, n) = g.phi;
    all.returns.segment(at, n) = g.returns;
    at += n;
  }
  MatrixXd log_mixture(N, static_cast<Index>(pool.size()));
  for (Index j = 0; j < log_mixture.cols(); ++j) {
    const Generation& g = pool[static_cast<std::size_t>(j)];
    log_mixture.col(j) =
        log_densities(g.search, all.theta, all.phi).array() + std::log(static_cast<double>(g.returns.size()));
  }
  const VectorXd log_weight = log_densities(newest.search, all.theta, all.phi) - log_sum_exp_rows(log_mixture);
  const double highest = log_weight.maxCoeff();
  if (!std::isfinite(highest)) return std::nullopt;
  all.weight = (log_weight.array() - highest).exp();
  all.weight /= all.weight.sum();
  all.effective = 1.0 / all.weight.squaredNorm();
  if (!std::isfinite(all.effective)) return std::nullopt;
  all.context.mean = all.phi.rowwise().mean();
  const MatrixXd d = all.phi.colwise() - all.context.mean;
  all.context.cov = d * d.transpose() / static_cast<double>(N);
  return all;
}

}  // namespace kedge
