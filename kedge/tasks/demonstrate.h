// What a task's demonstration is worth: its actions, played from its first state.
#pragma once

#include <string>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/system/task.h"

namespace kedge {

struct DemonstratedTerm {
  std::string name;
  double cost = 0.0;   ///< over the steps where the term is active
  VectorXd mean, rms;  ///< [n] of what each residual looks at, residual + target, over those steps; empty for sensors
  VectorXd target;     ///< [n]
};

struct DemonstrationReport {
  Batch batch;                          ///< one rollout of T' steps
  std::vector<DemonstratedTerm> terms;  ///< as in task.cost
  /// Largest difference between what the simulation makes of a recorded state and action, and the next recorded state:
  /// 0 for what the task's own system made, anything for a recording. Infinite if such a step diverges.
  double replay_error = 0.0;
};

/// @param task with a demonstration
DemonstrationReport demonstrate(const Task& task);

}  // namespace kedge
