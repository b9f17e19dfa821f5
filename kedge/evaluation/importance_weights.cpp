#include "kedge/evaluation/importance_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "kedge/core/parallel.h"
#include "kedge/math/log_mixture.h"

namespace kedge {

namespace {

const TileArray kAnything = TileArray::Constant(-std::numeric_limits<double>::infinity());

/// log sum_j exp(terms_j + log_share_j) of rows [first, first + count).
VectorXd log_sum_exp(const std::deque<VectorXd>& terms, const std::vector<double>& log_share, Index first,
                     Index count) {
  const auto term = [&](std::size_t j) { return terms[j].segment(first, count).array() + log_share[j]; };
  Eigen::ArrayXd top = term(0), sum = Eigen::ArrayXd::Zero(count);
  for (std::size_t j = 1; j < terms.size(); ++j) top = top.max(term(j));
  for (std::size_t j = 0; j < terms.size(); ++j) sum += (term(j) - top).exp();
  return top + sum.log();
}

/// What is below this is not looked at: half of the share that may be left out, spread over all n.
double negligible_below(double top, Index n, double cutoff) {
  return cutoff > 0 ? top + std::log(0.5 * cutoff / static_cast<double>(n)) : top - 700.0;
}

/// select_samples of the given rows and logarithms of weights, the largest of which is `top`; none below `floor` counts.
WeightedSamples select_above(std::vector<Index> row, Eigen::ArrayXd w, double top, double floor, double cutoff) {
  Index count = 0;
  for (Index i = 0; i < w.size(); ++i) {  // without a branch on the weight
    row[static_cast<std::size_t>(count)] = row[static_cast<std::size_t>(i)];
    const bool counts = !(w[i] < floor);
    w[count] = w[i] - top;
    count += counts;
  }
  w.conservativeResize(count);
  constexpr double kBins = 256;
  const Eigen::ArrayXi bin = (w * (kBins / (floor - top))).min(kBins - 1).cast<int>();  // 0: the heaviest
  w = w.exp();
  const double total = w.sum();
  WeightedSamples samples;
  samples.effective = total * total / w.square().sum();

  // The other half to the lightest of the rest, by a histogram of log weights: no sorting.
  std::array<double, static_cast<std::size_t>(kBins)> mass{};
  for (Index i = 0; i < w.size(); ++i) mass[static_cast<std::size_t>(bin[i])] += w[i];
  int last = static_cast<int>(kBins) - 1;
  double dropped = 0.0;
  while (last > 0 && dropped + mass[static_cast<std::size_t>(last)] <= 0.5 * cutoff * total)
    dropped += mass[static_cast<std::size_t>(last--)];

  Index kept = 0;
  for (Index i = 0; i < count; ++i) {
    row[static_cast<std::size_t>(kept)] = row[static_cast<std::size_t>(i)];
    w[kept] = w[i];
    kept += bin[i] <= last;
  }
  row.resize(static_cast<std::size_t>(kept));
  samples.row = std::move(row);
  samples.weight = w.head(kept);
  const double kept_total = samples.weight.sum();
  samples.weight /= kept_total;
  samples.left_out = std::max(0.0, (total - kept_total) / total);
  return samples;
}

}  // namespace

WeightedSamples select_samples(VectorIn log_weight, double cutoff) {
  const Index n = log_weight.size();
  const double top = n > 0 ? log_weight.maxCoeff() : -std::numeric_limits<double>::infinity();
  if (!std::isfinite(top)) return {};
  std::vector<Index> row(static_cast<std::size_t>(n));
  std::iota(row.begin(), row.end(), Index{0});
  return select_above(std::move(row), log_weight, top, negligible_below(top, n, cutoff), cutoff);
}

// ---- The kinds of reuse ---------------------------------------------------------------------------------------------

class ReuseWeights {
 public:
  virtual ~ReuseWeights() = default;
  /// The oldest epoch is about to be dropped.
  virtual void forget_oldest() = 0;
  /// The newest epoch has been added.
  virtual void push(const StoredEpochs& stored, int threads) = 0;
  [[nodiscard]] virtual WeightedSamples samples(const StoredEpochs& stored, int t, double cutoff) const = 0;
};

namespace {

/// Rows of the samples of step t in every epoch.
std::vector<Index> rows_of_step(const std::deque<Transitions>& data, int t) {
  std::vector<Index> row;
  Index offset = 0;
  for (const Transitions& d : data) {
    for (Index m = 0; m < d.per_step; ++m) row.push_back(offset + t * d.per_step + m);
    offset += d.size();
  }
  return row;
}

/// Log densities of each epoch's samples under each epoch's policy.
class DensityTable {
 public:
  void forget_oldest() {
    log_z_.pop_front();
    for (auto& of_data : log_z_) of_data.pop_front();
  }
  /// Adds places for the newest data under all epochs, and for all data under the newest epoch: those are to be filled.
  void grow(const std::deque<Transitions>& data) {
    log_z_.emplace_back();
    for (std::size_t d = 0; d < data.size(); ++d)
      while (log_z_[d].size() < data.size()) log_z_[d].emplace_back(data[d].size());
  }
  /// The first epoch whose densities of data d are missing after `grow`.
  [[nodiscard]] std::size_t first_missing(std::size_t d) const {
    return d + 1 == log_z_.size() ? 0 : log_z_.size() - 1;
  }
  [[nodiscard]] std::deque<VectorXd>& operator[](std::size_t d) { return log_z_[d]; }

 private:
  std::deque<std::deque<VectorXd>> log_z_;  // [data][epoch]
};

/// Each epoch's densities count as often as it has rollouts.
std::vector<double> log_shares(const std::deque<Transitions>& data) {
  std::vector<double> log_share;
  for (const Transitions& d : data) log_share.push_back(std::log(static_cast<double>(d.per_step)));
  return log_share;
}

Index count_rows(const std::deque<Transitions>& data) {
  Index rows = 0;
  for (const Transitions& d : data) rows += d.size();
  return rows;
}

/// Reuse::none: the samples of step t weigh the same.
class EqualWeights final : public ReuseWeights {
 public:
  void forget_oldest() override {}
  void push(const StoredEpochs&, int) override {}
  [[nodiscard]] WeightedSamples samples(const StoredEpochs& stored, int t, double) const override {
    WeightedSamples samples;
    samples.row = rows_of_step(stored.data, t);
    const auto count = static_cast<Index>(samples.row.size());
    samples.weight = VectorXd::Constant(count, 1.0 / static_cast<double>(count));
    samples.effective = static_cast<double>(count);
    return samples;
  }
};

/// Reuse::iterations: only the samples of step t are candidates, M in each epoch.
class OwnStepWeights final : public ReuseWeights {
 public:
  void forget_oldest() override { log_z_.forget_oldest(); }
  void push(const StoredEpochs& stored, int threads) override;
  [[nodiscard]] WeightedSamples samples(const StoredEpochs& stored, int t, double cutoff) const override {
    const std::vector<Index> row = rows_of_step(stored.data, t);
    WeightedSamples samples = select_samples(VectorXd(log_weight_(row)), cutoff);
    for (Index& selected : samples.row) selected = row[static_cast<std::size_t>(selected)];
    return samples;
  }

 private:
  DensityTable log_z_;   // at the sample's own step
  VectorXd log_weight_;  // [all samples]
};

void OwnStepWeights::push(const StoredEpochs& stored, int) {
  const auto& [data, density] = stored;
  log_z_.grow(data);
  const std::vector<double> log_share = log_shares(data);
  log_weight_.resize(count_rows(data));
  Index offset = 0;
  for (std::size_t d = 0; d < data.size(); ++d) {
    const Index M = data[d].per_step;
    TileMatrix tile(kTile, data[d].x.rows());
    TileArray log_z;
    for (std::size_t e = log_z_.first_missing(d); e < data.size(); ++e)
      for (Index t = 0; t < static_cast<Index>(density[e].size()); ++t)
        for (Index first = t * M; first < (t + 1) * M; first += kTile) {
          const Index count = std::min(kTile, (t + 1) * M - first);
          load_tile(data[d].x, first, tile);
          log_density(density[e][static_cast<std::size_t>(t)], tile.data(), kAnything, log_z.data());
          log_z_[d][e].segment(first, count) = log_z.head(count).matrix();
        }
    const Index n = data[d].size();
    log_weight_.segment(offset, n) = log_z_[d].back() - log_sum_exp(log_z_[d], log_share, 0, n);
    offset += n;
  }
}

/// Reuse::time and Reuse::time_and_iterations: all stored samples are candidates at every step.
class OverTimeWeights final : public ReuseWeights {
 public:
  void forget_oldest() override {
    log_z_.forget_oldest();
    tiled_.pop_front();
  }
  void push(const StoredEpochs& stored, int threads) override;
  [[nodiscard]] WeightedSamples samples(const StoredEpochs& stored, int t, double cutoff) const override;

 private:
  struct Tile {
    std::size_t data;
    Index number, row, count;  // within the data; its first sample and how many, within all samples
  };
  [[nodiscard]] const double* samples_of(const Tile& tile, Index n) const {
    return &tiled_[tile.data](0, tile.number * n);
  }
  [[nodiscard]] VectorXd log_weights(const Tile& tile, const Whitening& density) const;

  std::deque<MatrixXd> tiled_;  // [data] x of its samples, tile by tile: [kTile, tiles n]
  DensityTable log_z_;          // over all steps: log sum_t z_t
  VectorXd log_mixture_;        // [all samples] log z^{1:i}
  std::vector<Tile> tiles_;
  // [tiles, T] No log w_t of the tile is larger. It is the largest one itself unless that is negligible against the
  // mixture, as in most tiles, which hold nothing that counts at t.
  MatrixXd tile_bound_;
};

void OverTimeWeights::push(const StoredEpochs& stored, int threads) {
  const auto& [data, density] = stored;
  const MatrixXd& x = data.back().x;
  const Index n = x.rows(), T = static_cast<Index>(density.back().size());
  log_z_.grow(data);
  tiled_.emplace_back(kTile, (x.cols() + kTile - 1) / kTile * n);
  for (Index first = 0, column = 0; first < x.cols(); first += kTile, column += n)
    load_tile(x, first, tiled_.back().middleCols(column, n));

  tiles_.clear();
  Index rows = 0;
  for (std::size_t d = 0; d < data.size(); ++d) {
    for (Index first = 0; first < data[d].size(); first += kTile)
      tiles_.push_back({d, first / kTile, rows + first, std::min(kTile, data[d].size() - first)});
    rows += data[d].size();
  }
  const std::vector<double> log_share = log_shares(data);
  log_mixture_.resize(rows);
  tile_bound_.resize(static_cast<Index>(tiles_.size()), T);
  parallel_for(static_cast<Index>(tiles_.size()), threads, [&](Index i) {
    const Tile& tile = tiles_[static_cast<std::size_t>(i)];
    const Index first = tile.number * kTile, own_step = first / data[tile.data].per_step;
    TileMatrix log_z(kTile, T);
    for (std::size_t e = log_z_.first_missing(tile.data); e < data.size(); ++e)
      log_z_[tile.data][e].segment(first, tile.count) =
          log_mixture(density[e], samples_of(tile, n), own_step, log_z).head(tile.count).matrix();
    // log_z now holds the newest epoch's densities, the numerators
    TileArray denominator = -kAnything;
    denominator.head(tile.count) = log_sum_exp(log_z_[tile.data], log_share, first, tile.count).array();
    log_mixture_.segment(tile.row, tile.count) = denominator.head(tile.count).matrix();
    for (Index t = 0; t < T; ++t) tile_bound_(i, t) = (log_z.col(t) - denominator).maxCoeff();
  });
}

VectorXd OverTimeWeights::log_weights(const Tile& tile, const Whitening& density) const {
  TileArray log_z;
  log_density(density, samples_of(tile, density.dim()), kAnything, log_z.data());
  return log_z.head(tile.count).matrix() - log_mixture_.segment(tile.row, tile.count);
}

WeightedSamples OverTimeWeights::samples(const StoredEpochs& stored, int t, double cutoff) const {
  const Whitening& density = stored.density.back()[static_cast<std::size_t>(t)];
  VectorXd bound = tile_bound_.col(t);
  double top;
  for (;;) {  // the tile with the largest bound holds the largest weight, or its bound was loose
    Index i;
    const double largest = bound.maxCoeff(&i);
    if (!std::isfinite(largest)) return {};
    top = log_weights(tiles_[static_cast<std::size_t>(i)], density).maxCoeff();
    if (!(top < largest)) break;
    bound[i] = top;
  }
  const double floor = negligible_below(top, log_mixture_.size(), cutoff);
  std::vector<Tile> used;
  Index candidates = 0;
  for (Index i = 0; i < bound.size(); ++i) {
    if (bound[i] < floor) continue;
    used.push_back(tiles_[static_cast<std::size_t>(i)]);
    candidates += used.back().count;
  }
  std::vector<Index> row(static_cast<std::size_t>(candidates));
  Eigen::ArrayXd log_weight(candidates);
  Index end = 0;
  for (const Tile& tile : used) {
    log_weight.segment(end, tile.count) = log_weights(tile, density).array();
    std::iota(row.begin() + end, row.begin() + end + tile.count, tile.row);
    end += tile.count;
  }
  return select_above(std::move(row), std::move(log_weight), top, floor, cutoff);
}

std::unique_ptr<ReuseWeights> make_weights(Reuse reuse) {
  switch (reuse) {
    case Reuse::none: return std::make_unique<EqualWeights>();
    case Reuse::iterations: return std::make_unique<OwnStepWeights>();
    case Reuse::time:
    case Reuse::time_and_iterations: break;
  }
  return std::make_unique<OverTimeWeights>();
}

}  // namespace

SampleReuse::SampleReuse(Reuse reuse, int window, double cutoff)
    : window_(reuse == Reuse::iterations || reuse == Reuse::time_and_iterations ? window : 1),
      cutoff_(cutoff),
      weights_(make_weights(reuse)) {}
SampleReuse::SampleReuse(SampleReuse&&) noexcept = default;
SampleReuse& SampleReuse::operator=(SampleReuse&&) noexcept = default;
SampleReuse::~SampleReuse() = default;

void SampleReuse::push(const Epoch& epoch, int threads) {
  while (static_cast<int>(stored_.data.size()) >= window_) {
    stored_.data.pop_front();
    stored_.density.pop_front();
    weights_->forget_oldest();
  }
  stored_.data.push_back(transitions(epoch.batch));
  stored_.density.emplace_back(static_cast<std::size_t>(epoch.batch.horizon));
  parallel_for(epoch.batch.horizon, threads, [&](Index t) {
    const auto at = static_cast<std::size_t>(t);
    stored_.density.back()[at] = whitening(epoch.rho[at], epoch.policy[static_cast<int>(t)]);
  });
  weights_->push(stored_, threads);
}

WeightedSamples SampleReuse::samples(int t) const { return weights_->samples(stored_, t, cutoff_); }

}  // namespace kedge
