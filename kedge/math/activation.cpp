#include "kedge/math/activation.h"

#include <cassert>
#include <cstdint>

#include "kedge/math/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kedge/math/activation.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kedge::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Double = hn::CappedTag<double, kLanes>;
using Vector = hn::Vec<Double>;
constexpr Double d{};
constexpr Index N = hn::MaxLanes(d);

/// sum_i c_i x^i, the highest power first.
template <class... Coefficients>
HWY_INLINE Vector polynomial(Vector x, double highest, Coefficients... others) {
  Vector p = hn::Set(d, highest);
  ((p = hn::MulAdd(p, x, hn::Set(d, others))), ...);
  return p;
}

/// exp(x) = power (1 + part) for x <= 0: power = 2^k, |part| < 0.42. Below -708 like -708; NaN stays NaN.
struct Exponential {
  Vector power, part;
};
HWY_INLINE Exponential exponential(Vector argument) {
  constexpr double log2e = 1.4426950408889634, ln2_high = 0x1.62e42fefa0000p-1,
                   ln2_low = 0x1.cf79abc9e3b3ap-40;  // k ln2_high is exact
  constexpr double magic = 0x1.8p52;                 // the sum's last bits are those of the rounded integer
  const hn::RebindToSigned<Double> integers;
  const Vector lowest = hn::Set(d, -708.0);
  const Vector x = hn::IfThenElse(hn::Lt(argument, lowest), lowest, argument);
  const Vector shifted = hn::MulAdd(x, hn::Set(d, log2e), hn::Set(d, magic));
  const Vector k = hn::Sub(shifted, hn::Set(d, magic));
  const Vector r = hn::NegMulAdd(k, hn::Set(d, ln2_low), hn::NegMulAdd(k, hn::Set(d, ln2_high), x));
  // (exp(r) - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2] to 1.3e-17 of exp(r): interpolation at Chebyshev points
  const Vector p = polynomial(r, 2.5100424157005067e-08, 2.7620138719733994e-07, 2.7557268378684192e-06,
                              2.480152119021773e-05, 0.00019841269863105968, 0.0013888888917281794,
                              0.008333333333330051, 0.04166666666662399, 0.16666666666666669, 0.5);
  const auto exponent = hn::Add(hn::BitCast(integers, shifted), hn::Set(integers, std::int64_t{1023}));
  return {hn::BitCast(d, hn::ShiftLeft<52>(exponent)), hn::MulAdd(hn::Mul(r, r), p, r)};
}

struct ValueSlope {
  Vector value, slope;
};

HWY_INLINE ValueSlope softplus(Vector z) {
  const Vector zero = hn::Zero(d), one = hn::Set(d, 1.0), two = hn::Set(d, 2.0), half = hn::Set(d, 0.5);
  const auto [power, part] = exponential(hn::Neg(hn::Abs(z)));
  const Vector e = hn::MulAdd(power, part, power);  // exp(-|z|)
  // log(1 + e) = log 2 + log(1 + (e - 1)/2) where e is large; log(1 + f) = 2 atanh(f / (2 + f))
  const auto large = hn::Gt(e, hn::Set(d, 0.41421356237309503));
  const Vector f = hn::IfThenElse(large, hn::MulSub(half, e, half), e);
  const Vector one_e = hn::Add(one, e), two_f = hn::Add(two, f);
  const Vector inverse = hn::Div(one, hn::Mul(one_e, two_f));
  const Vector s = hn::Mul(f, hn::Mul(one_e, inverse)), u = hn::Mul(s, s), twice_s = hn::Add(s, s);
  // (atanh(s)/s - 1) / s^2 for s^2 <= 0.0295 to 5e-18 of atanh(s)/s: interpolation at Chebyshev points
  const Vector p = polynomial(u, 0.07308903576708663, 0.07665805861027504, 0.09091446216268435, 0.11111105544689748,
                              0.14285714313126918, 0.19999999999949444, 0.3333333333333335);
  const Vector log1p = hn::MulAdd(hn::Mul(twice_s, u), p, twice_s);
  const Vector logistic = hn::Mul(two_f, inverse);  // of |z|
  const Vector log2 = hn::IfThenElseZero(large, hn::Set(d, 0.6931471805599453));
  return {hn::Add(hn::IfThenElseZero(hn::Gt(z, zero), z), hn::Add(log1p, log2)),
          hn::IfThenElse(hn::Lt(z, zero), hn::Mul(e, logistic), logistic)};
}

HWY_INLINE ValueSlope tanh(Vector z) {
  const Vector one = hn::Set(d, 1.0), two = hn::Set(d, 2.0), four = hn::Set(d, 4.0);
  const auto [power, part] = exponential(hn::Neg(hn::Abs(hn::Add(z, z))));
  const Vector e = hn::MulAdd(power, part, power);                        // exp(-2|z|)
  const Vector minus_one = hn::MulAdd(power, part, hn::Sub(power, one));  // that minus one
  const Vector inverse = hn::Div(one, hn::Add(two, minus_one));
  const Vector y = hn::Mul(minus_one, inverse);  // -tanh |z|
  return {hn::IfThenElse(hn::Lt(z, hn::Zero(d)), y, hn::Neg(y)), hn::Mul(hn::Mul(four, e), hn::Mul(inverse, inverse))};
}

template <class Function>
HWY_INLINE void apply(const Function& function, Index count, double* z, double* slope) {
  for (Index i = 0; i < count; i += N) {
    const ValueSlope f = function(hn::LoadU(d, z + i));
    hn::StoreU(f.value, d, z + i);
    if (slope) hn::StoreU(f.slope, d, slope + i);
  }
}

}  // namespace

void apply_softplus(Index count, double* z, double* slope) {
  apply([](Vector v) HWY_ATTR { return softplus(v); }, count, z, slope);
}
void apply_tanh(Index count, double* z, double* slope) {
  apply([](Vector v) HWY_ATTR { return tanh(v); }, count, z, slope);
}

}  // namespace kedge::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kedge {

HWY_EXPORT(apply_softplus);
HWY_EXPORT(apply_tanh);

void apply_softplus(Index count, double* z, double* slope) {
  assert(count % kLanes == 0);
  HWY_DYNAMIC_DISPATCH(apply_softplus)(count, z, slope);
}

void apply_tanh(Index count, double* z, double* slope) {
  assert(count % kLanes == 0);
  HWY_DYNAMIC_DISPATCH(apply_tanh)(count, z, slope);
}

}  // namespace kedge
#endif
