// Small strictly convex quadratic programs with bounds, by the primal active-set method [Nocedal2006, Sec. 16.5].
#pragma once

#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// Result and scratch. A reused object allocates nothing.
struct BoxQp {
  VectorXd x;              ///< [n] the minimiser; entries that are not free are equal to their bound
  std::vector<char> free;  ///< [n] 1: not held by a bound
  MatrixXd factor;         ///< [n, n] lower Cholesky factor of H of the free entries, in the leading corner
  VectorXd gradient, step;
};

/// Minimises  g'x + x'H x / 2  subject to  low <= x <= high.
/// @param H [n, n] symmetric positive definite  @param g [n]  @param low, high [n] low <= high, may be infinite
/// @return false if numbers are not finite, H is not positive definite, or it is so nearly singular that rounding decides
/// which bounds hold
[[nodiscard]] bool box_qp(MatrixIn H, VectorIn g, VectorIn low, VectorIn high, BoxQp& qp);

/// Solves H_FF Z_F = R_F for the free entries F with the factor that box_qp left; the other rows become 0.
/// @param R [n, m], in: right-hand sides, out: solutions
void solve_free(const BoxQp& qp, MatrixOut R);

}  // namespace kedge
