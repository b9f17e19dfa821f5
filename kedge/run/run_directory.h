// The directory of a run: who may write it, what is in it after each iteration, and how a run goes on.
//
//   run.toml                    everything needed to repeat the run; written once
//   metrics.csv, timings.csv    one row an iteration
//   steps.csv                   one row a time step of the last update
//   warnings.csv                what was warned of, by iteration
//   events.out.tfevents.0.kedge the same scalars for TensorBoard
//   updates.h5                  if updates are recorded
//   policy.h5                   the last accepted policy
//   policies/00040.h5           the policy after 40 iterations: every n-th, and the best one so far
//   checkpoint.h5               written last: what it says is what counts
//
// A process that is killed at any instruction leaves a directory that `resume` continues to the same bytes of
// metrics.csv, updates.h5, policy.h5 and checkpoint.h5 as if nothing had happened. The same holds for a disk that is
// full, as soon as there is space. The checkpoint has the text of metrics.csv in it, so nothing but checkpoint.h5 (and
// updates.h5, if recorded) is needed to go on.
//
// Loss of power: files are synced at the start, at the end, and once a second in between, so it costs the iterations
// since then and their times. Where the file system does not write data before it renames (XFS), it can damage the
// checkpoint if it was replaced after the last sync; that is then refused, never used.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "kedge/algorithms/training.h"
#include "kedge/core/run.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/checkpoint.h"
#include "kedge/run/updates_file.h"

namespace kedge {

/// Exclusive right to write a directory, held until destruction or the death of the process.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  /// @throws InputError if another process has it  @throws SystemError if locking fails
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;

  /// Does a process have it? Takes nothing itself.
  static bool held(const std::filesystem::path& directory);

 private:
  int descriptor_ = -1;
};

/// One open run: create or open, then begin or resume, then commit ..., then finish.
class RunDirectory {
 public:
  /// A new run: makes the directory (and its parents), locks it and writes run.toml.
  /// @param force  if a run is there already, delete it; files that kedge does not write are kept
  /// @throws InputError if the directory is not empty and not `force`, is not a directory, or is being written
  /// @throws SystemError if it cannot be written
  static RunDirectory create(const std::filesystem::path& path, const std::string& run_toml, bool force);

  /// An existing run, locked.
  /// @throws InputError if it is not a run directory or is being written
  static RunDirectory open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::string& run_toml() const { return run_toml_; }  ///< text of run.toml

  /// Starts a created run: its first checkpoint is `state`, no iteration completed. Also for an opened run that
  /// was killed before it began: `began()` is false.
  /// @throws SystemError
  void begin(const RunIdentity& identity, const PolicyInfo& info, const TrainingState& state, bool record_updates);
  [[nodiscard]] bool began() const;

  /// Loads the checkpoint of an opened run and takes back what belongs to no completed iteration.
  /// @param identity what the run is about to do; must be what the checkpoint says
  /// @throws InputError if checkpoint.h5 is damaged or from another run, or another file is missing or too short
  /// @throws SystemError
  Checkpoint resume(const RunIdentity& identity, const PolicyInfo& info);

  /// Writes one completed iteration; afterwards `state` is what `resume` finds.
  /// @param state after the iteration  @param record null unless updates are recorded
  /// @throws SystemError if the disk fails; then the directory still holds the iteration before, whole
  void commit(const Iteration& iteration, const TrainingState& state, const UpdateRecord* record);

  /// The run has ended. Stop::cancelled leaves it to be resumed. Everything is on the disk afterwards.
  /// @throws SystemError
  void finish(Stop stop, const std::string& message, const TrainingState& state);

 private:
  RunDirectory(std::filesystem::path path, DirectoryLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  void open_appended(const std::string& metrics, int iterations);
  void note_return(int iteration, double mean);
  void tidy_policies(int iterations) const;
  void sync_appended();

  std::filesystem::path path_;
  DirectoryLock lock_;
  std::string run_toml_;
  PolicyInfo info_;
  CheckpointHeader header_;  ///< of checkpoint.h5 as it is on the disk
  std::string policy_;       ///< bytes of policy.h5: what the next iteration rolls out
  int best_ = -1;            ///< iteration with the highest mean return; -1: none yet
  double best_return_ = 0.0;
  AppendFile metrics_, timings_, warnings_, events_;
  std::optional<UpdatesFile> updates_;
  std::chrono::steady_clock::time_point synced_;  ///< when everything was last on the disk
};

/// A policy that a run still has.
struct KeptPolicy {
  int iterations = 0;  ///< it is the policy after so many iterations
  std::filesystem::path file;
};

/// Those in policies/, then the one of policy.h5, by iterations.
///
/// After n iterations policies/ holds the policies that made the rollouts of the iterations 0, s, 2 s, ..., with s the smallest
/// power of two for which there are at most 16; and of the iteration with the highest mean return (the first of
/// equals). So the folder does not grow with the run, and does not depend on interruptions.
/// @throws InputError if metrics.csv is damaged  @throws SystemError if the directory cannot be read
std::vector<KeptPolicy> kept_policies(const std::filesystem::path& run);

/// Checks that a directory is that of a run: it has a run.toml.
/// @throws InputError if it is not, or cannot be looked at
void require_run(const std::filesystem::path& path);

/// What a directory holds, read without writing or locking.
enum class RunState {
  training,     ///< a process writes it now
  interrupted,  ///< `resume` continues it
  finished,     ///< all iterations are done
  failed,       ///< ended by numerical failure; policy.h5 is the last accepted policy
  damaged,      ///< cannot be continued; `detail` says why
};
const char* to_string(RunState state);

struct RunStatus {
  RunState state = RunState::damaged;
  int iterations = 0;  ///< completed
  std::string detail;  ///< one line: why it is damaged or failed, else empty
};

/// @throws InputError if `path` is not a run directory (has no run.toml)
RunStatus run_status(const std::filesystem::path& path);

}  // namespace kedge
