// Minimisation of a smooth function under equations and within bounds, by sequential quadratic programming (NLopt's LD_SLSQP).
// For problems of a few dozen variables. Deterministic.
#pragma once

#include <functional>
#include <string>

#include "kedge/core/types.h"

namespace kedge {

/// minimise f(x)  such that  h(x) = 0,  lower <= x <= upper.
struct EqualityProblem {
  /// Computes f(x). @param gradient [n], out: df/dx
  std::function<double(VectorIn x, VectorOut gradient)> f;
  /// Computes h(x). @param h [m], out  @param gradients [n, m], out: column i is dh_i/dx
  std::function<void(VectorIn x, VectorOut h, MatrixOut gradients)> h;
  Index equations = 0;    ///< m >= 1
  VectorXd lower, upper;  ///< [n], infinities allowed
};

struct SlsqpOptions {
  double tolerance = 1e-10;  ///< largest |h_i| of a solution, > 0
  double slope = 1e-6;       ///< largest entry of df + sum_i lambda_i dh_i at a solution, where no bound holds it, > 0
  int max_evaluations = 1000;  ///< of f, >= 1
};

struct SlsqpResult {
  bool found = false;      ///< a minimum at which the equations hold
  std::string message;     ///< the numbers that decided, one line
  VectorXd x;              ///< [n] where the search ended, within the bounds
  double value = 0.0;      ///< f(x)
  double violation = 0.0;  ///< largest |h_i(x)|
  double slope = 0.0;      ///< of the best multipliers lambda
  int evaluations = 0;
};

/// NLopt ends where its values stop changing, be it far from a solution; so every end is judged by the two tolerances, and the
/// search goes on from there as long as that helps.
/// @param start [n] within the bounds. Exceptions of f and h are passed on.
/// @throws InputError if sizes do not agree or the start is not within the bounds
[[nodiscard]] SlsqpResult slsqp(const EqualityProblem& problem, VectorXd start, const SlsqpOptions& options = {});

}  // namespace kedge
