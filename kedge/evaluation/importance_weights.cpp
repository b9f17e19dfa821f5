#include "kedge/evaluation/importance_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kedge/core/parallel.h"

namespace kedge {

namespace {

// Rows are evaluated in blocks of this size, counted from the first row of an epoch's data: block boundaries, and with them
// every rounding error, depend on the data alone.
constexpr Index kBlock = 256;

/// A density this far below the largest one (in nats) adds less than rounding to a sum of them.
constexpr double kNegligible = 45.0;

/// log z of rows [first, first + count) under one component. @param z scratch [kBlock, dim]  @param out [count]
void log_density(const Whitening& component, const MatrixXd& x, Index first, Index count, Eigen::ArrayXd& z,
                 Eigen::Ref<Eigen::ArrayXd> out) {
  out.setConstant(component.log_normaliser);
  for (Index i = 0; i < component.dim(); ++i) {
    auto zi = z.head(count);
    zi = component.W(i, 0) * x.col(0).segment(first, count).array() - component.b[i];
    for (Index j = 1; j <= i; ++j) zi += component.W(i, j) * x.col(j).segment(first, count).array();
    out -= 0.5 * zi.square();
  }
}

/// For rows [first, first + count): log_z [count, T] of every component, and their log-sum-exp over components.
void log_mixture(const std::vector<Whitening>& components, const MatrixXd& x, Index first, Index count,
                 Eigen::Ref<MatrixXd> log_z, Eigen::Ref<VectorXd> log_sum) {
  const Index T = static_cast<Index>(components.size());
  Eigen::ArrayXd z(kBlock), top = Eigen::ArrayXd::Constant(count, -std::numeric_limits<double>::infinity());
  for (Index t = 0; t < T; ++t) {
    log_density(components[static_cast<std::size_t>(t)], x, first, count, z, log_z.col(t).array());
    top = top.max(log_z.col(t).array());
  }
  Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(count);
  for (Index t = 0; t < T; ++t) {
    auto below = z.head(count);
    below = log_z.col(t).array() - top;
    if (below.maxCoeff() > -kNegligible) sum += below.exp();
  }
  log_sum = top + sum.log();
}

/// log sum_j exp(terms_j + log_share_j), row by row.
VectorXd log_sum_exp(const std::deque<VectorXd>& terms, const std::vector<double>& log_share) {
  Eigen::ArrayXd top = terms[0].array() + log_share[0];
  for (std::size_t j = 1; j < terms.size(); ++j) top = top.max(terms[j].array() + log_share[j]);
  Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(top.size());
  for (std::size_t j = 0; j < terms.size(); ++j) sum += (terms[j].array() + log_share[j] - top).exp();
  return top + sum.log();
}

/// log z of every row at its own step.
VectorXd log_density_own_step(const std::vector<Whitening>& components, const Transitions& d) {
  Eigen::ArrayXd z(d.per_step);
  VectorXd out(d.size());
  for (std::size_t t = 0; t < components.size(); ++t) {
    const Index first = static_cast<Index>(t) * d.per_step;
    log_density(components[t], d.x, first, d.per_step, z, out.segment(first, d.per_step).array());
  }
  return out;
}

}  // namespace

WeightedSamples select_samples(VectorIn log_weight, double cutoff) {
  const Index n = log_weight.size();
  WeightedSamples samples;
  const double top = n > 0 ? log_weight.maxCoeff() : -std::numeric_limits<double>::infinity();
  if (!std::isfinite(top)) return samples;

  // Half of the allowance goes to whatever is below (cutoff / 2n) of the largest weight: no exponential is taken of those.
  const double floor = cutoff > 0 ? top + std::log(0.5 * cutoff / static_cast<double>(n)) : top - 700.0;
  std::vector<Index> row;
  for (Index i = 0; i < n; ++i)
    if (log_weight[i] >= floor) row.push_back(i);
  Eigen::ArrayXd w(static_cast<Index>(row.size()));
  for (Index i = 0; i < w.size(); ++i) w[i] = log_weight[row[static_cast<std::size_t>(i)]] - top;
  const Eigen::ArrayXd log_w = w;
  w = w.exp();
  const double total = w.sum();
  samples.effective = total * total / w.square().sum();

  // The other half to the lightest of the rest, by a histogram of log weights: no sorting.
  constexpr int bins = 256;
  const double width = (top - floor) / bins;
  const auto bin = [&](Index i) { return std::clamp(static_cast<int>(-log_w[i] / width), 0, bins - 1); };
  std::vector<double> mass(bins, 0.0);
  for (Index i = 0; i < w.size(); ++i) mass[static_cast<std::size_t>(bin(i))] += w[i];
  int last = bins - 1;
  double dropped = 0.0;
  while (last > 0 && dropped + mass[static_cast<std::size_t>(last)] <= 0.5 * cutoff * total)
    dropped += mass[static_cast<std::size_t>(last--)];

  std::vector<double> kept;
  for (Index i = 0; i < w.size(); ++i) {
    if (bin(i) > last) continue;
    samples.row.push_back(row[static_cast<std::size_t>(i)]);
    kept.push_back(w[i]);
  }
  samples.weight = Eigen::Map<const VectorXd>(kept.data(), static_cast<Index>(kept.size()));
  const double kept_total = samples.weight.sum();
  samples.weight /= kept_total;
  samples.left_out = std::max(0.0, (total - kept_total) / total);
  return samples;
}

void SampleReuse::push(const Epoch& epoch, int threads) {
  const bool past_counts = reuse_ == Reuse::iterations || reuse_ == Reuse::time_and_iterations;
  while (static_cast<int>(data_.size()) >= (past_counts ? window_ : 1)) {
    data_.pop_front();
    density_.pop_front();
    log_z_.pop_front();
    log_weight_.pop_front();
    for (auto& of_data : log_z_)
      if (!of_data.empty()) of_data.pop_front();
  }
  data_.push_back(transitions(epoch.batch));
  log_z_.emplace_back();
  log_weight_.emplace_back();
  density_.emplace_back();
  if (reuse_ == Reuse::none) return;

  const int T = epoch.batch.horizon;
  for (int t = 0; t < T; ++t) density_.back().push_back(whitening(epoch.rho[static_cast<std::size_t>(t)], epoch.policy[t]));

  // The missing entries of log_z_: the new data under the old densities, all data under the new ones.
  struct Job {
    std::size_t data, density;
    Index first, count;
  };
  std::vector<Job> jobs;
  const auto add_jobs = [&](std::size_t d, std::size_t e) {
    log_z_[d].emplace_back(data_[d].size());
    for (Index first = 0; first < data_[d].size(); first += kBlock)
      jobs.push_back({d, e, first, std::min(kBlock, data_[d].size() - first)});
  };
  const std::size_t newest = data_.size() - 1;
  for (std::size_t e = 0; e < newest; ++e) add_jobs(newest, e);
  for (std::size_t d = 0; d <= newest; ++d) add_jobs(d, newest);

  if (reuse_ == Reuse::iterations) {
    for (std::size_t e = 0; e <= newest; ++e) log_z_[newest][e] = log_density_own_step(density_[e], data_[newest]);
    for (std::size_t d = 0; d < newest; ++d) log_z_[d][newest] = log_density_own_step(density_[newest], data_[d]);
    for (std::size_t d = 0; d <= newest; ++d) log_weight_[d] = log_z_[d][newest];
  } else {
    for (std::size_t d = 0; d <= newest; ++d) log_weight_[d].resize(data_[d].size(), T);
    parallel_for(static_cast<Index>(jobs.size()), threads, [&](Index i) {
      const Job& job = jobs[static_cast<std::size_t>(i)];
      auto log_sum = log_z_[job.data][job.density].segment(job.first, job.count);
      if (job.density == newest) {
        log_mixture(density_[job.density], data_[job.data].x, job.first, job.count,
                    log_weight_[job.data].middleRows(job.first, job.count), log_sum);
      } else {
        MatrixXd scratch(job.count, T);
        log_mixture(density_[job.density], data_[job.data].x, job.first, job.count, scratch, log_sum);
      }
    });
  }

  // Numerator minus denominator. Each epoch's densities count as often as it has rollouts.
  std::vector<double> log_share;
  for (const Transitions& d : data_) log_share.push_back(std::log(static_cast<double>(d.per_step)));
  parallel_for(static_cast<Index>(data_.size()), threads, [&](Index d) {
    const auto i = static_cast<std::size_t>(d);
    log_weight_[i].colwise() -= log_sum_exp(log_z_[i], log_share);
  });
}

WeightedSamples SampleReuse::samples(int t) const {
  const Transitions& own = data_.back();
  const Index step = static_cast<Index>(t);
  if (reuse_ == Reuse::none) {
    WeightedSamples samples;
    samples.row.resize(static_cast<std::size_t>(own.per_step));
    std::iota(samples.row.begin(), samples.row.end(), step * own.per_step);
    samples.weight = VectorXd::Constant(own.per_step, 1.0 / static_cast<double>(own.per_step));
    samples.effective = static_cast<double>(own.per_step);
    return samples;
  }
  Index n = 0;
  for (const Transitions& d : data_) n += d.size();
  if (reuse_ == Reuse::iterations) {
    // Other steps' samples are no candidates: the rows of step t are scattered over the epochs.
    VectorXd log_weight = VectorXd::Constant(n, -std::numeric_limits<double>::infinity());
    Index offset = 0;
    for (std::size_t d = 0; d < data_.size(); ++d) {
      const Index first = step * data_[d].per_step, count = data_[d].per_step;
      log_weight.segment(offset + first, count) = log_weight_[d].col(0).segment(first, count);
      offset += data_[d].size();
    }
    return select_samples(log_weight, cutoff_);
  }
  VectorXd log_weight(n);
  Index offset = 0;
  for (std::size_t d = 0; d < data_.size(); ++d) {
    log_weight.segment(offset, data_[d].size()) = log_weight_[d].col(step);
    offset += data_[d].size();
  }
  return select_samples(log_weight, cutoff_);
}

}  // namespace kedge
