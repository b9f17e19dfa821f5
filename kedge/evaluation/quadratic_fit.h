// The local quadratic models of MOTO [Akrour2018, Sec. 4.1]: weighted ridge regression of Q and V on whitened, orthonormal
// quadratic features. Q is the return to go (maximised): the sign of the costs is turned here and nowhere else.
//
// Features, Gram matrix and its factor do not depend on the regression targets: `backward_fit.h` prepares them for several
// steps in parallel, while its backward pass over time only forms right-hand sides.
#pragma once

#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "kedge/evaluation/importance_weights.h"
#include "kedge/evaluation/whitening.h"
#include "kedge/math/hermite.h"
#include "kedge/system/task.h"

namespace kedge {

/// The regression problem of one step: its samples, and the coordinates in which the model is fitted.
struct RegressionProblem {
  /// Its cost terms are summed again for every sample, as they apply to step t (Sec. 4.2.1).
  const Task& task;

  /// Step that is fitted, in [0, T).
  int t;

  /// The stored transitions. `samples.row` counts through them.
  const std::deque<Transitions>& data;
  const WeightedSamples& samples;

  /// Whitens state and action at t.
  const Whitening& map;

  /// Whitens the state at t + 1: only the state's part of it is read. Null at the last step.
  const Whitening* next_map;
};

struct RegressionOptions {
  /// lambda of Eq. 6: the loss is the weighted mean of squared errors plus lambda |w|^2.
  double ridge = 1e-3;

  /// True: the targets are the costs to go of each sample's own rollout (Sec. 4.1.1).
  bool monte_carlo = false;

  /// Weight of V_{t+1} in the target of step t, in [0, 1]. Not read for Monte Carlo.
  double discount = 1.0;
};

/// A regression without its targets. An object that is reused keeps its memory.
struct Regression {
  Index n = 0;  ///< ds + da

  /// [padded(n + 1), >= N] one sample a column: 1, whitened state and action, zeros
  MatrixXd z;

  /// [>= N, ds] whitened next states. Not set where the targets need none: at the last step, and for Monte Carlo.
  MatrixXd next;

  VectorXd weight;  ///< [N] sum 1

  /// [N] cost of step t. The last step's includes the cost of the final state; for Monte Carlo it is the cost to go.
  VectorXd cost;

  /// [padded(p), p] Cholesky factor (lower triangle) of sum_k w_k phi_k phi_k' + ridge, the constant not penalised. Its
  /// leading columns are the factor for the features of the state alone.
  MatrixXd factor;
};

/// Computes everything of a regression that does not depend on its targets.
/// @param regression out  @return false if there is no sample, or the Gram matrix plus ridge is not positive definite
[[nodiscard]] bool prepare_regression(const RegressionProblem& problem, const RegressionOptions& options,
                                      Regression& regression);

/// Q~_t and V~_t in whitened coordinates: Q(z), z = [xi; alpha], and V(xi).
struct QuadraticFit {
  Quadratic q;      ///< [ds + da]
  Quadratic v;      ///< [ds]
  double r2 = 0.0;  ///< weighted coefficient of determination of Q; 1 if the targets are constant

  /// Share of the weight whose next state has a V~ beyond `ValueBounds`: there the bound is the target. 0 for Monte Carlo.
  double bounded = 0.0;
};

/// Limits of the value of a state, whatever a fitted quadratic says far from its samples.
struct ValueBounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

/// Fits both models to the targets by weighted ridge regression. @param target [N] returns to go
/// @return nullopt if a coefficient is not finite
std::optional<QuadraticFit> fit_quadratics(const Regression& regression, VectorIn target, Index ds, double ridge);

/// Fits both models to the targets r_t + V~_{t+1}(s') (Sec. 4.1.2).
/// @param ds dimension of the state
/// @param next_v V~_{t+1}. Null at the last step, whose cost includes that of the final state. Not read for Monte Carlo.
/// @param next_bounds of V_{t+1}: V~_{t+1}(s') counts as the nearest value within
std::optional<QuadraticFit> fit_step(const Regression& regression, Index ds, const RegressionOptions& options,
                                     const Quadratic* next_v, const ValueBounds& next_bounds);

}  // namespace kedge
