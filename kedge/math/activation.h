// The smooth functions that networks are made of, written so that a number's result does not depend on where in a vector,
// in what company, or in how wide a vector it is computed.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// Replaces every z by log(1 + exp(z)); slope 1 / (1 + exp(-z)). Relative error of both below 1e-15 for z > -700, below that
/// 1e-304 at most.
/// @param count a multiple of kLanes  @param z [count]  @param slope [count] out, or nullptr
void apply_softplus(Index count, double* z, double* slope);

/// Replaces every z by tanh(z); slope 1 - tanh(z)^2. Relative error of both below 1e-15 for |z| < 350.
/// @param count a multiple of kLanes  @param z [count]  @param slope [count] out, or nullptr
void apply_tanh(Index count, double* z, double* slope);

}  // namespace kedge
