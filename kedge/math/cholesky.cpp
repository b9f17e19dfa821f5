#include "kedge/math/cholesky.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

#include "kedge/math/outer_products.h"
#include "kedge/math/vectors.h"

namespace kedge {

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
