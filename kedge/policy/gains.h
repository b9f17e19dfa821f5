// The product K s of linear controllers, which programs outside kedge repeat to the last bit (kedge/export).
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// Adds K s: a_i becomes ((a_i + K_i1 s_1) + K_i2 s_2) + ..., every product and every sum rounded by itself, nothing fused.
/// @param K [da, ds]  @param s [ds]  @param a [da], in and out
void add_gains(const MatrixXd& K, VectorIn s, VectorOut a);

}  // namespace kedge
