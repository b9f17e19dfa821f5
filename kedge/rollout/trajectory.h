// One trajectory of a task from a given state under a law of action, with its sensors: the data of a line search.
#pragma once

#include "kedge/rollout/episode.h"

namespace kedge {

/// A trajectory of T steps. It is finite up to and including state `diverged_at`, and zero from there on.
struct Trajectory {
  MatrixXd x;            ///< [nx, T+1]
  MatrixXd a;            ///< [da, T] as commanded
  MatrixXd y;            ///< [ny, T+1] sensors
  VectorXd cost;         ///< [T+1] of the active terms
  double success = 0.0;  ///< value of the task's measure; NaN if none is declared or diverged
  int diverged_at = -1;  ///< step; -1: never
  std::string why = {};  ///< it diverged; empty if it did not
};

/// Simulates T steps of the task from x0. @param system a clone of the task's, reset here  @param law sees the state x
Trajectory simulate(const Task& task, System& system, VectorIn x0, const ActionLaw& law);

}  // namespace kedge
