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

struct TaskFile {
  Task task;
  std::string model_path;          ///< absolute
  std::string demonstration_path;  ///< absolute: the recording of [demonstration]; empty: none
  std::string demonstration_text;  ///< where the demonstration is from, for people; empty: there is none

  /// Absolute paths: the model, then every file that it reads (includes, meshes, textures, ...), then the recording.
  std::vector<std::string> files;

  /// The same without the recording, with the bytes that were compiled: what is copied or embedded is what was checked.
  std::shared_ptr<const std::vector<ModelFile>> model_files;

  /// The task file with the overrides in it, every default written out and absolute paths: loading it gives the
  /// same task.
  std::string resolved_toml;

  /// 16 hexadecimal digits that change with anything that changes the task: resolved_toml (but for name, texts and the
  /// places of files) and the contents of `files`.
  std::string digest;

  std::vector<std::string> joint_limits;  ///< the laws of [[joint_limit]], for people; one line each

  /// What MuJoCo warned about when it compiled the model, and which files are from outside of its folder; one line each.
  std::vector<std::string> warnings;
};

/// `--set task.actions.limit=10` is {"actions.limit", "10"}.
using Override = std::pair<std::string, std::string>;

/// Reads a task file, its model and its demonstration, and checks them completely.
/// @param overrides  values put into the file before it is read, in order
/// @param stop       ends the compilation of the model and the controller of a demonstration
/// @throws InputError one line: "file:line:column: key: what was found, what is allowed", or "--set task.key=value: ..."
/// @throws Cancelled if a stop is asked for
TaskFile load_task(const std::filesystem::path& path, const std::vector<Override>& overrides = {},
                   const std::stop_token& stop = {});

}  // namespace kedge
