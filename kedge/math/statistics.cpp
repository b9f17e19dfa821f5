#include "kedge/math/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kedge/core/random.h"

namespace kedge {

namespace {

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> v(values.begin(), values.end());
  std::sort(v.begin(), v.end());
  return v;
}

double sorted_quantile(const std::vector<double>& v, double p) {
  const double position = p * static_cast<double>(v.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, v.size() - 1);
  const double part = position - static_cast<double>(below);
  if (v[below] == -std::numeric_limits<double>::infinity()) return v[below];  // not -inf + inf
  return part == 0.0 || v[below] == v[above] ? v[below] : v[below] + part * (v[above] - v[below]);
}

}  // namespace

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
  if (values.size() < 2) return 0.0;
  const double m = mean(values);
  double sum = 0.0;
  for (const double v : values) sum += (v - m) * (v - m);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double population_standard_deviation(std::span<const double> values) {
  const double m = mean(values), n = static_cast<double>(values.size());
  double variance = 0.0;
  for (const double v : values) variance += (v - m) * (v - m) / n;
  return std::sqrt(variance);
}

double minimum(std::span<const double> values) { return *std::min_element(values.begin(), values.end()); }

double maximum(std::span<const double> values) { return *std::max_element(values.begin(), values.end()); }

double quantile(std::span<const double> values, double p) { return sorted_quantile(sorted(values), p); }

double median(std::span<const double> values) {
  const std::vector<double> v = sorted(values);
  const std::size_t half = v.size() / 2;
  if (v.size() % 2 == 1) return v[half];
  if (v[half - 1] == -std::numeric_limits<double>::infinity()) return v[half - 1];  // not -inf + inf
  return std::midpoint(v[half - 1], v[half]);
}

double interquartile_mean(std::span<const double> values) {
  const std::vector<double> v = sorted(values);
  // The i-th of n sorted values occupies [i, i+1] on an axis of length n; the middle half is [n/4, 3n/4].
  const double n = static_cast<double>(v.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double left = std::max(static_cast<double>(i), n / 4);
    const double right = std::min(static_cast<double>(i + 1), 3 * n / 4);
    if (right > left) sum += (right - left) * v[i];
  }
  return sum / (n / 2);
}

Interval bootstrap_interval(const std::vector<std::vector<double>>& strata, const Statistic& statistic, double level,
                            int resamples, std::uint64_t seed) {
  std::vector<double> sample, found;
  found.reserve(static_cast<std::size_t>(resamples));
  for (int b = 0; b < resamples; ++b) {
    sample.clear();
    for (std::size_t k = 0; k < strata.size(); ++k) {
      Stream draw(seed, static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(k), 0);
      const std::size_t n = strata[k].size();
      for (std::size_t i = 0; i < n; ++i) {
        const auto j = static_cast<std::size_t>(draw.uniform() * static_cast<double>(n));
        sample.push_back(strata[k][std::min(j, n - 1)]);
      }
    }
    found.push_back(statistic(sample));
  }
  std::sort(found.begin(), found.end());
  return {sorted_quantile(found, (1 - level) / 2), sorted_quantile(found, (1 + level) / 2)};
}

Interval wilson_interval(double share, std::size_t trials) {
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(trials);
  const double scale = 1.0 / (1.0 + z * z / n), centre = scale * (share + z * z / (2 * n));
  const double half = scale * z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {share <= 0.0 ? 0.0 : centre - half, share >= 1.0 ? 1.0 : centre + half};
}

}  // namespace kedge
