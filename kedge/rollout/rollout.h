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
/// @param plan of episode n; called on any thread, once for each n, with the system that will run it and that it may use
/// @return nullopt if run.stop was requested before all were done
/// @throws InputError if an initial state does not fit the task, or an option is out of its range
std::optional<Batch> run_episodes(const Task& task, int rollouts,
                                  const std::function<EpisodePlan(int n, System& system)>& plan, const Run& run);

/// Returns the initial state of rollout n of an iteration. @return [nx]
VectorXd start_of_rollout(const Task& task, std::uint64_t seed, std::uint32_t iteration, int n);

/// Returns the inverse dynamics of the task's actions: of actions that drive a coordinate each, around the middle of the
/// start. Empty if an action does not, or the system has none.
/// @param task outlives the result  @param system a clone of the task's, which it uses; outlives the result
InverseDynamics inverse_dynamics(const Task& task, System& system);

/// Returns the coordinate that each action drives; empty if one drives none. @return [da]
std::vector<Drive> driven(const Task& task);

/// Reads the sensors along the usable rollouts of a batch, by simulating every step again from its state: they are those that the
/// rollout had, bit for bit. Only `threads` and `stop` of `run` count.
/// @return [ny, N (T+1)] in the layout of Batch::state, zero where a rollout is not usable; nullopt if run.stop was requested
std::optional<MatrixXd> batch_sensors(const Task& task, const Batch& batch, const Run& run);

}  // namespace kedge
