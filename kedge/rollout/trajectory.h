// One trajectory under any law of action: what a line search looks at.
#pragma once

#include <functional>

#include "kedge/core/types.h"
#include "kedge/system/task.h"

namespace kedge {

/// Finite up to and including state `diverged_at`; what follows is zero.
struct Trajectory {
  MatrixXd x;            ///< [nx, T+1]
  MatrixXd a;            ///< [da, T] as commanded
  MatrixXd y;            ///< [ny, T+1] sensors
  VectorXd cost;         ///< [T+1] of the active terms
  double success = 0.0;  ///< value of the task's measure; NaN if none is declared or diverged
  int diverged_at = -1;  ///< step; -1: never
};

/// @param x [nx]  @param a [da], out
using ActionLaw = std::function<void(int t, VectorIn x, VectorOut a)>;

/// T steps of the task from x0. @param system a clone of the task's, reset here
Trajectory simulate(const Task& task, System& system, VectorIn x0, const ActionLaw& law);

}  // namespace kedge
