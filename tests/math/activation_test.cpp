#include "kedge/math/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/math/vectors.h"

namespace kedge {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

using Apply = void (*)(Index, double*, double*);

struct ValueSlope {
  double value, slope;
};

/// The function of one argument, in one lane among zeros.
ValueSlope alone(Apply apply, double argument, Index lane = 3) {
  alignas(64) double z[kLanes] = {}, slope[kLanes];
  z[lane] = argument;
  apply(kLanes, z, slope);
  return {z[lane], slope[lane]};
}

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

/// Largest relative errors of value and slope, for every kind of vectors.
template <class Value, class Slope>
std::pair<double, double> worst(Apply apply, Value value, Slope slope, double largest) {
  double v = 0, s = 0;
  const std::string kind_before = vectors_in_use();
  for (const std::string& kind : vector_kinds()) {
    use_vectors(kind);
    for (const double z : arguments(largest)) {
      const ValueSlope found = alone(apply, z);
      const long double exact = value(static_cast<long double>(z)), exact_slope = slope(static_cast<long double>(z));
      if (exact != 0) v = std::max(v, static_cast<double>(std::abs((found.value - exact) / exact)));
      s = std::max(s, static_cast<double>(std::abs((found.slope - exact_slope) / exact_slope)));
    }
  }
  use_vectors(kind_before);
  return {v, s};
}

TEST(Activation, SoftplusAgreesWithTheStandardLibrary) {
  const auto [value, slope] = worst(
      apply_softplus, [](long double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); },
      [](long double z) { return z > 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }, 700);
  EXPECT_LT(value, 1e-15);
  EXPECT_LT(slope, 1e-15);
}

TEST(Activation, TanhAgreesWithTheStandardLibrary) {
  const auto [value, slope] = worst(
      apply_tanh, [](long double z) { return std::tanh(z); },
      [](long double z) { return 1 / (std::cosh(z) * std::cosh(z)); }, 350);
  EXPECT_LT(value, 1e-15);
  EXPECT_LT(slope, 1e-15);
}

TEST(Activation, ExtremeArguments) {
  for (const double z : {709.0, 745.0, 1e4, 1e300, inf}) {
    EXPECT_EQ(alone(apply_softplus, z).value, z);
    EXPECT_EQ(alone(apply_softplus, z).slope, 1);
    EXPECT_LE(alone(apply_softplus, -z).value, 1e-304);
    EXPECT_GE(alone(apply_softplus, -z).value, 0);
    EXPECT_LE(alone(apply_softplus, -z).slope, 1e-304);
    EXPECT_EQ(alone(apply_tanh, z).value, 1);
    EXPECT_EQ(alone(apply_tanh, -z).value, -1);
    EXPECT_LE(alone(apply_tanh, -z).slope, 1e-304);
  }
  EXPECT_EQ(alone(apply_tanh, 0).value, 0);
  for (const double bad : {nan, -nan, std::nan("0xfffff")}) {  // not a number stays that, whatever its bits
    EXPECT_TRUE(std::isnan(alone(apply_softplus, bad).value));
    EXPECT_TRUE(std::isnan(alone(apply_softplus, bad).slope));
    EXPECT_TRUE(std::isnan(alone(apply_tanh, bad).value));
    EXPECT_TRUE(std::isnan(alone(apply_tanh, bad).slope));
  }
}

TEST(Activation, EntriesDoNotDependOnTheirNeighbours) {
  Stream random(2, 0, 0, 0);
  for (const Apply apply : {apply_softplus, apply_tanh})
    for (int i = 0; i < 100; ++i) {
      VectorXd z(3 * kLanes), slope(3 * kLanes);
      random.normal(z);
      z *= 5;
      VectorXd value = z;
      apply(z.size(), value.data(), slope.data());
      for (Index k = 0; k < z.size(); ++k) {
        const ValueSlope one = alone(apply, z[k], 7 - k % kLanes);
        EXPECT_EQ(one.value, value[k]);
        EXPECT_EQ(one.slope, slope[k]);
      }
      VectorXd without = z;
      apply(z.size(), without.data(), nullptr);
      EXPECT_EQ(without, value);
    }
}

}  // namespace
}  // namespace kedge
