// The regulator that holds a rest for ever: the infinite-horizon linear-quadratic problem
//
//   minimise sum_t (dx'Hxx dx / 2 + du'Hux dx + du'Huu du / 2),   dx' = A dx + B du
//
// Its value is dx'P dx / 2, with P the stabilising solution of the discrete algebraic Riccati equation
//
//   P = Hxx + A'P A - (Hux + B'P A)'(Huu + B'P B)^-1 (Hux + B'P A),   K = -(Huu + B'P B)^-1 (Hux + B'P A),
//
// found by doubling (structure-preserving doubling algorithm [Chu, Fan, Lin & Wang 2004]): iteration k is 2^k steps of the
// backward recursion from P = 0.
#pragma once

#include <complex>

#include "kedge/math/lq.h"

namespace kedge {

enum class StationaryStatus {
  ok,
  not_curved,        ///< Huu is not positive definite: an action costs nothing
  not_stabilisable,  ///< no action moves a mode that does not die out by itself
  not_detectable,    ///< the cost does not see a mode that runs away
  no_solution,       ///< the iteration did not converge to gains that bring dx to 0
};

struct StationaryLqr {
  StationaryStatus status = StationaryStatus::ok;
  std::complex<double> eigenvalue = 0.0;  ///< of the mode; 0 where the status names none
  Index entry = -1;                       ///< of dx, the largest of that mode; -1: none
  MatrixXd K;                             ///< [da, ndx] du = K dx
  MatrixXd P;                             ///< [ndx, ndx] symmetric, positive semidefinite
};

/// Solves it. All eigenvalues of A + B K are then inside the unit circle, but for those of coordinates that the cost does not
/// see and that stay where they are: a cyclic one, like the place of a robot that may stand anywhere. dx is bounded for ever.
/// @param A [ndx, ndx]  @param B [ndx, da]  @param q  Hxx, Hux, Huu, jointly positive semidefinite; nothing else is read
/// @return K and P only where status is ok
StationaryLqr stationary_lqr(const MatrixXd& A, const MatrixXd& B, const StageCost& q);

}  // namespace kedge
