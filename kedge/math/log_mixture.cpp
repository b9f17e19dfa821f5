#include "kedge/math/log_mixture.h"

#include <algorithm>
#include <limits>

namespace kedge {

void load_tile(MatrixIn x, Index first, Eigen::Ref<MatrixXd> tile) {
  const Index count = std::min(kTile, x.cols() - first);
  tile.topRows(count) = x.middleCols(first, count).transpose();
  tile.bottomRows(kTile - count).setZero();
}

TileArray log_mixture(const std::vector<Whitening>& components, const double* tile, Index nearest, TileMatrix& log_z) {
  const auto K = static_cast<Index>(components.size());
  TileArray top = TileArray::Constant(-std::numeric_limits<double>::infinity());
  std::vector<Index> complete;
  complete.reserve(components.size());
  for (Index i = 0; i < K; ++i) {
    const Index k = (nearest + i) % K;
    if (!log_density(components[static_cast<std::size_t>(k)], tile, top - kNegligible, &log_z(0, k))) continue;
    top = top.max(log_z.col(k));
    complete.push_back(k);
  }
  TileArray sum = TileArray::Zero();
  for (const Index k : complete) {
    const TileArray below = log_z.col(k) - top;
    if (below.maxCoeff() > -kNegligible) sum += below.exp();
  }
  return top + sum.log();
}

}  // namespace kedge
