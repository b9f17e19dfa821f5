// Statistics of samples. Pure functions; the input need not be sorted. Sums run in the order of the input.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace kedge {

/// Returns the arithmetic mean. @param values not empty
double mean(std::span<const double> values);

/// Returns the standard deviation of a sample (divisor n - 1); 0 for a single value. @param values not empty
double standard_deviation(std::span<const double> values);

/// Returns the standard deviation of the values themselves (divisor n). @param values not empty
double population_standard_deviation(std::span<const double> values);

/// Returns the smallest value. @param values not empty
double minimum(std::span<const double> values);

/// Returns the largest value. @param values not empty
double maximum(std::span<const double> values);

/// Returns the quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan, NumPy's default).
/// -infinity and a larger value have the quantile -infinity between them. @param values not empty  @param p in [0, 1]
double quantile(std::span<const double> values, double p);

/// Returns the median: the value in the middle, or the midpoint of the two there. -infinity and a larger value have the
/// midpoint -infinity. @param values not empty
double median(std::span<const double> values);

/// Returns the interquartile mean: the mean of the middle half, where values on its edges count by the part that is
/// inside [Agarwal2021]. It is less noisy than the median and less sensitive to outliers than the mean.
/// @param values not empty
double interquartile_mean(std::span<const double> values);

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// A statistic of one or more samples, e.g. of the runs of one task.
using Statistic = std::function<double(std::span<const double>)>;

/// Returns the percentile-bootstrap confidence interval of `statistic` of all values, resampled within each stratum
/// [Agarwal2021]. Deterministic: the resamples depend only on `seed` and on the sizes of the strata.
/// @param strata  not empty, none of them empty; one stratum: the ordinary bootstrap
/// @param level in (0, 1)  @param resamples >= 1
/// @return the point itself where every stratum holds one value: one run says nothing about the spread
Interval bootstrap_interval(const std::vector<std::vector<double>>& strata, const Statistic& statistic,
                            double level = 0.95, int resamples = 2000, std::uint64_t seed = 0);

/// Returns the 95 % Wilson score interval of a share [Wilson1927]: where the true share of a Bernoulli variable is, of whose
/// trials this share succeeded. Unlike the bootstrap it has a width where all succeeded. Also of the mean of other variables
/// in [0, 1], whose variance is at most that of a Bernoulli variable of the same mean: it is then rather too wide.
/// @param share in [0, 1]  @param trials >= 1
Interval wilson_interval(double share, std::size_t trials);

}  // namespace kedge
