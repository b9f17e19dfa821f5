// (Task, Policy, seed, n) -> Batch: the only place where a policy meets a simulator.
#pragma once

#include <optional>

#include "kedge/core/batch.h"
#include "kedge/core/run.h"
#include "kedge/policy/policy.h"
#include "kedge/system/task.h"

namespace kedge {

struct RolloutOptions {
  int rollouts = 1;             ///< N >= 1
  std::uint32_t iteration = 0;  ///< names the random numbers, with run.seed and the number of the rollout
  bool explore = true;          ///< false: the mean action, no exploration noise
};

/// Runs N independent rollouts. Rollout n depends only on (run.seed, iteration, n): not on threads, not on N.
/// @return nullopt if run.stop was requested before all were done.
std::optional<Batch> rollout(const Task& task, const Policy& policy, const RolloutOptions& options, const Run& run);

}  // namespace kedge
