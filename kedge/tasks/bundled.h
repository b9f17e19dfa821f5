// Finding tasks by name or path: those that come with the program, and the user's own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/tasks/task_file.h"

namespace kedge {

/// Returns the folders that may hold the program's own tasks or figures, in order of precedence: those of the
/// environment variable (separated by ':'), then ../share/kedge/<name> from the folder of this program, then <name> in
/// the source tree.
std::vector<std::filesystem::path> resource_folders(const char* variable, const char* name);

struct BundledTask {
  std::string name;            ///< name of its folder
  std::filesystem::path file;  ///< task.toml
};

/// Returns all bundled tasks, by name; of two with one name, the one that is found first.
std::vector<BundledTask> bundled_tasks();

/// Returns the task file that a user named: a bundled task's name, else a path to a file or to a folder with a task.toml.
/// @throws InputError that names the known tasks
std::filesystem::path find_task(const std::string& name_or_path);

/// Returns the deepest folder that holds all files of the task.
std::filesystem::path common_folder(const TaskFile& task);

/// Returns the paths of the model's files, in the order of `task.files` (the model first), relative to the deepest
/// folder that holds them all. The model finds its files by their places relative to each other.
std::vector<std::filesystem::path> relative_files(const TaskFile& task);

}  // namespace kedge
