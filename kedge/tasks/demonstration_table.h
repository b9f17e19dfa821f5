// The table [demonstration] of a task file. Internal to kedge/tasks.
#pragma once

#include <mujoco/mujoco.h>

#include <memory>
#include <stop_token>
#include <string>

#include "kedge/files/toml_value.h"
#include "kedge/system/task.h"

namespace kedge {

struct DemonstrationTable {
  Demonstration demonstration;  ///< at most task.horizon steps
  std::string file;             ///< absolute path of the recording; empty: a controller made it
  std::string text;             ///< its origin, for people
  toml::table resolved;         ///< every key but `file`
};

/// Reads a recording, or lets a controller make one.
/// @param task   with system, clock, actions and start: everything but the demonstration itself
/// @param model  of the task's system  @param folder  that relative paths start from
/// @param allowed  folder that a recording must be in; empty: it may be anywhere
/// @param stop   ends a controller
/// @throws InputError with the place of the value that is wrong, Cancelled
DemonstrationTable read_demonstration(const Value& section, const Task& task,
                                      const std::shared_ptr<const mjModel>& model, const std::string& folder,
                                      const std::string& allowed, const std::stop_token& stop);

}  // namespace kedge
