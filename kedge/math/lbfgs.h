// Minimisation of a smooth function of many variables, within bounds, by L-BFGS (NLopt's LD_LBFGS). Deterministic.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "kedge/core/types.h"

namespace kedge {

/// Computes f(x) and its gradient. @param x [n]  @param gradient [n], out: df/dx  @return f, which is minimised
using Objective = std::function<double(VectorIn x, VectorOut gradient)>;

struct LbfgsOptions {
  int storage = 20;            ///< steps that the model of the curvature remembers, >= 1
  int max_evaluations = 1000;  ///< evaluations of the function, >= 1

  /// The search ends where no entry of the gradient is larger, except those that push against their bound. > 0.
  double gradient_tolerance = 1e-6;

  VectorXd lower, upper;  ///< [n] box, infinities allowed; empty: no bound
  std::stop_token stop;   ///< polled before every evaluation
};

enum class LbfgsStatus {
  converged,        ///< the gradient is within its tolerance
  max_evaluations,  ///< as many evaluations as are allowed

  /// The value no longer falls, but the gradient is above its tolerance: rounding, or not the function's gradient.
  stalled,

  cancelled,   ///< by `stop`
  not_finite,  ///< the function returned a value or a gradient that is not finite
};
const char* to_string(LbfgsStatus status);

/// For every status, `x` is the best point seen among those with finite value and gradient, or the start.
struct LbfgsResult {
  LbfgsStatus status = LbfgsStatus::stalled;
  std::string message;    ///< the numbers that decided, one line
  VectorXd x;             ///< [n], within the box
  double before = 0.0;    ///< f at the start; NaN if not evaluated
  double after = 0.0;     ///< f(x) <= before
  double gradient = 0.0;  ///< largest entry of the gradient at x, except those that push against their bound
  int evaluations = 0;
};

/// Minimises f from `start`. The objective is scaled inside, so that the first trial step moves no entry by more than one;
/// where NLopt gives up above the tolerance it is started again at the best point, as long as that helps. Exceptions of f
/// are passed on.
/// @param start [n] within the box
/// @throws InputError if an option is out of its range, sizes do not agree, or the start is not finite or outside the box
[[nodiscard]] LbfgsResult lbfgs(const Objective& f, VectorXd start, const LbfgsOptions& options);

}  // namespace kedge
