// The cost and the success of a task's demonstration: its actions, played from its first state.
#pragma once

#include <string>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/system/task.h"

namespace kedge {

/// A cost term along the demonstration.
struct DemonstratedTerm {
  std::string name;
  double cost = 0.0;  ///< summed over the steps where the term is active

  /// [n] Mean and root mean square of residual + target over those steps; empty for sensors.
  VectorXd mean, rms;

  VectorXd target;  ///< [n]
};

struct DemonstrationReport {
  Batch batch;                          ///< one rollout of T' steps
  std::vector<DemonstratedTerm> terms;  ///< as in task.cost

  /// Largest difference between a recorded state and the simulated one that follows from the recorded state and action
  /// before (system/demonstration.h). It is 0 if the task's own system made the demonstration, and infinite if a step
  /// diverges.
  double replay_error = 0.0;
};

/// Returns the names of a task's actions and, where it is that of a MuJoCo model, of the entries of its state.
TrajectoryNames trajectory_names(const Task& task);

/// Plays the actions of a task's demonstration. @param task with a demonstration
DemonstrationReport demonstrate(const Task& task);

}  // namespace kedge
