#include "kedge/math/outer_products.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

namespace kedge {

namespace {

/// R rows of a, C registers of b: the R x C sums stay in registers while k runs. b is loaded one k ahead: GCC would otherwise
/// load it again for each of the R rows, and loads are what then takes longest.
template <int R, int C>
void add_tile(const double* a, Index a_stride, const Index* row, const double* b, Index b_stride, Index count,
              double* sum, Index sum_stride) {
  if (count == 0) return;
  Lanes s[R][C], b_k[C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) s[r][c] = load_lanes(sum + r * sum_stride + c * kLanes);
  for (int c = 0; c < C; ++c) b_k[c] = load_lanes(b + c * kLanes);
  for (Index k = 0; k < count; ++k) {
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) s[r][c] += a[k * a_stride + row[r]] * b_k[c];
    if (k + 1 < count) b += b_stride;
    for (int c = 0; c < C; ++c) b_k[c] = load_lanes(b + c * kLanes);
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store_lanes(sum + r * sum_stride + c * kLanes, s[r][c]);
}

/// R rows of a, all of b: C registers at a time, the rest with fewer.
template <int R, int C>
void add_rows(const double* a, Index a_stride, const Index* row, const double* b, Index b_stride, Index width,
              Index count, double* sum, Index sum_stride) {
  Index c = 0;
  for (; c + C * kLanes <= width; c += C * kLanes)
    add_tile<R, C>(a, a_stride, row, b + c, b_stride, count, sum + c, sum_stride);
  if constexpr (C > 1)
    if (c < width) add_rows<R, C - 1>(a, a_stride, row, b + c, b_stride, width - c, count, sum + c, sum_stride);
}

}  // namespace

void add_outer_products(const double* a, Index a_stride, std::span<const Index> row, const double* b, Index b_stride,
                        Index width, Index count, double* sum) {
  assert(width % kLanes == 0);
  const auto rows = static_cast<Index>(row.size());
  const auto add = [&](auto add_some, Index r) {
    add_some(a, a_stride, row.data() + r, b, b_stride, width, count, sum + r * width, width);
  };
  Index r = 0;  // as many sums at a time as hide the latency of an addition, yet fit into the registers
  if (width == kLanes)
    for (; r + 6 <= rows; r += 6) add(add_rows<6, 1>, r);
  for (; r + 4 <= rows; r += 4) add(add_rows<4, 3>, r);
  if (rows - r == 3) add(add_rows<3, 4>, r);
  if (rows - r == 2) add(add_rows<2, 6>, r);
  if (rows - r == 1) add(add_rows<1, 8>, r);
}

bool cholesky(Eigen::Ref<MatrixXd> A) {
  const Index n = A.cols(), stride = A.outerStride();
  assert(A.rows() == padded(n));
  constexpr std::array<Index, 4> columns = {0, 1, 2, 3};
  std::vector<double> sum(columns.size() * static_cast<std::size_t>(A.rows()));
  for (Index j = 0; j < n; j += 4) {  // four columns at a time: what the finished ones subtract, then each other
    const Index width = std::min<Index>(4, n - j), first = j / kLanes * kLanes, height = A.rows() - first;
    std::fill_n(sum.begin(), width * height, 0.0);
    add_outer_products(&A(j, 0), stride, std::span(columns).first(static_cast<std::size_t>(width)), &A(first, 0),
                       stride, height, j, sum.data());
    for (Index r = 0; r < width; ++r) {
      double* column = &A(first, j + r);
      const double* subtract = sum.data() + r * height;
      for (Index i = 0; i < height; ++i) column[i] -= subtract[i];
      for (Index s = 0; s < r; ++s) {
        const double factor = A(j + r, j + s);
        const double* finished = &A(first, j + s);
        for (Index i = 0; i < height; ++i) column[i] -= factor * finished[i];
      }
      const double pivot = A(j + r, j + r);
      if (!(pivot > 0.0) || !std::isfinite(pivot)) return false;
      const double scale = 1.0 / std::sqrt(pivot);
      for (Index i = 0; i < height; ++i) column[i] *= scale;
    }
  }
  return true;
}

}  // namespace kedge
