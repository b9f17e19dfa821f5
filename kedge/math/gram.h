// Gram matrices of many samples with few features, where general matrix products spend more on packing than on arithmetic.
#pragma once

#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// Sums phi_k phi_k' over samples k, block by block. The order of the additions depends on nothing but the samples' order.
class GramAccumulator {
 public:
  static constexpr Index kBlock = 64;  ///< samples a block

  /// @param features p >= 1
  explicit GramAccumulator(Index features);

  /// The features of the next block, one sample a row, one feature a column. Fill it, then `add`.
  /// @return [kBlock, p]
  [[nodiscard]] auto block() { return phi_.leftCols(features_); }

  /// Adds the first `count` samples of the block, 1 <= count <= kBlock.
  void add(Index count);

  /// @return [p, p], symmetric
  [[nodiscard]] MatrixXd gram() const;

 private:
  // Eight partial sums of each entry, one a lane, in 4 x 4 tiles of the lower triangle: they stay in registers while a tile
  // runs through the block, and are added up once, at the end.
  using Lanes = double __attribute__((vector_size(64)));
  static constexpr Index kTile = 4;

  Index features_;
  MatrixXd phi_;            // [kBlock, p rounded up to whole tiles], the surplus columns zero
  std::vector<Lanes> sum_;  // [tiles][kTile * kTile]
};

}  // namespace kedge
