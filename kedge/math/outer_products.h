// The inner loop of the dense algebra that is done here and not by Eigen: sums of outer products of many short vectors, and
// the Cholesky factor built on them. What a sum adds up, and in which order, depends on its arguments alone, not on
// addresses or threads.
#pragma once

#include <span>

#include "kedge/core/types.h"
#include "kedge/math/lanes.h"

namespace kedge {

/// n rounded up to whole registers.
constexpr Index padded(Index n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// sum(c, r) += sum_k a(row[r], k) b(c, k), for c < width, k < count; column k of a is at a + k a_stride, that of b at
/// b + k b_stride, column r of sum at sum + r width.
/// @param width a multiple of kLanes
void add_outer_products(const double* a, Index a_stride, std::span<const Index> row, const double* b, Index b_stride,
                        Index width, Index count, double* sum);

/// Replaces the lower triangle of a symmetric A by L with A = L L'. The part above the diagonal is neither read nor kept.
/// @param A [padded(n), n], the surplus rows finite
/// @return false if A is not positive definite or not finite; A is then of no use
bool cholesky(Eigen::Ref<MatrixXd> A);

}  // namespace kedge
