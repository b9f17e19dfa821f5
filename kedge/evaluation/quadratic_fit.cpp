#include "kedge/evaluation/quadratic_fit.h"

#include <cmath>

namespace kedge {

namespace {

/// Rows are worked on in blocks that fit into the cache with their features.
constexpr Index kBlock = 128;

/// gram = sum_k w_k phi(z_k) phi(z_k)'.
MatrixXd weighted_gram(const MatrixXd& z, const VectorXd& weight) {
  const Index p = feature_count(z.cols());
  MatrixXd gram = MatrixXd::Zero(p, p), phi(kBlock, p);
  for (Index first = 0; first < z.rows(); first += kBlock) {
    const Index count = std::min(kBlock, z.rows() - first);
    auto block = phi.topRows(count);
    hermite_features(z.middleRows(first, count), block);
    block.array().colwise() *= weight.segment(first, count).array().sqrt();
    gram.selfadjointView<Eigen::Lower>().rankUpdate(block.transpose());
  }
  gram.triangularView<Eigen::StrictlyUpper>() = gram.transpose();
  return gram;
}

/// sum_k c_k phi(z_k): the features' sums are moments of z.
VectorXd weighted_feature_sum(const MatrixXd& z, const VectorXd& c) {
  const Index n = z.cols();
  VectorXd sum(feature_count(n));
  sum[0] = c.sum();
  sum.segment(1, n).noalias() = z.transpose() * c;
  const MatrixXd cz = z.array().colwise() * c.array();
  const MatrixXd second = z.transpose() * cz;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < i; ++j) sum[product_feature(n, i, j)] = second(i, j);
    sum[product_feature(n, i, i)] = (second(i, i) - sum[0]) / std::numbers::sqrt2;
  }
  return sum;
}

Eigen::LLT<MatrixXd> factor_with_ridge(MatrixXd gram, double ridge) {
  gram.diagonal().tail(gram.rows() - 1).array() += ridge;
  return Eigen::LLT<MatrixXd>(gram);
}

/// Values of a quadratic at whitened rows: q(W x - b) for every row x.
VectorXd evaluate_rows(const Quadratic& q, const Whitening& map, const MatrixXd& x) {
  MatrixXd z(x.rows(), x.cols());
  whiten_rows(map, x, z);
  VectorXd value = VectorXd::Constant(x.rows(), q.c);
  for (Index i = 0; i < z.cols(); ++i) {
    Eigen::ArrayXd slope = Eigen::ArrayXd::Constant(x.rows(), q.g[i]);
    for (Index j = 0; j < i; ++j) slope += q.H(i, j) * z.col(j).array();
    slope += 0.5 * q.H(i, i) * z.col(i).array();
    value.array() += slope * z.col(i).array();
  }
  return value;
}

}  // namespace

std::optional<Regression> prepare_regression(const Task& task, int t, const std::deque<Transitions>& data,
                                             const WeightedSamples& samples, const Whitening& map,
                                             const RegressionOptions& options) {
  const Index N = samples.weight.size(), n = map.dim(), ds = data.back().next.cols();
  if (N == 0) return std::nullopt;
  const bool last = t + 1 == task.horizon;

  Regression r;
  MatrixXd x(N, n);
  r.next.resize(N, ds);
  r.cost.resize(N);
  r.weight = samples.weight;
  std::size_t epoch = 0;
  Index offset = 0;
  for (Index k = 0; k < N; ++k) {
    const Index row = samples.row[static_cast<std::size_t>(k)];
    while (row - offset >= data[epoch].size()) offset += data[epoch++].size();
    const Transitions& d = data[epoch];
    x.row(k) = d.x.row(row - offset);
    r.next.row(k) = d.next.row(row - offset);
    if (options.monte_carlo) {
      r.cost[k] = d.cost_to_go(row - offset, 0);
      continue;
    }
    double cost = 0.0;
    for (std::size_t i = 0; i < task.cost.size(); ++i) {
      const CostTerm& term = task.cost[i];
      if (term.active[static_cast<std::size_t>(t)]) cost += d.terms(row - offset, static_cast<Index>(i));
      if (last && term.active.back()) cost += d.next_terms(row - offset, static_cast<Index>(i));
    }
    r.cost[k] = cost;
  }
  r.z.resize(N, n);
  whiten_rows(map, x, r.z);
  r.gram = weighted_gram(r.z, r.weight);
  r.q_factor = factor_with_ridge(r.gram, options.ridge);
  const std::vector<Index> state_columns = leading_features(n, ds);
  r.v_factor = factor_with_ridge(r.gram(state_columns, state_columns), options.ridge);
  if (r.q_factor.info() != Eigen::Success || r.v_factor.info() != Eigen::Success) return std::nullopt;
  return r;
}

std::optional<QuadraticFit> fit_quadratics(const Regression& r, VectorIn target, Index ds, double ridge) {
  // Centred targets: the constant is not penalised, so this changes rounding only (targets reach 1e8).
  const double mean = r.weight.dot(target);
  const VectorXd weighted = r.weight.array() * (target.array() - mean);
  const double variance = weighted.dot(target - VectorXd::Constant(target.size(), mean));
  const Index n = r.z.cols();
  const VectorXd rhs = weighted_feature_sum(r.z, weighted);
  VectorXd q = r.q_factor.solve(rhs);
  const std::vector<Index> state_columns = leading_features(n, ds);
  VectorXd v = r.v_factor.solve(VectorXd(rhs(state_columns)));
  if (!q.allFinite() || !v.allFinite() || !std::isfinite(mean)) return std::nullopt;

  // sum_k w_k (y_k - q'phi_k)^2 = variance - 2 q'rhs + q'gram q, and gram q = rhs - ridge (q without its constant).
  const double error = variance - q.dot(rhs) - ridge * q.tail(q.size() - 1).squaredNorm();
  QuadraticFit fit;
  fit.r2 = variance > 0 ? 1.0 - error / variance : 1.0;
  q[0] += mean;
  v[0] += mean;
  fit.q = quadratic_from_features(q, n);
  fit.v = quadratic_from_features(v, ds);
  return fit;
}

std::optional<std::vector<QuadraticFit>> fit_backwards(const std::vector<Regression>& regressions,
                                                       const std::vector<Whitening>& state_maps,
                                                       const RegressionOptions& options, int& failed) {
  const int T = static_cast<int>(regressions.size());
  std::vector<QuadraticFit> fits(static_cast<std::size_t>(T));
  for (int t = T - 1; t >= 0; --t) {
    const auto i = static_cast<std::size_t>(t);
    VectorXd target = -regressions[i].cost;
    if (t + 1 < T && !options.monte_carlo) target += evaluate_rows(fits[i + 1].v, state_maps[i + 1], regressions[i].next);
    auto fit = fit_quadratics(regressions[i], target, state_maps[i].dim(), options.ridge);
    if (!fit) {
      failed = t;
      return std::nullopt;
    }
    fits[i] = std::move(*fit);
  }
  return fits;
}

}  // namespace kedge
