// Statistics of samples, for evaluation and comparison. Pure functions; the input need not be sorted.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace kedge {

/// Arithmetic mean. @param values not empty
double mean(std::span<const double> values);

/// Sample standard deviation (divisor n - 1); 0 for a single value. @param values not empty
double standard_deviation(std::span<const double> values);

/// Quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan, as NumPy's default).
/// @param values not empty  @param p in [0, 1]
double quantile(std::span<const double> values, double p);

inline double median(std::span<const double> values) { return quantile(values, 0.5); }

/// Interquartile mean: the mean of the middle half, where values on the edge count by the part that lies inside
/// [Agarwal2021]. Less noisy than the median, less moved by outliers than the mean. @param values not empty
double interquartile_mean(std::span<const double> values);

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// A statistic of one or more samples, e.g. of the runs of one task.
using Statistic = std::function<double(std::span<const double>)>;

/// Percentile-bootstrap confidence interval of `statistic` of all values, resampled within each stratum [Agarwal2021].
/// Deterministic: the resamples depend only on `seed` and on the sizes of the strata.
/// @param strata   not empty, none of them empty; one stratum: the ordinary bootstrap
/// @param level    in (0, 1)  @param resamples >= 1
/// @return the point itself where every stratum holds one value: one run says nothing about the spread
Interval bootstrap_interval(const std::vector<std::vector<double>>& strata, const Statistic& statistic,
                            double level = 0.95, int resamples = 2000, std::uint64_t seed = 0);

}  // namespace kedge
