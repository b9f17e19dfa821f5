// Finding tasks by name or path, and keeping a copy of one with a run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/experiment/run_file.h"
#include "kedge/mujoco/task_file.h"

namespace kedge {

/// Where what comes with the program is looked for, the first place first: the folders of the environment variable
/// (separated by ':'), then ../share/kedge/<name> from the folder of this program, then <name> in the source tree.
std::vector<std::filesystem::path> resource_folders(const char* variable, const char* name);

struct BundledTask {
  std::string name;            ///< of its folder
  std::filesystem::path file;  ///< task.toml
};

/// All bundled tasks, by name; of two with one name, the one that is found first.
std::vector<BundledTask> bundled_tasks();

/// The task file that a user means: a bundled task's name, else a path to a file or to a folder with a task.toml.
/// @throws InputError that names the known tasks
std::filesystem::path find_task(const std::string& name_or_path);

/// `load_task` that reads recordings, for [demonstration] with a `file`.
TaskFile open_task(const std::filesystem::path& file, const std::vector<Override>& overrides = {});

/// The files of the model, as in `task.files` (the model first), from the deepest folder that holds them all: where they
/// lie relative to each other is how the model finds them.
std::vector<std::filesystem::path> relative_files(const TaskFile& task);

/// Copies the task into DIR/task: its resolved file, its model and all that the model reads, its recording, so that a run can go on and
/// be evaluated when the original has moved or changed. What was there is replaced.
/// @throws SystemError
void copy_task(const TaskFile& task, const std::filesystem::path& directory);

/// The task of a run, from its copy.
/// @throws InputError if the copy is missing, or is not what the run began with
TaskFile load_run_task(const std::filesystem::path& directory, const RunFile& run);

}  // namespace kedge
