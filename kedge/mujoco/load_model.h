// Compiling a model with MuJoCo, which reads files of unknown origin and can take any time and memory. It is done in a
// child process that has limits, is given the bytes of the files, and returns the compiled model. Whatever happens
// there, the program continues.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/mujoco/model_files.h"

struct mjModel_;  // mjModel of mujoco.h, 2.2.2 and 3.x

namespace kedge {

struct LoadLimits {
  double seconds = 30.0;                          ///< of processor time, > 0
  std::uint64_t memory = std::uint64_t{4} << 30;  ///< bytes, in addition to those that this program holds
};

struct LoadedModel {
  std::shared_ptr<mjModel_> model;    ///< null if MuJoCo refused it
  std::string error;                  ///< why, in MuJoCo's words
  std::vector<std::string> warnings;  ///< MuJoCo's warnings while it compiled the model
};

/// Compiles a model, allocates a simulation of it and makes one step from the model's own pose, within the limits. MuJoCo
/// sees the given bytes and can open no file, so that a file that was not found is missing. (Only a model in which two
/// files of one name lie in different folders is read from the disk: MuJoCo's virtual file system knows no folders.)
/// It prints nothing and writes no log file.
/// @param stop  ends the wait
/// @throws InputError "takes more than 30 s to compile, the limit", "needs more than 4096 MB of memory, the limit", "makes
/// MuJoCo crash (signal 11)", to be preceded by the name of the model
/// @throws Cancelled if a stop is requested
/// @throws SystemError if no process can be started
LoadedModel load_model(const ModelFiles& files, const LoadLimits& limits = {}, const std::stop_token& stop = {});

/// Calls `read_model_files`, then `load_model`. An InputError becomes the `error` of the result.
LoadedModel load_mujoco_model(const std::string& path);

}  // namespace kedge
