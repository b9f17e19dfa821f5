#include "kedge/evaluation/importance_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kedge/core/parallel.h"

namespace kedge {

namespace {

/// Samples are evaluated in tiles of this many, counted from the first sample of an epoch (the last tile padded): every
/// rounding error depends on the data alone.
constexpr Index kTile = 32;
using TileArray = Eigen::Array<double, kTile, 1>;
using TileMatrix = Eigen::Array<double, kTile, Eigen::Dynamic>;

/// Eight doubles, in one register where the machine has such.
using Lanes = double __attribute__((vector_size(64)));
constexpr Index kLanes = 8;
static_assert(kTile == 4 * kLanes, "log_density keeps a tile in four registers");

/// A density this far below the largest one (in nats) adds less than rounding to a sum of them.
constexpr double kNegligible = 45.0;

/// Samples [first, first + kTile) of x [samples, n], those beyond the end zero.
TileMatrix load_tile(const MatrixXd& x, Index first) {
  TileMatrix tile = TileMatrix::Zero(kTile, x.cols());
  const Index count = std::min(kTile, x.rows() - first);
  tile.topRows(count) = x.middleRows(first, count).array();
  return tile;
}

/// log z of a tile of samples under one component: log_normaliser - |W x - b|^2 / 2.
void log_density(const Whitening& component, const TileMatrix& tile, Eigen::Ref<TileArray> log_z) {
  const auto lanes = [](const double* p, Index l) {
    Lanes v;
    std::memcpy(&v, p + l * kLanes, sizeof v);
    return v;
  };
  const Index n = component.dim();
  const double *W = component.W.data(), *x = tile.data();
  Lanes q0{}, q1{}, q2{}, q3{};
  for (Index i = 0; i < n; ++i) {
    Lanes z0 = Lanes{} - component.b[i], z1 = z0, z2 = z0, z3 = z0;
    for (Index j = 0; j <= i; ++j) {
      const double w = W[i + j * n];
      const double* xj = x + j * kTile;
      z0 += w * lanes(xj, 0);
      z1 += w * lanes(xj, 1);
      z2 += w * lanes(xj, 2);
      z3 += w * lanes(xj, 3);
    }
    q0 += z0 * z0;
    q1 += z1 * z1;
    q2 += z2 * z2;
    q3 += z3 * z3;
  }
  const Lanes square[] = {q0, q1, q2, q3};
  std::memcpy(log_z.data(), square, sizeof square);
  log_z = component.log_normaliser - 0.5 * log_z;
}

/// log z of a tile under each of T components, one a column, and the log of their sum.
TileArray log_mixture(const std::vector<Whitening>& components, const TileMatrix& x, TileMatrix& log_z) {
  const auto T = static_cast<Index>(components.size());
  TileArray top = TileArray::Constant(-std::numeric_limits<double>::infinity());
  for (Index t = 0; t < T; ++t) {
    log_density(components[static_cast<std::size_t>(t)], x, log_z.col(t));
    top = top.max(log_z.col(t));
  }
  TileArray sum = TileArray::Zero();
  for (Index t = 0; t < T; ++t) {
    const TileArray below = log_z.col(t) - top;
    if (below.maxCoeff() > -kNegligible) sum += below.exp();
  }
  return top + sum.log();
}

/// log sum_j exp(terms_j + log_share_j) of rows [first, first + count).
VectorXd log_sum_exp(const std::deque<VectorXd>& terms, const std::vector<double>& log_share, Index first,
                     Index count) {
  const auto term = [&](std::size_t j) { return terms[j].segment(first, count).array() + log_share[j]; };
  Eigen::ArrayXd top = term(0), sum = Eigen::ArrayXd::Zero(count);
  for (std::size_t j = 1; j < terms.size(); ++j) top = top.max(term(j));
  for (std::size_t j = 0; j < terms.size(); ++j) sum += (term(j) - top).exp();
  return top + sum.log();
}

/// select_samples of rows that come in chunks.
/// @param chunk_first [chunks + 1] first row of each chunk, and the number of rows  @param chunk_top [chunks] their maxima
WeightedSamples select_from_chunks(VectorIn log_weight, const std::vector<Index>& chunk_first, VectorIn chunk_top,
                                   double cutoff) {
  WeightedSamples samples;
  const double top = chunk_top.size() > 0 ? chunk_top.maxCoeff() : -std::numeric_limits<double>::infinity();
  if (!std::isfinite(top)) return samples;

  // Half of the allowance goes to whatever is below (cutoff / 2n) of the largest weight: no exponential is taken of those.
  const auto n = static_cast<double>(log_weight.size());
  const double floor = cutoff > 0 ? top + std::log(0.5 * cutoff / n) : top - 700.0;
  Index candidates = 0;
  for (Index c = 0; c < chunk_top.size(); ++c)
    if (!(chunk_top[c] < floor))
      candidates += chunk_first[static_cast<std::size_t>(c) + 1] - chunk_first[static_cast<std::size_t>(c)];
  std::vector<Index> row(static_cast<std::size_t>(candidates));
  Eigen::ArrayXd w(candidates);  // weights relative to the largest; first their logarithms
  Index count = 0;
  for (Index c = 0; c < chunk_top.size(); ++c) {
    if (chunk_top[c] < floor) continue;
    const auto chunk = static_cast<std::size_t>(c);
    for (Index i = chunk_first[chunk]; i < chunk_first[chunk + 1]; ++i) {  // without a branch on the weight
      row[static_cast<std::size_t>(count)] = i;
      w[count] = log_weight[i] - top;
      count += !(log_weight[i] < floor);
    }
  }
  w.conservativeResize(count);
  constexpr double bins = 256;
  const Eigen::ArrayXi bin = (w * (bins / (floor - top))).min(bins - 1).cast<int>();  // 0: the heaviest
  w = w.exp();
  const double total = w.sum();
  samples.effective = total * total / w.square().sum();

  // The other half to the lightest of the rest, by a histogram of log weights: no sorting.
  std::array<double, static_cast<std::size_t>(bins)> mass{};
  for (Index i = 0; i < w.size(); ++i) mass[static_cast<std::size_t>(bin[i])] += w[i];
  int last = static_cast<int>(bins) - 1;
  double dropped = 0.0;
  while (last > 0 && dropped + mass[static_cast<std::size_t>(last)] <= 0.5 * cutoff * total)
    dropped += mass[static_cast<std::size_t>(last--)];

  Index kept = 0;
  for (Index i = 0; i < count; ++i) {
    row[static_cast<std::size_t>(kept)] = row[static_cast<std::size_t>(i)];
    w[kept] = w[i];
    kept += bin[i] <= last;
  }
  samples.row.assign(row.begin(), row.begin() + kept);
  samples.weight = w.head(kept);
  const double kept_total = samples.weight.sum();
  samples.weight /= kept_total;
  samples.left_out = std::max(0.0, (total - kept_total) / total);
  return samples;
}

}  // namespace

WeightedSamples select_samples(VectorIn log_weight, double cutoff) {
  constexpr Index chunk = 64;
  const Index n = log_weight.size();
  std::vector<Index> first;
  VectorXd top((n + chunk - 1) / chunk);
  for (Index c = 0; c < top.size(); ++c) {
    first.push_back(c * chunk);
    top[c] = log_weight.segment(c * chunk, std::min(chunk, n - c * chunk)).maxCoeff();
  }
  first.push_back(n);
  return select_from_chunks(log_weight, first, top, cutoff);
}

void SampleReuse::push(const Epoch& epoch, int threads) {
  const bool past_counts = reuse_ == Reuse::iterations || reuse_ == Reuse::time_and_iterations;
  while (static_cast<int>(data_.size()) >= (past_counts ? window_ : 1)) {
    data_.pop_front();
    density_.pop_front();
    log_z_.pop_front();
    for (auto& of_data : log_z_) of_data.pop_front();
  }
  data_.push_back(transitions(epoch.batch));
  density_.emplace_back();
  for (int t = 0; t < epoch.batch.horizon; ++t)
    density_.back().push_back(whitening(epoch.rho[static_cast<std::size_t>(t)], epoch.policy[t]));
  log_z_.emplace_back();

  // Missing: the new data under the old densities, all data under the new ones.
  const std::size_t newest = data_.size() - 1;
  for (std::size_t d = 0; d <= newest; ++d)
    while (log_z_[d].size() <= newest) log_z_[d].emplace_back(data_[d].size());
  if (reuse_ == Reuse::iterations)
    push_own_step();
  else if (reuse_ != Reuse::none)
    push_over_time(threads);
}

void SampleReuse::push_over_time(int threads) {
  struct Tile {
    std::size_t data;
    Index first, row;  // within the data, within all samples
  };
  std::vector<Tile> tiles;
  std::vector<double> log_share;  // each epoch's densities count as often as it has rollouts
  Index rows = 0;
  for (std::size_t d = 0; d < data_.size(); ++d) {
    for (Index first = 0; first < data_[d].size(); first += kTile) tiles.push_back({d, first, rows + first});
    rows += data_[d].size();
    log_share.push_back(std::log(static_cast<double>(data_[d].per_step)));
  }
  const auto T = static_cast<Index>(density_.back().size());
  const std::size_t newest = data_.size() - 1;
  log_weight_.resize(rows, T);
  tile_top_.resize(static_cast<Index>(tiles.size()), T);
  tile_first_.clear();
  for (const Tile& tile : tiles) tile_first_.push_back(tile.row);
  tile_first_.push_back(rows);
  parallel_for(static_cast<Index>(tiles.size()), threads, [&](Index i) {
    const Tile& tile = tiles[static_cast<std::size_t>(i)];
    const Index count = std::min(kTile, data_[tile.data].size() - tile.first);
    const TileMatrix x = load_tile(data_[tile.data].x, tile.first);
    TileMatrix log_z(kTile, T);
    for (std::size_t e = tile.data == newest ? 0 : newest; e <= newest; ++e)
      log_z_[tile.data][e].segment(tile.first, count) = log_mixture(density_[e], x, log_z).head(count).matrix();
    // log_z now holds the newest epoch's densities, the numerators
    const VectorXd denominator = log_sum_exp(log_z_[tile.data], log_share, tile.first, count);
    for (Index t = 0; t < T; ++t) {
      auto log_w = log_z.col(t).head(count);
      log_w -= denominator.array();
      log_weight_.col(t).segment(tile.row, count) = log_w;
      tile_top_(i, t) = log_w.maxCoeff();
    }
  });
}

void SampleReuse::push_own_step() {
  const std::size_t newest = data_.size() - 1;
  std::vector<double> log_share;
  Index rows = 0;
  for (const Transitions& d : data_) {
    log_share.push_back(std::log(static_cast<double>(d.per_step)));
    rows += d.size();
  }
  log_weight_.resize(rows, 1);
  Index offset = 0;
  for (std::size_t d = 0; d <= newest; ++d) {
    const Index M = data_[d].per_step;
    for (std::size_t e = d == newest ? 0 : newest; e <= newest; ++e)
      for (Index t = 0; t < static_cast<Index>(density_[e].size()); ++t)
        for (Index first = t * M; first < (t + 1) * M; first += kTile) {
          const Index count = std::min(kTile, (t + 1) * M - first);
          TileArray log_z;
          log_density(density_[e][static_cast<std::size_t>(t)], load_tile(data_[d].x, first), log_z);
          log_z_[d][e].segment(first, count) = log_z.head(count).matrix();
        }
    const Index n = data_[d].size();
    log_weight_.col(0).segment(offset, n) = log_z_[d][newest] - log_sum_exp(log_z_[d], log_share, 0, n);
    offset += n;
  }
}

WeightedSamples SampleReuse::samples(int t) const {
  if (reuse_ == Reuse::time || reuse_ == Reuse::time_and_iterations)
    return select_from_chunks(log_weight_.col(t), tile_first_, tile_top_.col(t), cutoff_);

  // Only the samples of step t are candidates: M rows in each epoch.
  std::vector<Index> row;
  Index offset = 0;
  for (const Transitions& d : data_) {
    for (Index m = 0; m < d.per_step; ++m) row.push_back(offset + t * d.per_step + m);
    offset += d.size();
  }
  WeightedSamples samples;
  if (reuse_ == Reuse::iterations) {
    samples = select_samples(VectorXd(log_weight_(row, 0)), cutoff_);
    for (Index& selected : samples.row) selected = row[static_cast<std::size_t>(selected)];
  } else {
    samples.weight = VectorXd::Constant(static_cast<Index>(row.size()), 1.0 / static_cast<double>(row.size()));
    samples.effective = static_cast<double>(row.size());
    samples.row = std::move(row);
  }
  return samples;
}

}  // namespace kedge
