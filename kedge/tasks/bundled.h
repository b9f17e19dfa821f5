// Finding tasks by name or path: those that come with the program, and the user's own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/tasks/task_file.h"

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

/// The deepest folder that holds all files of the task.
std::filesystem::path common_folder(const TaskFile& task);

/// The files of the model, as in `task.files` (the model first), from the deepest folder that holds them all: where they
/// lie relative to each other is how the model finds them.
std::vector<std::filesystem::path> relative_files(const TaskFile& task);

}  // namespace kedge
