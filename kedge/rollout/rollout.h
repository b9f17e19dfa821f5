// (Task, Policy, seed, n) -> Batch: many independent episodes at once.
#pragma once

#include <functional>
#include <optional>

#include "kedge/core/batch.h"
#include "kedge/core/run.h"
#include "kedge/policy/policy.h"
#include "kedge/rollout/episode.h"
#include "kedge/system/task.h"

namespace kedge {

struct RolloutOptions {
  int rollouts = 1;             ///< N >= 1
  std::uint32_t iteration = 0;  ///< names the random numbers, with run.seed and the number of the rollout
  bool explore = true;          ///< false: the mean action, no exploration noise
  int first = 0;                ///< number of the first rollout, >= 0
};

/// Runs N independent rollouts of a policy. Rollout n depends only on (run.seed, iteration, first + n): not on threads, not
/// on N.
/// @return nullopt if run.stop was requested before all were done
/// @throws InputError if policy and task do not fit together, or an option is out of its range
std::optional<Batch> rollout(const Task& task, const Policy& policy, const RolloutOptions& options, const Run& run);

/// The parameters of one episode.
struct EpisodePlan {
  VectorXd x0;    ///< [nx] initial state
  ActionLaw law;  ///< sees the observation s
};

/// Runs N independent episodes, each with its own initial state and law. Only `threads` and `stop` of `run` are read.
/// @param plan of episode n; called on any thread, once for each n
/// @return nullopt if run.stop was requested before all were done
/// @throws InputError if an initial state does not fit the task, or an option is out of its range
std::optional<Batch> run_episodes(const Task& task, int rollouts, const std::function<EpisodePlan(int n)>& plan,
                                  const Run& run);

/// Reads the sensors along the usable rollouts of a batch, by simulating every step again from its state: they are those that the
/// rollout had, bit for bit. Only `threads` and `stop` of `run` count.
/// @return [ny, N (T+1)] in the layout of Batch::state, zero where a rollout is not usable; nullopt if run.stop was requested
std::optional<MatrixXd> batch_sensors(const Task& task, const Batch& batch, const Run& run);

}  // namespace kedge
