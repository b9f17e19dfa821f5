// Task files: TOML beside a MuJoCo model -> Task. Costs, start and limits are declared, not coded, so that a robot of one's
// own needs no compiler. docs/tasks.md describes every key.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kedge/system/task.h"

namespace kedge {

struct TaskFile {
  Task task;
  std::string model_path;  ///< absolute
  std::vector<std::string>
      files;  ///< absolute: the model, then every file that it reads (includes, meshes, textures, ...)
  /// The task file with the overrides in it, every default written out and the model's absolute path: loading it gives
  /// the same task.
  std::string resolved_toml;
  /// 16 hexadecimal digits that change with anything that changes the task: resolved_toml (but for name, texts and the
  /// place of the model) and the contents of `files`.
  std::string digest;
  std::vector<std::string> joint_limits;  ///< the laws of [[joint_limit]], for people; one line each
  std::vector<std::string> warnings;      ///< what MuJoCo warned about when it compiled the model; one line each
};

/// `--set task.actions.limit=10` is {"actions.limit", "10"}.
using Override = std::pair<std::string, std::string>;

/// Reads a task file and its model, and checks both completely.
/// @param overrides  values put into the file before it is read, in order
/// @throws InputError one line: "file:line:column: key: what was found, what is allowed", or "--set task.key=value: ..."
TaskFile load_task(const std::string& path, const std::vector<Override>& overrides = {});

}  // namespace kedge
