// checkpoint.h5: all that continuing a run needs, bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "kedge/algorithms/fields.h"
#include "kedge/core/run.h"
#include "kedge/files/atomic_file.h"

namespace kedge {

/// What must be the same for a checkpoint to be continued.
struct RunIdentity {
  std::string algorithm;       ///< "moto", "gps"
  std::string task;            ///< its name
  std::string task_digest;     ///< digest (checksum.h) of everything that defines the task: file and model
  std::string options_digest;  ///< digest of the algorithm's options
  std::uint64_t seed = 0;
};

/// @param file of the checkpoint, for the message
/// @throws InputError "<file>: was written by another run: seed = 3 there, 4 here"
void require_same_run(const RunIdentity& found, const RunIdentity& expected, const std::filesystem::path& file);

/// Where the run stood.
struct CheckpointHeader {
  RunIdentity identity;
  int iteration = 0;            ///< iterations completed
  std::optional<Stop> stop;     ///< why the run ended; nullopt: it has not, it is training or was interrupted
  std::string message;          ///< of the end
  bool record_updates = false;  ///< updates.h5 has a group for each completed iteration
  std::string metrics;          ///< text of metrics.csv up to the last completed iteration
};

struct Checkpoint {
  CheckpointHeader header;
  Fields state;  ///< what they mean is the algorithm's business: see Algorithm::check_state
};

/// Returns the contents of checkpoint.h5.
std::string checkpoint_bytes(const CheckpointHeader& header, const Fields& state);

/// @throws SystemError
void save_checkpoint(const FileName& file, const CheckpointHeader& header, const Fields& state, Durability durability);

/// @throws InputError naming file and reason: missing, truncated, altered, not a checkpoint, another format version,
///         contents that do not fit together
Checkpoint load_checkpoint(const FileName& path);

}  // namespace kedge
