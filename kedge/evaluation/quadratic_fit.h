// The local quadratic models of MOTO [Akrour2018, Sec. 4.1]: weighted ridge regression of Q and V on whitened, orthonormal
// quadratic features. Q is the return to go (maximised): the sign of the costs is turned here and nowhere else.
//
// What does not depend on the regression targets (features, Gram matrix, its factor) is prepared for several steps in parallel;
// the backward pass over time, which follows, only forms right-hand sides.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "kedge/evaluation/importance_weights.h"
#include "kedge/evaluation/whitening.h"
#include "kedge/math/hermite.h"
#include "kedge/system/task.h"

namespace kedge {

/// One step's regression problem without its targets.
struct Regression {
  Index n = 0;      ///< ds + da
  MatrixXd z;       ///< [padded(n + 1), >= N] one sample a column: 1, whitened state and action, zeros
  MatrixXd next;    ///< [>= N, ds] whitened next states; of no use where targets need none: the last step, Monte Carlo
  VectorXd weight;  ///< [N] sum 1
  VectorXd
      cost;  ///< [N] cost of step t; at the last step with the cost of the final state; Monte Carlo: the cost to go
  /// [padded(p), p] Cholesky factor (lower triangle) of sum_k w_k phi_k phi_k' + ridge, the constant not penalised. Its
  /// leading columns are the factor that belongs to the features of the state alone.
  MatrixXd factor;
};

struct RegressionOptions {
  double ridge = 1e-3;       ///< lambda of Eq. 6: the loss is the weighted MEAN of squared errors plus lambda |w|^2
  bool monte_carlo = false;  ///< cost is the cost to go of the sample's own rollout (Sec. 4.1.1)
};

/// @param t step that is fitted: its costs are recomputed from the stored cost terms for every sample (Sec. 4.2.1)
/// @param data the transitions that samples.row counts through
/// @param map of state and action at t
/// @param next_map the same at t + 1, or of the state alone: only the state's part is read; null at the last step
/// @param memory of a regression that is not needed any more: used again, because fresh memory takes time
/// @return nullopt if there is no sample or the ridge does not make the Gram matrix positive definite
std::optional<Regression> prepare_regression(const Task& task, int t, const std::deque<Transitions>& data,
                                             const WeightedSamples& samples, const Whitening& map,
                                             const Whitening* next_map, const RegressionOptions& options,
                                             Regression memory = {});

/// Q~_t and V~_t in whitened coordinates: Q(z), z = [xi; alpha], and V(xi).
struct QuadraticFit {
  Quadratic q;      ///< [ds + da]
  Quadratic v;      ///< [ds]
  double r2 = 0.0;  ///< of Q, weighted; 1 if the targets are constant
};

/// Weighted ridge regression of the targets. @param target [N] returns to go
/// @return nullopt if a coefficient is not finite
std::optional<QuadraticFit> fit_quadratics(const Regression& regression, VectorIn target, Index ds, double ridge);

/// Sec. 4.1.2: fit_quadratics to the targets r_t + V~_{t+1}(s').
/// @param ds dimension of the state
/// @param next_v V~ of the step after; null where the targets need none: at the last step of all, whose cost contains that
///        of the final state. Not read for Monte Carlo targets.
std::optional<QuadraticFit> fit_step(const Regression& regression, Index ds, const RegressionOptions& options,
                                     const Quadratic* next_v);

/// fit_step for the last of consecutive steps to the first.
/// @param regressions [n] of the steps  @param next_v V~ after the last of these steps, as above
/// @param failed out: the entry of `regressions` that failed
/// @return [n], or nullopt
std::optional<std::vector<QuadraticFit>> fit_backwards(const std::vector<Regression>& regressions, Index ds,
                                                       const RegressionOptions& options, const Quadratic* next_v,
                                                       int& failed);

}  // namespace kedge
