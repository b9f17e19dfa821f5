// A quadratic value function V_t(s) of every time step, fitted backwards in time to the rollouts of one policy of any kind, as
// MOTO evaluates its own [Akrour2018, Sec. 4.1.2; Sec. 7.3].
#pragma once

#include <string>
#include <vector>

#include "kedge/core/outcome.h"
#include "kedge/evaluation/whitening.h"
#include "kedge/math/lq.h"
#include "kedge/system/task.h"

namespace kedge {

struct Batch;

struct QuadraticValue {
  std::vector<Whitening> map;  ///< [T] coordinates of the state at t
  std::vector<Quadratic> v;    ///< [T] in those coordinates

  /// Returns V_t(s): the return from t on, in the unit of the task's cost; 0 at T. @param t in [0, T]  @param s [ds]
  [[nodiscard]] double operator()(int t, VectorIn s) const;
};

/// Fits V to the usable rollouts. @param discount of the return, in [0, 1]  @param ridge see RegressionOptions
/// @return a failure if fewer than two rollouts are usable or a regression is degenerate
Outcome<QuadraticValue> fit_quadratic_value(const Task& task, const Batch& batch, double discount, double ridge,
                                            int threads);

}  // namespace kedge
