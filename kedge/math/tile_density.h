// Densities of samples under Gaussians, a tile of samples at a time: the inner loop of the importance weights. Each sample has
// a lane of its own, so that its density depends on it and on who is in its tile, not on the width of the processor's vectors.
#pragma once

#include "kedge/core/types.h"
#include "kedge/math/whitening.h"

namespace kedge {

/// Samples are evaluated in tiles of this many, counted from the first sample of an epoch (the last tile padded): every
/// rounding error depends on the data alone.
inline constexpr Index kTile = 32;
using TileArray = Eigen::Array<double, kTile, 1>;

/// Computes log z of a tile of samples under one component: log_normaliser - |W x - b|^2 / 2. Where the first rows of W already
/// show that no sample reaches `needed`, the others are left out: what comes out is then too large, yet below `needed`.
/// @param tile [kTile, n] one sample a row  @param log_z [kTile], out
/// @return whether log_z is the value and not a bound
bool log_density(const Whitening& component, const double* tile, const TileArray& needed, double* log_z);

}  // namespace kedge
