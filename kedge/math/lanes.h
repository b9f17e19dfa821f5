// Vectors of eight doubles, and the smooth functions of networks. The result for a number does not depend on its place
// in a vector, nor on the other numbers there. Included by sources only.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace kedge {

/// Eight doubles; operators work entry by entry, comparisons give masks for `?:`.
using Lanes = double __attribute__((vector_size(64)));
inline constexpr int kLanes = 8;

inline Lanes load_lanes(const double* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store_lanes(double* p, const Lanes& v) { std::memcpy(p, &v, sizeof v); }

/// Returns the sum of the eight entries, added in a fixed order.
inline double sum_lanes(const Lanes& s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }

/// A smooth function and its derivative.
struct ValueSlope {
  Lanes value, slope;
};

namespace lanes_detail {

/// exp(x) = power (1 + part) for x <= 0: power = 2^k, |part| < 0.42. Below -708 like -708; NaN stays NaN.
struct Exponential {
  Lanes power, part;
};
inline Exponential exponential(const Lanes& argument) {
  using Integers = std::int64_t __attribute__((vector_size(64)));
  constexpr double log2e = 1.4426950408889634, ln2_high = 0x1.62e42fefa0000p-1,
                   ln2_low = 0x1.cf79abc9e3b3ap-40;  // k ln2_high is exact
  constexpr double magic = 0x1.8p52;                 // the sum's last bits are those of the rounded integer
  const Lanes x = argument < -708.0 ? Lanes{} - 708.0 : argument;
  const Lanes shifted = x * log2e + magic;
  const Lanes k = shifted - magic;
  const Lanes r = (x - k * ln2_high) - k * ln2_low;
  // (exp(r) - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2] to 1.3e-17 of exp(r): interpolation at Chebyshev points
  Lanes p = Lanes{} + 2.5100424157005067e-08;
  for (const double c : {2.7620138719733994e-07, 2.7557268378684192e-06, 2.480152119021773e-05, 0.00019841269863105968,
                         0.0013888888917281794, 0.008333333333330051, 0.04166666666662399, 0.16666666666666669, 0.5})
    p = p * r + c;
  Integers bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52;
  Lanes power;
  std::memcpy(&power, &bits, sizeof power);
  return {power, r * r * p + r};
}

}  // namespace lanes_detail

/// Returns log(1 + exp(z)), slope 1 / (1 + exp(-z)); relative error of both below 1e-15 for z > -700, below that 1e-304
/// at most.
inline ValueSlope softplus(const Lanes& z) {
  const auto [power, part] = lanes_detail::exponential(z < 0.0 ? z : -z);
  const Lanes e = power * part + power;  // exp(-|z|)
  // log(1 + e) = log 2 + log(1 + (e - 1)/2) where e is large; log(1 + f) = 2 atanh(f / (2 + f))
  const auto large = e > 0.41421356237309503;
  const Lanes f = large ? 0.5 * e - 0.5 : e;
  const Lanes one = 1.0 + e, two = 2.0 + f;
  const Lanes inverse = 1.0 / (one * two);
  const Lanes s = f * (one * inverse), u = s * s;
  // (atanh(s)/s - 1) / s^2 for s^2 <= 0.0295 to 5e-18 of atanh(s)/s: interpolation at Chebyshev points
  Lanes p = Lanes{} + 0.07308903576708663;
  for (const double c : {0.07665805861027504, 0.09091446216268435, 0.11111105544689748, 0.14285714313126918,
                         0.19999999999949444, 0.3333333333333335})
    p = p * u + c;
  const Lanes log1p = 2.0 * s + 2.0 * s * u * p;
  const Lanes logistic = two * inverse;  // of |z|
  return {(z > 0.0 ? z : Lanes{}) + (log1p + (large ? Lanes{} + 0.6931471805599453 : Lanes{})),
          z < 0.0 ? e * logistic : logistic};
}

/// Returns tanh(z), slope 1 - tanh(z)^2; relative error of both below 1e-15 for |z| < 350.
inline ValueSlope tanh(const Lanes& z) {
  const Lanes twice = 2.0 * z;
  const auto [power, part] = lanes_detail::exponential(z < 0.0 ? twice : -twice);
  const Lanes e = power * part + power, minus_one = power * part + (power - 1.0);  // exp(-2|z|), and that minus one
  const Lanes inverse = 1.0 / (2.0 + minus_one);
  const Lanes y = -minus_one * inverse;
  return {z < 0.0 ? -y : y, 4.0 * e * (inverse * inverse)};
}

}  // namespace kedge
