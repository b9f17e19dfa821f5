// Sums of products where large terms cancel: as if computed in twice double's precision and rounded once.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// Returns (A x + a) - (B x + b) [Ogita, Rump, Oishi 2005: Accurate sum and dot product, Alg. 5.3, Dot2]. With
/// u = 1.1e-16 the error of an entry is at most u |result| + (2 n u)^2 (|A||x| + |a| + |B||x| + |b|), as long as no product
/// underflows.
/// @param A, B [m, n]  @param a, b [m]  @param x [n]  @return [m]
VectorXd affine_difference(const MatrixXd& A, const VectorXd& a, const MatrixXd& B, const VectorXd& b,
                           const VectorXd& x);

}  // namespace kedge
