// The subject of a verb such as `evaluate`: a run, or a policy file with its task.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/files/directory.h"
#include "kedge/policy/kinds.h"
#include "kedge/tasks/task_file.h"

namespace kedge {

struct Subject {
  std::string name;           ///< as it was given
  FileName policy_file = "";  ///< the named file, or policy.h5 of the run
  bool is_run = false;
  std::filesystem::path run_directory;  ///< if it is a run
  TaskFile task;
};

/// Finds a policy file: the named one, or that of a run.
/// @param what  a run's directory or a policy file  @throws InputError if there is no such run or policy
FileName find_policy(const std::string& what);

/// Returns the controller that a contextual policy chooses for the episode that begins at x0.
/// @param x0 [nx]  @throws InputError if the policy chooses none, x0 does not fit the task, or the robot's model fails
AnyPolicy chosen_controller(const AnyPolicy& policy, const Task& task, VectorIn x0);

/// Finds a run or a policy file, with its task.
/// @param what  a run's directory or a policy file
/// @param task  name or path of the task to run on; "": the one of the run in whose directory `what` is
/// @param set   "task.actions.limit=10" or "actions.limit=10": changes of the task, in order
/// @param stop  passed to `load_task`
/// @throws InputError if there is no such run, policy or task
/// @throws Cancelled if a stop is requested
Subject find_subject(const std::string& what, const std::string& task, const std::vector<std::string>& set,
                     const std::stop_token& stop = {});

}  // namespace kedge
