// Sums of outer products of many short vectors: the inner loop of the regressions, for which Eigen is not used. The terms
// of a sum and their order depend on its arguments alone, not on addresses, threads or the width of the processor's vectors.
#pragma once

#include <span>

#include "kedge/core/types.h"

namespace kedge {

/// Computes sum(c, r) += sum_k a(row[r], k) b(c, k), for c < width, k < count; column k of a is at a + k a_stride, that of b at
/// b + k b_stride, column r of sum at sum + r width.
/// @param width a multiple of kLanes
void add_outer_products(const double* a, Index a_stride, std::span<const Index> row, const double* b, Index b_stride,
                        Index width, Index count, double* sum);

}  // namespace kedge
