// Rollouts as a file.
//
//   attributes  kind = "trajectories", kedge_version, task, control_step (s); optional: state_names [nx], action_names [da]
//   datasets    state [N, T+1, nx], observation [N, T, ds], action [N, T, da] as commanded, before limits,
//               cost [N, T+1], diverged_at [N] (-1: never), C order; where rollouts ended early, ended_at [N] (-1: not)
//
// A rollout that diverged at step t is zero after state t. One that ended early at state t stays there.
#pragma once

#include <string>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/files/atomic_file.h"
#include "kedge/system/task.h"

namespace kedge {

/// What the entries of a trajectory are called; either may be empty: unknown.
struct TrajectoryNames {
  std::vector<std::string> state;   ///< [nx]
  std::vector<std::string> action;  ///< [da]
};

/// Writes rollouts. @param task its name  @param control_step seconds
/// @throws SystemError
void save_trajectories(const FileName& file, const Batch& batch, const std::string& task, double control_step,
                       const TrajectoryNames& names = {}, Durability durability = Durability::power);

/// Reads the first trajectory of such a file, or of a recording made with other tools: datasets `state` [N, T+1, nx]
/// and `action` [N, T, da], or [T+1, nx] and [T, da] of one trajectory; any number type, finite. A rollout that
/// diverged is cut before that step, one that ended early at its end. Where file and task both name their entries, the
/// result has the task's order.
/// @param task  its name, for messages
/// @throws InputError naming file, dataset, value and rule, or the names in which file and task differ
Demonstration load_demonstration(const FileName& file, const TrajectoryNames& names = {}, const std::string& task = "");

}  // namespace kedge
