// checkpoint.h5: everything that is needed to continue a run, bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "kedge/catalogue/fields.h"
#include "kedge/core/run.h"
#include "kedge/files/atomic_file.h"

namespace kedge {

/// The properties of a run that must be the same for its checkpoint to be continued.
struct RunIdentity {
  std::string algorithm;       ///< "moto", "gps"
  std::string task;            ///< its name
  std::string task_digest;     ///< digest (checksum.h) of everything that defines the task: file and model
  std::string options_digest;  ///< digest of the algorithm's options
  std::uint64_t seed = 0;
};

/// Checks that a checkpoint belongs to a run. @param file of the checkpoint, for the message
/// @throws InputError "<file>: was written by another run: seed = 3 there, 4 here"
void require_same_run(const RunIdentity& found, const RunIdentity& expected, const std::filesystem::path& file);

/// The progress of the run.
struct CheckpointHeader {
  RunIdentity identity;
  int iteration = 0;            ///< iterations completed
  std::optional<Stop> stop;     ///< why the run ended; nullopt: it has not, it is training or was interrupted
  std::string message;          ///< message of the end
  bool record_updates = false;  ///< updates.h5 has a group for each completed iteration
  std::string metrics;          ///< text of metrics.csv up to the last completed iteration
};

struct Checkpoint {
  CheckpointHeader header;
  Fields state;  ///< the algorithm checks them: see Algorithm::check_state
};

/// Returns the contents of checkpoint.h5.
std::string checkpoint_bytes(const CheckpointHeader& header, const Fields& state);

/// Writes checkpoint.h5. @throws SystemError
void save_checkpoint(const FileName& file, const CheckpointHeader& header, const Fields& state, Durability durability);

/// Reads checkpoint.h5.
/// @throws InputError naming file and reason: missing, truncated, altered, not a checkpoint, another format version,
///         contents that do not fit together
Checkpoint load_checkpoint(const FileName& path);

}  // namespace kedge
