#include "kedge/math/gram.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "kedge/math/hermite.h"
#include "kedge/math/outer_products.h"
#include "kedge/math/vectors.h"

namespace kedge {

using Register = Eigen::Array<double, kLanes, 1>;

GramAccumulator::GramAccumulator(Index n)
    : n_(n), stride_(padded(feature_count(n)) + kLanes), at_(static_cast<std::size_t>(feature_count(n))) {
  Index end = 0;
  for (Index j = 0; j <= n; ++j) {
    const Index width = padded(product_feature(j, j) + 1);
    if (group_.empty() || group_.back().width != width) group_.push_back({width, end, {}});
    for (Index i = j; i <= n; ++i, end += width) {
      group_.back().row.push_back(product_feature(i, j));
      at_[static_cast<std::size_t>(product_feature(i, j))] = end;
    }
  }
  sum_ = VectorXd::Zero(end);
  Index samples = 64;  // fit into a first-level cache
  while (samples > 8 && samples * stride_ * static_cast<Index>(sizeof(double)) > 28 * 1024) samples /= 2;
  block_ = VectorXd::Zero(samples * stride_);
}

void GramAccumulator::add(MatrixIn z, VectorIn weight) {
  assert(z.rows() == padded(n_ + 1) && z.cols() == weight.size());
  const Index block = block_.size() / stride_;
  for (Index first = 0; first < z.cols(); first += block) {
    const Index count = std::min(block, z.cols() - first);
    for (Index k = 0; k < count; ++k) {
      const double* x = z.data() + (first + k) * z.outerStride();
      const double root = std::sqrt(weight[first + k]);
      double* product = block_.data() + k * stride_;
      for (Index i = 0; i <= n_; ++i)  // whole registers: what goes beyond (i, i) is overwritten by the next rows
        for (Index j = 0; j <= i; j += kLanes)
          Eigen::Map<Register>(product + product_feature(i, j)) = root * x[i] * Eigen::Map<const Register>(x + j);
    }
    for (const Group& group : group_)
      add_outer_products(block_.data(), stride_, group.row, block_.data(), stride_, group.width, count,
                         sum_.data() + group.first);
  }
}

MatrixXd GramAccumulator::gram() const {
  const Index p = feature_count(n_);
  const auto sums = [&](Index i, Index j) {
    return sum_.data() + at_[static_cast<std::size_t>(product_feature(i, j))];
  };
  MatrixXd g = MatrixXd::Zero(padded(p), p);
  for (Index i = 0; i <= n_; ++i)
    for (Index j = 0; j <= i; ++j) {
      auto row = g.row(product_feature(i, j));
      const double* own = sums(i, j);  // M_ijkl: the columns (k, l) with k <= j
      for (Index c = 0; c <= std::min(product_feature(j, j), product_feature(i, j)); ++c) row[c] = own[c];
      for (Index k = j + 1; k <= i; ++k) {  // M_ikjl, or M_iklj
        const double* other = sums(i, k);
        const Index end = k < i ? k : j;  // up to the diagonal
        for (Index l = 0; l <= end; ++l)
          row[product_feature(k, l)] = other[product_feature(std::max(j, l), std::min(j, l))];
      }
    }

  // The products z_i^2 become features (z_i^2 - 1) / sqrt 2: first the rows, then the columns.
  for (const bool rows : {true, false}) {
    const VectorXd constant = g.col(0).head(p);
    for (Index i = 1; i <= n_; ++i) {
      const Index c = product_feature(i, i);
      if (rows)
        g.row(c).head(c + 1) = (g.row(c).head(c + 1) - constant.head(c + 1).transpose()) / std::numbers::sqrt2;
      else
        g.col(c).segment(c, p - c) = (g.col(c).segment(c, p - c) - constant.tail(p - c)) / std::numbers::sqrt2;
    }
  }
  return g;
}

}  // namespace kedge
