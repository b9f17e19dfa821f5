#include "kedge/math/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kedge/core/random.h"

namespace kedge {
namespace {

std::vector<double> normal_sample(std::uint64_t seed, int n) {
  Stream stream(seed, 0, 0, 0);
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(stream.normal());
  return values;
}

TEST(Quantile, InterpolatesAsNumPyDoes) {
  // numpy.quantile([7, 1, 3, 10, 4], p)
  const std::vector<double> v{7, 1, 3, 10, 4};
  EXPECT_DOUBLE_EQ(quantile(v, 0.0), 1);
  EXPECT_DOUBLE_EQ(quantile(v, 0.1), 1.8);
  EXPECT_DOUBLE_EQ(quantile(v, 0.25), 3);
  EXPECT_DOUBLE_EQ(quantile(v, 0.5), 4);
  EXPECT_DOUBLE_EQ(quantile(v, 0.9), 8.8);
  EXPECT_DOUBLE_EQ(quantile(v, 1.0), 10);
  EXPECT_DOUBLE_EQ(median(std::vector<double>{2, 8}), 5);
}

TEST(Quantile, OfInfiniteValuesIsNeverUndefinedAtAnOrderStatistic) {
  const double worst = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(median(std::vector<double>{worst, -3, -1}), -3);
  EXPECT_EQ(median(std::vector<double>{worst, worst, -1}), worst);
  EXPECT_EQ(median(std::vector<double>{worst, worst, worst, worst}), worst);
  EXPECT_EQ(median(std::vector<double>{worst, -3}), worst) << "between them too";
}

TEST(Median, IsTheMiddleValueOrTheMidpointOfTwo) {
  EXPECT_EQ(median(std::vector<double>{7, 1, 3}), 3);
  EXPECT_EQ(median(std::vector<double>{4}), 4);
  EXPECT_EQ(median(std::vector<double>{9, 2, 4, 1}), 3);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {  // rounded once, which interpolation by differences is not
    const std::vector<double> pair = normal_sample(seed, 2);
    EXPECT_EQ(median(pair), 0.5 * (pair[0] + pair[1]));
    EXPECT_NEAR(median(pair), quantile(pair, 0.5), 1e-15);
  }
  constexpr double largest = std::numeric_limits<double>::max();
  EXPECT_EQ(median(std::vector<double>{largest, largest}), largest);
}

TEST(StandardDeviation, OfASampleHasDivisorNMinusOne) {
  EXPECT_DOUBLE_EQ(standard_deviation(std::vector<double>{1, 3}), std::sqrt(2.0));
  EXPECT_EQ(standard_deviation(std::vector<double>{5}), 0);
}

TEST(StandardDeviation, OfAPopulationHasDivisorN) {
  EXPECT_EQ(population_standard_deviation(std::vector<double>{1, 3}), 1);
  EXPECT_EQ(population_standard_deviation(std::vector<double>{5}), 0);
  const std::vector<double> values = normal_sample(4, 30);
  EXPECT_NEAR(population_standard_deviation(values), std::sqrt(29.0 / 30.0) * standard_deviation(values), 1e-14);
}

TEST(Extremes, AreTheFirstAndLastQuantile) {
  const std::vector<double> values = normal_sample(5, 31);
  EXPECT_EQ(minimum(values), quantile(values, 0.0));
  EXPECT_EQ(maximum(values), quantile(values, 1.0));
}

TEST(InterquartileMean, IsTheMeanOfTheMiddleHalf) {
  EXPECT_DOUBLE_EQ(interquartile_mean(std::vector<double>{-100, 1, 2, 1000}), 1.5);
  // Five values: a quarter is 1.25 of them, so 1 and 7 count three quarters... and the middle one whole.
  EXPECT_DOUBLE_EQ(interquartile_mean(std::vector<double>{0, 1, 4, 7, 99}), (0.75 * 1 + 4 + 0.75 * 7) / 2.5);
  EXPECT_DOUBLE_EQ(interquartile_mean(std::vector<double>{3}), 3);
  EXPECT_DOUBLE_EQ(interquartile_mean(std::vector<double>{3, 5}), 4);
}

TEST(InterquartileMean, IsNotMovedByOutliers) {
  std::vector<double> values = normal_sample(1, 40);
  const double before = interquartile_mean(values);
  *std::min_element(values.begin(), values.end()) = -1e9;
  EXPECT_EQ(interquartile_mean(values), before);
}

TEST(Bootstrap, IsDeterministicAndCoversTheStatistic) {
  const std::vector<double> values = normal_sample(2, 20);
  const auto statistic = [](std::span<const double> v) { return mean(v); };
  const Interval a = bootstrap_interval({values}, statistic), b = bootstrap_interval({values}, statistic);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_LT(a.low, mean(values));
  EXPECT_GT(a.high, mean(values));
}

TEST(Bootstrap, OfTheMeanHasTheWidthOfTheStandardError) {
  const std::vector<double> values = normal_sample(3, 400);
  const Interval i = bootstrap_interval(
      {values}, [](auto v) { return mean(v); }, 0.95, 4000);
  EXPECT_NEAR(i.high - i.low, 2 * 1.96 * standard_deviation(values) / 20, 0.01);
}

TEST(Bootstrap, CoversTheTruthAsOftenAsItSays) {
  int covered = 0;
  constexpr int trials = 300;
  for (int k = 0; k < trials; ++k) {
    const Interval i = bootstrap_interval(
        {normal_sample(static_cast<std::uint64_t>(100 + k), 30)}, [](auto v) { return mean(v); }, 0.9, 300);
    covered += i.low <= 0 && 0 <= i.high;
  }
  EXPECT_NEAR(static_cast<double>(covered) / trials, 0.9, 0.06);
}

TEST(Bootstrap, ResamplesWithinEachStratum) {
  // Every stratum is constant, so that only mixing them could move the statistic.
  const Interval i = bootstrap_interval({{1, 1, 1}, {5, 5, 5}}, [](auto v) { return mean(v); });
  EXPECT_EQ(i.low, 3);
  EXPECT_EQ(i.high, 3);
}

TEST(Bootstrap, OfOneValueIsThatValue) {
  const Interval i = bootstrap_interval({{-7}}, [](auto v) { return median(v); });
  EXPECT_EQ(i.low, -7);
  EXPECT_EQ(i.high, -7);
}

}  // namespace
}  // namespace kedge
