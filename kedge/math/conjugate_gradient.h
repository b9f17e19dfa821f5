// Linear equations A x = b with a symmetric positive definite A that is known by its products alone, by conjugate gradients
// [HestenesStiefel1952].
#pragma once

#include <functional>

#include "kedge/core/types.h"

namespace kedge {

/// Returns A v. @param v [n]  @return [n]
using LinearMap = std::function<VectorXd(const VectorXd& v)>;

struct ConjugateGradientOptions {
  int iterations = 10;       ///< at most, >= 1
  double tolerance = 1e-10;  ///< the search ends where |b - A x| <= tolerance |b|, >= 0
};

enum class ConjugateGradientStatus {
  converged,       ///< the residual is within its tolerance
  max_iterations,  ///< as many iterations as are allowed: x is the best point of the Krylov space so far
  not_positive,    ///< v'A v <= 0 for a direction v: A is not positive definite
  not_finite,      ///< b, a product or a sum is not finite
};
const char* to_string(ConjugateGradientStatus status);

struct ConjugateGradient {
  ConjugateGradientStatus status = ConjugateGradientStatus::converged;
  VectorXd x;             ///< [n] finite: the last point before `status` was seen
  double residual = 0.0;  ///< |b - A x| / |b| by the recursion; 0 for b = 0; NaN if b is not finite
  int iterations = 0;     ///< products of A
};

/// Solves A x = b from x = 0. @param b [n]  @throws InputError if an option is out of its range
[[nodiscard]] ConjugateGradient conjugate_gradient(const LinearMap& A, VectorIn b,
                                                   const ConjugateGradientOptions& options = {});

}  // namespace kedge
