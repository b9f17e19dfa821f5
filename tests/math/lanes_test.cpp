#include "kedge/math/lanes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kedge/core/random.h"

namespace kedge {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// Arguments of every size up to `largest`, both signs, and where the formulas change.
std::vector<double> arguments(double largest) {
  std::vector<double> z = {0.0, 0.8813735870195429, 0.8813735870195431, 0.34657359027997264, 0.34657359027997270};
  for (double size = 1e-300; size < largest; size *= 1.7) z.push_back(size);
  Stream random(1, 0, 0, 0);
  for (int i = 0; i < 40000; ++i) z.push_back(40 * random.uniform());
  for (int i = 0; i < 2000; ++i) z.push_back(largest * random.uniform());
  const std::size_t half = z.size();
  for (std::size_t i = 0; i < half; ++i) z.push_back(-z[i]);
  return z;
}

/// Largest relative errors of value and slope.
template <class F, class Value, class Slope>
std::pair<double, double> worst(F f, Value value, Slope slope, double largest) {
  double v = 0, s = 0;
  for (const double z : arguments(largest)) {
    const ValueSlope found = f(Lanes{} + z);
    const long double exact = value(static_cast<long double>(z)), exact_slope = slope(static_cast<long double>(z));
    if (exact != 0) v = std::max(v, static_cast<double>(std::abs((found.value[3] - exact) / exact)));
    s = std::max(s, static_cast<double>(std::abs((found.slope[3] - exact_slope) / exact_slope)));
  }
  return {v, s};
}

TEST(Lanes, SoftplusAgreesWithTheStandardLibrary) {
  const auto [value, slope] = worst(
      softplus, [](long double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); },
      [](long double z) { return z > 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }, 700);
  EXPECT_LT(value, 1e-15);
  EXPECT_LT(slope, 1e-15);
}

TEST(Lanes, TanhAgreesWithTheStandardLibrary) {
  const auto [value, slope] = worst(
      kedge::tanh, [](long double z) { return std::tanh(z); },
      [](long double z) { return 1 / (std::cosh(z) * std::cosh(z)); }, 350);
  EXPECT_LT(value, 1e-15);
  EXPECT_LT(slope, 1e-15);
}

TEST(Lanes, AreExactAtExtremeArgumentsAndKeepNaN) {
  for (const double z : {709.0, 745.0, 1e4, 1e300, inf}) {
    EXPECT_EQ(softplus(Lanes{} + z).value[0], z);
    EXPECT_EQ(softplus(Lanes{} + z).slope[0], 1);
    EXPECT_LE(softplus(Lanes{} - z).value[0], 1e-304);
    EXPECT_GE(softplus(Lanes{} - z).value[0], 0);
    EXPECT_LE(softplus(Lanes{} - z).slope[0], 1e-304);
    EXPECT_EQ(kedge::tanh(Lanes{} + z).value[0], 1);
    EXPECT_EQ(kedge::tanh(Lanes{} - z).value[0], -1);
    EXPECT_LE(kedge::tanh(Lanes{} - z).slope[0], 1e-304);
  }
  EXPECT_EQ(kedge::tanh(Lanes{}).value[0], 0);
  for (const double bad : {nan, -nan, std::nan("0xfffff")}) {  // not a number stays that, whatever its bits
    EXPECT_TRUE(std::isnan(softplus(Lanes{} + bad).value[0]));
    EXPECT_TRUE(std::isnan(softplus(Lanes{} + bad).slope[0]));
    EXPECT_TRUE(std::isnan(kedge::tanh(Lanes{} + bad).value[0]));
    EXPECT_TRUE(std::isnan(kedge::tanh(Lanes{} + bad).slope[0]));
  }
}

TEST(Lanes, EntriesDoNotDependOnTheirNeighbours) {
  Stream random(2, 0, 0, 0);
  for (int i = 0; i < 100; ++i) {
    Lanes z;
    for (int k = 0; k < kLanes; ++k) z[k] = 5 * random.normal();
    const ValueSlope all = softplus(z), all_tanh = kedge::tanh(z);
    for (int k = 0; k < kLanes; ++k) {
      Lanes alone{};
      alone[7 - k] = z[k];
      EXPECT_EQ(softplus(alone).value[7 - k], all.value[k]);
      EXPECT_EQ(softplus(alone).slope[7 - k], all.slope[k]);
      EXPECT_EQ(kedge::tanh(alone).value[7 - k], all_tanh.value[k]);
    }
  }
}

TEST(Lanes, SumAddsAll) { EXPECT_EQ(sum_lanes(Lanes{1, 2, 4, 8, 16, 32, 64, 128}), 255); }

}  // namespace
}  // namespace kedge
