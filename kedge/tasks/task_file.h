// Task files: a TOML file and a MuJoCo model become a Task. Costs, start and limits are declared, not coded, so that a new
// robot needs no compiler. docs/tasks.md describes every key.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "kedge/mujoco/model_files.h"
#include "kedge/system/task.h"

namespace kedge {

/// A task file with its overrides and every default, without its paths. Defined in task_file.cpp.
struct ResolvedTask;

struct TaskFile {
  Task task;
  std::string model_path;          ///< absolute
  std::string model_folder;        ///< absolute: the key of this name; empty: there is none
  std::string demonstration_path;  ///< absolute: the recording of [demonstration]; empty: none
  std::string demonstration_text;  ///< origin of the demonstration, for people; empty: there is none

  /// Absolute paths: the model, then every file that it reads (includes, meshes, textures, ...), then the recording.
  std::vector<std::string> files;

  /// The same files without the recording, with the bytes that were compiled, so that the bytes that are copied or
  /// embedded are those that were checked.
  std::shared_ptr<const std::vector<ModelFile>> model_files;

  /// The model with the sensors of the sites, bodies and centres of mass that the task names, as it was compiled; empty: it
  /// names none, and the first of `model_files` was compiled.
  std::string model_with_sensors;

  /// Never null; see `resolved_text`.
  std::shared_ptr<const ResolvedTask> resolved;

  /// 16 hexadecimal digits that change with anything that changes the task: the resolved text (except name, texts and
  /// paths) and the contents of `files`.
  std::string digest;

  std::string whole_state;  ///< `observation.parts` that name the whole state in its order: ["qpos", "qvel", "act"]

  std::vector<std::string> joint_limits;  ///< the laws of [[joint_limit]], for people; one line each

  /// One line for each warning of MuJoCo's compiler, and for each file that is outside of the model's folder.
  std::vector<std::string> warnings;
};

/// `--set task.actions.limit=10` is {"actions.limit", "10"}.
using Override = std::pair<std::string, std::string>;

/// Returns the processor time that the model of a task may take to compile, s.
double longest_compilation();

/// Reads a task file, its model and its demonstration, and checks them completely.
/// @param overrides  values put into the file before it is read, in order
/// @param stop       ends the compilation of the model and the controller of a demonstration
/// @throws InputError one line, "file:line:column: key: value and rule" or "--set task.key=value: ..."
/// @throws Cancelled if a stop is requested
TaskFile load_task(const std::filesystem::path& path, const std::vector<Override>& overrides = {},
                   const std::stop_token& stop = {});

/// The paths in the text of a task, absolute or from the folder of that text.
struct TaskPaths {
  std::string model;
  std::string model_folder;   ///< not used if the task has no such key
  std::string demonstration;  ///< not used if the task has no recording
};

/// Returns the task file with the overrides in it and every default written out. Loading it gives the same task.
std::string resolved_text(const TaskFile& file, const TaskPaths& paths);

/// Returns the same text with absolute paths.
std::string resolved_text(const TaskFile& file);

}  // namespace kedge
