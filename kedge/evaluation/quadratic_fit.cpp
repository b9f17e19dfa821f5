#include "kedge/evaluation/quadratic_fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kedge/math/cholesky.h"
#include "kedge/math/gram.h"
#include "kedge/math/outer_products.h"
#include "kedge/math/vectors.h"

namespace kedge {

namespace {

/// Samples are worked on in blocks that fit into the first-level cache.
constexpr Index kBlock = 64;

/// Chosen samples lie apart: to wait for the memory of each would take longer than their arithmetic. So it is asked for this
/// many samples early.
constexpr Index kEarly = 16;

void prefetch(const double* first, Index count) {
  for (Index i = 0; i < count; i += 8) __builtin_prefetch(first + i);
}

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

/// Cost of the sample in column i of an epoch.
double cost_of(const Transitions& d, Index i, const ActiveTerms& active, bool monte_carlo) {
  if (monte_carlo) return d.cost_to_go[i];
  double cost = 0.0;
  for (const Index term : active.now) cost += d.terms(term, i);
  for (const Index term : active.at_end) cost += d.next_terms(term, i);
  return cost;
}

/// sum_k c_k (1, z_k)(1, z_k)'. @param z [padded(n + 1), >= N] as in Regression  @param c [N]  @return [n + 1, n + 1]
MatrixXd weighted_moments(const MatrixXd& z, Index n, const VectorXd& c) {
  std::vector<Index> rows(static_cast<std::size_t>(n) + 1);
  std::iota(rows.begin(), rows.end(), Index{0});
  MatrixXd sum = MatrixXd::Zero(z.rows(), n + 1), cz(z.rows(), kBlock);
  for (Index first = 0; first < c.size(); first += kBlock) {
    const Index count = std::min(kBlock, c.size() - first);
    for (Index k = 0; k < count; ++k) cz.col(k) = c[first + k] * z.col(first + k);
    add_outer_products(cz.data(), cz.rows(), rows, &z(0, first), z.rows(), z.rows(), count, sum.data());
  }
  return sum.topRows(n + 1);
}

/// value_k += q(z_k) for the rows z_k of z. @param z [>= N, n]  @param value [N]
void add_values(const Quadratic& q, const MatrixXd& z, VectorXd& value) {
  VectorXd slope(kBlock);
  for (Index k = 0; k < value.size(); k += kBlock) {
    const Index count = std::min(kBlock, value.size() - k);
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

/// Moves each target r_k + V~(s'_k) to where V~(s'_k) is within its bounds. @return share of the weight that moved
double bound_targets(const Regression& r, const ValueBounds& bounds, VectorXd& target) {
  double moved = 0.0;
  for (Index k = 0; k < target.size(); ++k) {
    const double low = bounds.low - r.cost[k], high = bounds.high - r.cost[k];
    if (target[k] >= low && target[k] <= high) continue;
    target[k] = target[k] > high ? high : low;  // NaN: low
    moved += r.weight[k];
  }
  return std::min(moved, 1.0);
}

}  // namespace

bool prepare_regression(const RegressionProblem& problem, const RegressionOptions& options, Regression& r) {
  const auto& [task, t, data, samples, map, its_next_map] = problem;
  const Whitening* next_map = options.monte_carlo ? nullptr : its_next_map;
  const Index N = samples.weight.size(), n = map.dim(), ds = data.back().next.rows();
  if (N == 0) return false;

  r.n = n;
  if (r.z.rows() != padded(n + 1) || r.z.cols() < N) r.z.resize(padded(n + 1), N);
  if (next_map && (r.next.rows() < N || r.next.cols() != ds)) r.next.resize(N, ds);
  r.weight = samples.weight;
  r.cost.resize(N);
  const MatrixXd H = homogeneous(map);
  const ActiveTerms active(task, t);
  GramAccumulator gram(n);
  MatrixXd next_states(ds, kBlock), next(kBlock, ds);  // of a block
  std::size_t epoch = 0;
  Index offset = 0;          // sample 0 of the epoch, among all
  std::vector<Index> first;  // of the samples of a block, which are from one epoch, in its x.data()
  for (Index k = 0; k < N;) {
    while (samples.row[static_cast<std::size_t>(k)] >= offset + data[epoch].size()) offset += data[epoch++].size();
    const Transitions& d = data[epoch];
    const Index begin = k, end = std::min(N, k + kBlock);
    first.clear();
    for (; k < end && samples.row[static_cast<std::size_t>(k)] < offset + d.size(); ++k) {
      const Index i = samples.row[static_cast<std::size_t>(k)] - offset;
      const Index early =
          std::min(samples.row[static_cast<std::size_t>(std::min(k + kEarly, N - 1))] - offset, d.size() - 1);
      prefetch(&d.next(0, early), ds);
      prefetch(d.terms.data() + early * d.terms.rows(), d.terms.rows());
      prefetch(&d.x(0, i), n);  // read after the block's other numbers
      prefetch(&r.z(0, k), r.z.rows());
      first.push_back(i * n);
      r.cost[k] = cost_of(d, i, active, options.monte_carlo);
      if (next_map) next_states.col(k - begin) = d.next.col(i);
    }
    const Index count = k - begin;
    whiten_chosen(H, d.x, first, r.z.middleCols(begin, count));
    gram.add(r.z.middleCols(begin, count), r.weight.segment(begin, count));
    if (!next_map) continue;
    next.topRows(count) = next_states.leftCols(count).transpose();
    whiten_rows(*next_map, next.topRows(count));
    r.next.middleRows(begin, count) = next.topRows(count);
  }

  r.factor = gram.gram();
  r.factor.diagonal().tail(r.factor.cols() - 1).array() += options.ridge;
  return cholesky(r.factor);
}

std::optional<QuadraticFit> fit_quadratics(const Regression& r, VectorIn target, Index ds, double ridge) {
  // Centred targets: the constant is not penalised, so this changes rounding only (targets reach 1e8).
  const double mean = r.weight.dot(target);
  const VectorXd weighted = r.weight.array() * (target.array() - mean);
  const double variance = weighted.dot(target - VectorXd::Constant(target.size(), mean));
  const VectorXd rhs = feature_sum(weighted_moments(r.z, r.n, weighted));
  // Q by L L'q = rhs. The features of the state come first, so V needs only the leading part of L and of L^-1 rhs.
  const Index p = feature_count(r.n), state = feature_count(ds);
  const VectorXd half = r.factor.topRows(p).triangularView<Eigen::Lower>().solve(rhs);
  VectorXd q = r.factor.topRows(p).triangularView<Eigen::Lower>().transpose().solve(half);
  VectorXd v = r.factor.topLeftCorner(state, state).triangularView<Eigen::Lower>().transpose().solve(half.head(state));
  if (!q.allFinite() || !v.allFinite() || !std::isfinite(mean)) return std::nullopt;

  // sum_k w_k (y_k - q'phi_k)^2 = variance - 2 q'rhs + q'gram q, and gram q = rhs - ridge (q without its constant).
  const double error = variance - q.dot(rhs) - ridge * q.tail(q.size() - 1).squaredNorm();
  QuadraticFit fit;
  fit.r2 = variance > 0 ? 1.0 - error / variance : 1.0;
  q[0] += mean;
  v[0] += mean;
  fit.q = quadratic_from_features(q, r.n);
  fit.v = quadratic_from_features(v, ds);
  return fit;
}

std::optional<QuadraticFit> fit_step(const Regression& regression, Index ds, const RegressionOptions& options,
                                     const Quadratic* next_v, const ValueBounds& next_bounds) {
  VectorXd target = -regression.cost;
  double bounded = 0.0;
  if (const double gamma = options.discount; next_v && !options.monte_carlo && gamma > 0.0) {
    add_values({gamma * next_v->c, gamma * next_v->g, gamma * next_v->H}, regression.next, target);
    bounded = bound_targets(regression, {gamma * next_bounds.low, gamma * next_bounds.high}, target);
  }
  auto fit = fit_quadratics(regression, target, ds, options.ridge);
  if (fit) fit->bounded = bounded;
  return fit;
}

}  // namespace kedge
