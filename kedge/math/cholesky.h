// A Cholesky factor built on sums of outer products (outer_products.h), whose order does not depend on the processor.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// Replaces the lower triangle of a symmetric A by L with A = L L'. The part above the diagonal is neither read nor kept.
/// @param A [padded(n), n], the surplus rows finite
/// @return false if A is not positive definite or not finite; A then holds no result
bool cholesky(Eigen::Ref<MatrixXd> A);

}  // namespace kedge
