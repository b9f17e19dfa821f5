// run.toml: everything needed to repeat a run. Its options are a table that `--config` reads; its task is the copy in
// DIR/task, with every default written out, its model and all that the model reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "kedge/run/option_text.h"
#include "kedge/run/version.h"

namespace kedge {

struct RunFile {
  std::string algorithm;
  std::uint64_t seed = 0;  ///< < 2^63: TOML has no larger integers
  bool record_updates = false;
  std::string task;                         ///< its name
  std::filesystem::path task_source;        ///< absolute path of the original
  std::vector<std::string> task_overrides;  ///< "actions.limit=10": in the order in which they were given
  std::string task_digest;                  ///< TaskFile::digest of the task
  std::string from;         ///< file whose policy or trajectory learning started from, absolute; empty: the own start
  std::string from_digest;  ///< of the mean actions that it began with; empty: the own start
  Options options;
  std::set<std::string>
      younger;        ///< options that the file does not name, because the run is older: they have their defaults
  Versions versions;  ///< versions of the program that began the run
};

/// Returns the contents of run.toml.
std::string run_file_text(const RunFile& run);

/// Reads DIR/run.toml.
/// @throws InputError with file, line and column: missing, damaged, of another format, not a regular file, an option that
///         does not exist
RunFile read_run_file(const std::filesystem::path& directory);

/// Returns the digest of what determines an iteration beside task and seed: the start, and the options except `iterations`,
/// so that a finished run can be extended, and those that are younger than the run.
std::string options_digest(const RunFile& run);

}  // namespace kedge
