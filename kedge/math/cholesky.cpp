#include "kedge/math/cholesky.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

#include "kedge/math/outer_products.h"
#include "kedge/math/vectors.h"

namespace kedge {

namespace {

/// Up to this size the columns are read from the cache often enough as they are; beyond it panels of columns meet the
/// finished ones in blocks. Either way the terms of a sum and their order are the same, and so are the bytes.
constexpr Index kSmall = 1500;

/// Columns of a panel; rows and columns of a block of finished columns, which stays in the second-level cache while the whole
/// panel meets it.
constexpr Index kPanel = 64, kRows = 128, kDepth = 256;

/// What the columns before a panel subtract from its columns; nothing from the first panel's.
class Before {
 public:
  Before(const Eigen::Ref<MatrixXd>& A, Index panel, Index width) : width_(width), rows_(A.rows() - panel) {
    if (panel == 0) return;
    sum_.assign(static_cast<std::size_t>(width * rows_), 0.0);
    std::array<Index, kPanel> row;
    for (std::size_t r = 0; r < row.size(); ++r) row[r] = static_cast<Index>(r);
    const auto columns = std::span(row).first(static_cast<std::size_t>(width));
    std::vector<double> left(kPanel * kDepth), block(kRows * kDepth);
    for (Index k = 0; k < panel; k += kDepth) {
      const Index depth = std::min(kDepth, panel - k);
      for (Index c = 0; c < depth; ++c) std::copy_n(&A(panel, k + c), width, left.begin() + c * width);
      for (Index i = 0; i < rows_; i += kRows) {
        const Index height = std::min(kRows, rows_ - i);
        for (Index c = 0; c < depth; ++c) std::copy_n(&A(panel + i, k + c), height, block.begin() + c * height);
        add_outer_products(left.data(), width, columns, block.data(), height, height, depth, sum_.data() + i * width);
      }
    }
  }

  /// Writes the sums of column r of the panel. @param first  row of the panel  @param sum rows first ... out
  void copy(Index r, Index first, double* sum) const {
    for (Index i = first / kRows * kRows; i < rows_; i += kRows) {
      const Index height = std::min(kRows, rows_ - i), skipped = std::max(first - i, Index{0});
      std::copy_n(sum_.data() + i * width_ + r * height + skipped, height - skipped, sum + i + skipped - first);
    }
  }

 private:
  Index width_, rows_;
  std::vector<double> sum_;  // [block of rows][column of the panel][row]
};

}  // namespace

bool cholesky(Eigen::Ref<MatrixXd> A) {
  const Index n = A.cols(), stride = A.outerStride();
  assert(A.rows() == padded(n));
  constexpr std::array<Index, 4> columns = {0, 1, 2, 3};
  std::vector<double> sum(columns.size() * static_cast<std::size_t>(A.rows()));
  const Index panel_width = n > kSmall ? kPanel : n;
  for (Index panel = 0; panel < n; panel += panel_width) {
    const Index end = std::min(n, panel + panel_width);
    const Before before(A, panel, end - panel);
    for (Index j = panel; j < end;
         j += 4) {  // four columns at a time: what the finished ones subtract, then each other
      const Index width = std::min<Index>(4, end - j), first = j / kLanes * kLanes, height = A.rows() - first;
      std::fill_n(sum.begin(), width * height, 0.0);
      for (Index r = 0; panel > 0 && r < width; ++r) before.copy(j - panel + r, first - panel, &sum[r * height]);
      add_outer_products(&A(j, panel), stride, std::span(columns).first(static_cast<std::size_t>(width)),
                         &A(first, panel), stride, height, j - panel, sum.data());
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
  }
  return true;
}

}  // namespace kedge
