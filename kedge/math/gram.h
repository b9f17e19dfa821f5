// The Gram matrix of the quadratic features of many samples (hermite.h).
//
// Its entries are moments of z = (1, z_1, ..., z_n) of order four, and equal whenever the same four factors are
// multiplied: of the p (p + 1) / 2 entries only (n + 4 over 4) are different, at most half. Only those are summed: with
// products z_i z_j (j <= i) in the order of the features,
//   M_ijkl = sum_m w_m (z_i z_j)_m (z_k z_l)_m,   i >= j >= k >= l,
// row (i, j) meets the columns up to (j, j), which are the leading ones.
#pragma once

#include <span>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

class GramAccumulator {
 public:
  /// @param n variables, >= 1
  explicit GramAccumulator(Index n);

  /// Adds samples, weighted.
  /// @param z [padded(n + 1), N] one sample a column: (1, z_1, ..., z_n), then finite numbers that do not count
  /// @param weight [N] >= 0
  void add(MatrixIn z, VectorIn weight);

  /// Returns sum_m w_m phi(z_m) phi(z_m)'.
  /// @return [padded(p), p], p = feature_count(n): the lower triangle; zeros elsewhere
  [[nodiscard]] MatrixXd gram() const;

 private:
  struct Group {  ///< rows that meet equally many columns
    Index width;  ///< columns, rounded up to whole registers
    Index first;  ///< where its sums begin
    std::vector<Index> row;
  };
  Index n_;
  Index stride_;  ///< distance between the products of two samples
  std::vector<Group> group_;
  std::vector<Index> at_;  ///< [p] where the sums of row (i, j) begin
  VectorXd sum_;           ///< [group][row][width]
  VectorXd block_;         ///< products of some samples
};

}  // namespace kedge
