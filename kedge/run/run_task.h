// The copy of its task that a run keeps, so that it can be resumed and evaluated when the original has changed.
#pragma once

#include <filesystem>

#include "kedge/run/run_file.h"
#include "kedge/tasks/task_file.h"

namespace kedge {

/// Copies the task into DIR/task: its resolved file, its model and all that the model reads, its recording, so that a run can go on and
/// be evaluated when the original has moved or changed. What was there is replaced.
/// @throws SystemError
void copy_task(const TaskFile& task, const std::filesystem::path& directory);

/// The task of a run, from its copy.
/// @throws InputError if the copy is missing, or is not what the run began with
TaskFile load_run_task(const std::filesystem::path& directory, const RunFile& run);

}  // namespace kedge
