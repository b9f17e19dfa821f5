// The copy of its task that a run keeps, so that it can be resumed and evaluated when the original has changed.
#pragma once

#include <filesystem>
#include <stop_token>

#include "kedge/files/directory.h"
#include "kedge/run/run_file.h"
#include "kedge/tasks/task_file.h"

namespace kedge {

/// Copies the task into the folder task/ of a run: its resolved file, its model with all files that the model reads,
/// and its recording. A run can then be continued and evaluated when the original has moved or changed. The copy is on
/// the run's list of written files (written_files.h). Existing files with the right contents stay.
/// @throws InputError if another file has a name that the copy needs, or a file of the task cannot be read or has more
///         than 1 GiB
/// @throws SystemError
void copy_task(const TaskFile& task, const Directory& run);

/// Returns the task of a run, from its copy.
/// @param stop  passed to `load_task`
/// @throws InputError if the copy is missing, differs from the task that the run began with, or as require_plain_files
///         (run_files.h)
/// @throws Cancelled if a stop is requested
TaskFile load_run_task(const std::filesystem::path& directory, const RunFile& run, const std::stop_token& stop = {});

}  // namespace kedge
