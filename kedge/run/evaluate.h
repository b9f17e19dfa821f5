// The performance of a policy on a task: rollouts, summarised.
#pragma once

#include <optional>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/core/run.h"
#include "kedge/files/policy_file.h"
#include "kedge/policy/policy.h"
#include "kedge/system/task.h"

namespace kedge {

struct EvaluationOptions {
  int rollouts = 100;          ///< N >= 1
  bool deterministic = false;  ///< the mean action, no exploration noise; the start is still drawn
};

/// Rollouts that diverged have no return; they count as failures.
struct Evaluation {
  int rollouts = 0;
  int diverged = 0;
  int ended_early = 0;                 ///< no successes either; they have returns
  int succeeded = 0;                   ///< 0 where the task has no success measure
  std::vector<double> returns;         ///< returns of the rollouts that did not diverge, in order
  std::vector<double> success_values;  ///< success measures of those that did not end early; empty if the task has none
  double saturated = 0.0;              ///< fraction of commanded action entries outside their limits, in [0, 1]
  Batch batch;

  [[nodiscard]] double success_rate() const { return static_cast<double>(succeeded) / rollouts; }
};

/// Returns a policy file for a task's observations and actions, matched by their names, whatever their order. A file without
/// names is taken as it is.
/// @param file  for messages  @throws InputError with both lists of names if they are not the same names
PolicyFile for_task(const Task& task, PolicyFile policy, const std::string& file);

/// Runs the rollouts. Their random numbers depend on run.seed and differ from those of every training iteration.
/// @return nullopt if run.stop was requested before all were done
/// @throws InputError if policy and task do not fit together
std::optional<Evaluation> evaluate(const Task& task, const Policy& policy, const EvaluationOptions& options,
                                   const Run& run);

}  // namespace kedge
