// Log densities of samples under a mixture of Gaussians, a tile of samples at a time (tile_density.h).
#pragma once

#include <vector>

#include "kedge/math/tile_density.h"

namespace kedge {

using TileMatrix = Eigen::Array<double, kTile, Eigen::Dynamic>;

/// A density this far below the largest one adds less than rounding to a sum of them, nats.
inline constexpr double kNegligible = 45.0;

/// Copies samples [first, first + kTile) of x, one a row, those beyond the end zero. @param x [n, samples]  @param tile [kTile, n], out
void load_tile(MatrixIn x, Index first, Eigen::Ref<MatrixXd> tile);

/// Returns the log of the sum of the components' densities. Where a component is negligible in the sum for every sample of the
/// tile, its column of log_z may hold a bound instead that is below the sum by more than kNegligible.
/// @param components weights belong to their log_normaliser  @param tile [kTile, n] one sample a row
/// @param nearest where to begin: a component that is large  @param log_z [kTile, K] log density of each component, out
TileArray log_mixture(const std::vector<Whitening>& components, const double* tile, Index nearest, TileMatrix& log_z);

}  // namespace kedge
