#include "kedge/math/outer_products.h"

#include <cassert>

#include "kedge/math/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kedge/math/outer_products.cpp"
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
constexpr bool kManyRegisters = N == kLanes;  // AVX-512 has 32, the others have 16

/// R rows of a, C registers of b: the R x C sums stay in registers while k runs. b is loaded one k ahead: GCC would otherwise
/// load it again for each of the R rows, and loads are what then takes longest.
template <int R, int C>
void add_tile(const double* a, Index a_stride, const Index* row, const double* b, Index b_stride, Index count,
              double* sum, Index sum_stride) {
  if (count == 0) return;
  Vector s[R][C], b_k[C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) s[r][c] = hn::LoadU(d, sum + r * sum_stride + c * N);
  for (int c = 0; c < C; ++c) b_k[c] = hn::LoadU(d, b + c * N);
  for (Index k = 0; k < count; ++k) {
    for (int r = 0; r < R; ++r) {
      const Vector a_k = hn::Set(d, a[k * a_stride + row[r]]);
      for (int c = 0; c < C; ++c) s[r][c] = hn::MulAdd(a_k, b_k[c], s[r][c]);
    }
    if (k + 1 < count) b += b_stride;
    for (int c = 0; c < C; ++c) b_k[c] = hn::LoadU(d, b + c * N);
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) hn::StoreU(s[r][c], d, sum + r * sum_stride + c * N);
}

/// R rows of a, all of b: C registers at a time, the rest with fewer.
template <int R, int C>
void add_rows(const double* a, Index a_stride, const Index* row, const double* b, Index b_stride, Index width,
              Index count, double* sum, Index sum_stride) {
  Index c = 0;
  for (; c + C * N <= width; c += C * N) add_tile<R, C>(a, a_stride, row, b + c, b_stride, count, sum + c, sum_stride);
  if constexpr (C > 1)
    if (c < width) add_rows<R, C - 1>(a, a_stride, row, b + c, b_stride, width - c, count, sum + c, sum_stride);
}

}  // namespace

void add_outer_products(const double* a, Index a_stride, std::span<const Index> row, const double* b, Index b_stride,
                        Index width, Index count, double* sum) {
  const auto rows = static_cast<Index>(row.size());
  const auto add = [&](auto add_some, Index r) {
    add_some(a, a_stride, row.data() + r, b, b_stride, width, count, sum + r * width, width);
  };
  // As many sums at a time as hide the latency of an addition, yet fit into the registers.
  constexpr int least = N == kLanes ? 1 : 2;  // registers of one virtual register, or two of them
  constexpr int three = kManyRegisters ? 4 : 3, two = kManyRegisters ? 6 : 4, one = kManyRegisters ? 8 : 6;
  Index r = 0;
  if (width == kLanes)
    for (; r + 6 <= rows; r += 6) add(add_rows<6, least>, r);
  for (; r + 4 <= rows; r += 4) add(add_rows<4, 3>, r);
  if (rows - r == 3) add(add_rows<3, three>, r);
  if (rows - r == 2) add(add_rows<2, two>, r);
  if (rows - r == 1) add(add_rows<1, one>, r);
}

}  // namespace kedge::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kedge {

HWY_EXPORT(add_outer_products);

void add_outer_products(const double* a, Index a_stride, std::span<const Index> row, const double* b, Index b_stride,
                        Index width, Index count, double* sum) {
  assert(width % kLanes == 0);
  HWY_DYNAMIC_DISPATCH(add_outer_products)(a, a_stride, row, b, b_stride, width, count, sum);
}

}  // namespace kedge
#endif
