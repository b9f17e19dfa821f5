// Task files: TOML beside a MuJoCo model -> Task. Costs, start and limits are declared, not coded, so that a robot of one's
// own needs no compiler. docs/tasks.md describes every key.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kedge/system/task.h"

namespace kedge {

struct TaskFile {
  Task task;
  std::string model_path;          ///< absolute
  std::string demonstration_path;  ///< absolute: the recording of [demonstration]; empty: none
  std::string demonstration_text;  ///< where the demonstration is from, for people; empty: there is none
  /// absolute: the model, then every file that it reads (includes, meshes, textures, ...), then the recording
  std::vector<std::string> files;
  /// The task file with the overrides in it, every default written out and absolute paths: loading it gives the
  /// same task.
  std::string resolved_toml;
  /// 16 hexadecimal digits that change with anything that changes the task: resolved_toml (but for name, texts and the
  /// places of files) and the contents of `files`.
  std::string digest;
  std::vector<std::string> joint_limits;  ///< the laws of [[joint_limit]], for people; one line each
  std::vector<std::string> warnings;      ///< what MuJoCo warned about when it compiled the model; one line each
};

/// `--set task.actions.limit=10` is {"actions.limit", "10"}.
using Override = std::pair<std::string, std::string>;

/// Reads the first trajectory of a file of recordings. @throws InputError one line
using DemonstrationReader = std::function<Demonstration(const std::string& file)>;

/// Reads a task file, its model and its demonstration, and checks them completely.
/// @param overrides  values put into the file before it is read, in order
/// @param read       reads recordings, which are HDF5: `open_task` in kedge/tasks/bundled.h gives its own. Without it,
///                   a task with a recording is refused.
/// @throws InputError one line: "file:line:column: key: what was found, what is allowed", or "--set task.key=value: ..."
TaskFile load_task(const std::string& path, const std::vector<Override>& overrides = {},
                   const DemonstrationReader& read = {});

}  // namespace kedge
