#include "kedge/evaluation/quadratic_fit.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "kedge/math/gram.h"

namespace kedge {

namespace {

/// Samples are worked on in blocks that fit into the first-level cache with their features.
constexpr Index kBlock = GramAccumulator::kBlock;

/// Cost terms that are active at step t, and at the final state if t is the last step.
struct ActiveTerms {
  std::vector<Index> now, at_end;
  ActiveTerms(const Task& task, int t) {
    for (std::size_t i = 0; i < task.cost.size(); ++i) {
      const std::vector<char>& active = task.cost[i].active;
      if (active[static_cast<std::size_t>(t)]) now.push_back(static_cast<Index>(i));
      if (t + 1 == task.horizon && active.back()) at_end.push_back(static_cast<Index>(i));
    }
  }
};

/// out_k = column[row_k - offset]
void gather(const double* column, std::span<const Index> row, Index offset, double* out) {
  for (std::size_t k = 0; k < row.size(); ++k) out[k] = column[row[k] - offset];
}

/// out_k += column[row_k - offset]
void gather_sum(const double* column, std::span<const Index> row, Index offset, double* out) {
  for (std::size_t k = 0; k < row.size(); ++k) out[k] += column[row[k] - offset];
}

/// Rows `first ... first + row.size() - 1` of the regression from one epoch, whose sample 0 is row `offset`: not whitened.
void gather_samples(const Transitions& d, std::span<const Index> row, Index offset, const ActiveTerms& active,
                    bool monte_carlo, Index first, Regression& r) {
  for (Index j = 0; j < r.z.cols(); ++j) gather(d.x.col(j).data(), row, offset, &r.z(first, j));
  if (r.next.size() > 0)
    for (Index j = 0; j < r.next.cols(); ++j) gather(d.next.col(j).data(), row, offset, &r.next(first, j));
  double* cost = &r.cost[first];
  if (monte_carlo) return gather(d.cost_to_go.data(), row, offset, cost);
  for (const Index i : active.now) gather_sum(d.terms.col(i).data(), row, offset, cost);
  for (const Index i : active.at_end) gather_sum(d.next_terms.col(i).data(), row, offset, cost);
}

/// sum_k c_k phi(z_k): the features' sums are moments of z.
VectorXd weighted_feature_sum(const MatrixXd& z, const VectorXd& c) {
  const Index n = z.cols();
  VectorXd first = VectorXd::Zero(n);
  MatrixXd second = MatrixXd::Zero(n, n), cz(kBlock, n);
  for (Index k = 0; k < z.rows(); k += kBlock) {
    const Index count = std::min(kBlock, z.rows() - k);
    const auto block = z.middleRows(k, count);
    auto weighted = cz.topRows(count);
    weighted = block.array().colwise() * c.segment(k, count).array();
    first += weighted.colwise().sum().transpose();
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j <= i; ++j) second(i, j) += block.col(i).dot(weighted.col(j));
  }
  VectorXd sum(feature_count(n));
  sum[0] = c.sum();
  sum.segment(1, n) = first;
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

/// value_k += q(z_k) for every row z_k of z.
void add_values(const Quadratic& q, const MatrixXd& z, VectorXd& value) {
  VectorXd slope(kBlock);
  for (Index k = 0; k < z.rows(); k += kBlock) {
    const Index count = std::min(kBlock, z.rows() - k);
    const auto block = z.middleRows(k, count);
    auto s = slope.head(count);
    auto v = value.segment(k, count);
    v.array() += q.c;
    for (Index i = 0; i < z.cols(); ++i) {
      s = 0.5 * q.H(i, i) * block.col(i) + VectorXd::Constant(count, q.g[i]);
      for (Index j = 0; j < i; ++j) s += q.H(i, j) * block.col(j);
      v += s.cwiseProduct(block.col(i));
    }
  }
}

}  // namespace

std::optional<Regression> prepare_regression(const Task& task, int t, const std::deque<Transitions>& data,
                                             const WeightedSamples& samples, const Whitening& map,
                                             const Whitening* next_map, const RegressionOptions& options) {
  const Index N = samples.weight.size(), n = map.dim(), ds = data.back().next.cols();
  if (N == 0) return std::nullopt;

  if (options.monte_carlo) next_map = nullptr;
  Regression r{MatrixXd(N, n), MatrixXd(next_map ? N : 0, ds), samples.weight, VectorXd::Zero(N), {}, {}, {}};
  const ActiveTerms active(task, t);
  GramAccumulator gram(feature_count(n));
  VectorXd root(kBlock);
  std::size_t epoch = 0;
  Index offset = 0;  // sample 0 of the epoch, among all
  for (Index first = 0; first < N; first += kBlock) {
    const Index count = std::min(kBlock, N - first);
    for (Index k = first; k < first + count;) {
      while (samples.row[static_cast<std::size_t>(k)] >= offset + data[epoch].size()) offset += data[epoch++].size();
      const auto begin = samples.row.begin() + k, end = samples.row.begin() + first + count;
      const std::span row(begin, std::lower_bound(begin, end, offset + data[epoch].size()));
      gather_samples(data[epoch], row, offset, active, options.monte_carlo, k, r);
      k += static_cast<Index>(row.size());
    }
    auto z = r.z.middleRows(first, count);
    whiten_rows(map, z);
    if (next_map) whiten_rows(*next_map, r.next.middleRows(first, count));
    root.head(count) = r.weight.segment(first, count).cwiseSqrt();
    hermite_features(z, root.head(count), gram.block().topRows(count));
    gram.add(count);
  }
  r.gram = gram.gram();
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

std::optional<std::vector<QuadraticFit>> fit_backwards(const std::vector<Regression>& regressions, Index ds,
                                                       const RegressionOptions& options, int& failed) {
  const int T = static_cast<int>(regressions.size());
  std::vector<QuadraticFit> fits(static_cast<std::size_t>(T));
  for (int t = T - 1; t >= 0; --t) {
    const auto i = static_cast<std::size_t>(t);
    VectorXd target = -regressions[i].cost;
    if (t + 1 < T && !options.monte_carlo) add_values(fits[i + 1].v, regressions[i].next, target);
    auto fit = fit_quadratics(regressions[i], target, ds, options.ridge);
    if (!fit) {
      failed = t;
      return std::nullopt;
    }
    fits[i] = std::move(*fit);
  }
  return fits;
}

}  // namespace kedge
