// Rollouts as a file.
//
//   attributes  kind = "trajectories", kedge_version, task, control_step (s)
//   datasets    state [N, T+1, nx], observation [N, T, ds], action [N, T, da] as commanded, before limits,
//               cost [N, T+1], diverged_at [N] (-1: never), C order
//
// A rollout that diverged at step t is zero behind state t.
#pragma once

#include <filesystem>
#include <string>

#include "kedge/core/types.h"
#include "kedge/experiment/atomic_file.h"

namespace kedge {

/// @param task its name  @param control_step seconds
/// @throws SystemError
void save_trajectories(const std::filesystem::path& path, const Batch& batch, const std::string& task,
                       double control_step, Durability durability = Durability::power);

}  // namespace kedge
