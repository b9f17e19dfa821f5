// Sums of outer products of many short vectors, and a Cholesky factor built on them: inner loops that do not use Eigen.
// The terms of a sum and their order depend on its arguments alone, not on addresses or threads.
#pragma once

#include <span>

#include "kedge/core/types.h"
#include "kedge/math/lanes.h"

namespace kedge {

/// Returns n rounded up to whole registers.
constexpr Index padded(Index n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// Computes sum(c, r) += sum_k a(row[r], k) b(c, k), for c < width, k < count; column k of a is at a + k a_stride, that
/// of b at b + k b_stride, column r of sum at sum + r width.
/// @param width a multiple of kLanes
void add_outer_products(const double* a, Index a_stride, std::span<const Index> row, const double* b, Index b_stride,
                        Index width, Index count, double* sum);

/// Replaces the lower triangle of a symmetric A by L with A = L L'. The part above the diagonal is neither read nor kept.
/// @param A [padded(n), n], the surplus rows finite
/// @return false if A is not positive definite or not finite; A then holds no result
bool cholesky(Eigen::Ref<MatrixXd> A);

}  // namespace kedge
