// The copy of its task that a run keeps, so that it can be resumed and evaluated when the original has changed.
#pragma once

#include <filesystem>
#include <stop_token>

#include "kedge/run/run_file.h"
#include "kedge/tasks/task_file.h"

namespace kedge {

/// Copies the task into DIR/task: its resolved file, its model and all that the model reads, its recording, so that a run can go on and
/// be evaluated when the original has moved or changed. What was there is replaced.
/// @throws SystemError
void copy_task(const TaskFile& task, const std::filesystem::path& directory);

/// The task of a run, from its copy.
/// @param stop  as of `load_task`
/// @throws InputError if the copy is missing, or is not what the run began with
/// @throws Cancelled if a stop is asked for
TaskFile load_run_task(const std::filesystem::path& directory, const RunFile& run, const std::stop_token& stop = {});

}  // namespace kedge
