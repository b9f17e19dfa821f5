// The table [world] of a task file. Internal to kedge/tasks.
#pragma once

#include <mujoco/mujoco.h>

#include <memory>
#include <vector>

#include "kedge/files/toml_value.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/worlds/world.h"

namespace kedge {

/// Makes the system of a task: the model alone, or the world that the file names around it.
/// @param model  with its final time step  @param laws  joint limits
/// @throws InputError with the place of the value that is wrong
World read_world(const Value& root, const std::shared_ptr<mjModel>& model, int substeps, std::vector<JointLimit> laws,
                 toml::table& resolved);

}  // namespace kedge
