// The directory of a run: its lock, its files after each iteration, and resuming from them.
//
//   run.toml                    everything needed to repeat the run; written once
//   metrics.csv, timings.csv    one row an iteration
//   steps.csv                   one row a time step of the last update
//   warnings.csv                warnings, by iteration
//   events.out.tfevents.0.kedge the same scalars for TensorBoard
//   updates.h5                  if updates are recorded
//   policy.h5                   the last accepted policy
//   policies/00040.h5           the policy after 40 iterations: every n-th, and the best one so far
//   checkpoint.h5               written last, and decisive where files differ
//   written.csv                 list of the files that kedge wrote in task/ and policies/ (written_files.h)
//
// A process that is killed at any instruction leaves a directory that `resume` continues to the same bytes of
// metrics.csv, updates.h5, policy.h5 and checkpoint.h5 as if nothing had happened. The same holds for a disk that is
// full, as soon as there is space. The checkpoint has the text of metrics.csv in it, so nothing but checkpoint.h5 (and
// updates.h5, if recorded) is needed to continue.
//
// The directory is held open during the run: nothing is looked up by its path again, and nothing through a symbolic link.
// Files that kedge cannot prove to have written are never deleted or replaced (run_files.h).
//
// Loss of power: files are synced at the start, at the end, and once a second in between, so it costs the iterations
// since then and their times. Where the file system does not write data before it renames (XFS), it can damage the
// checkpoint if it was replaced after the last sync. A damaged checkpoint is refused, never used.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/run.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/checkpoint.h"
#include "kedge/run/run_files.h"
#include "kedge/run/updates_file.h"
#include "kedge/run/written_files.h"

namespace kedge {

/// Exclusive right to write a directory, held until destruction or the death of the process. The lock file, .lock,
/// holds the temporary_start() of the last process that had it, so that the next process knows which temporary files it
/// left.
class DirectoryLock {
 public:
  /// @throws InputError if another process has it, or if .lock is not a lock file of kedge
  /// @throws SystemError if locking fails
  explicit DirectoryLock(const Directory& directory);

  /// Returns the temporary_start() of the process that had the lock before; empty if none is known.
  [[nodiscard]] const std::string& previous() const { return previous_; }
  /// Writes this process's temporary_start() into the lock file. @throws SystemError
  void sign() const;

  /// True if a process has the lock of the directory; false too if .lock is not a lock file. Does not take the lock and
  /// never waits.
  static bool held(const std::filesystem::path& directory);

 private:
  FileDescriptor file_;
  std::string path_;  ///< for messages
  std::string previous_;
};

/// One open run: create or open, then begin or resume, then commit ..., then finish.
class RunDirectory {
 public:
  /// Creates a run: makes the directory (and its parents), locks it and writes run.toml.
  /// @param force  if a run is there already, delete it; files that kedge did not write stay, see left()
  /// @throws InputError if the directory is not empty and not `force`, is not a directory, is being written, or holds a
  ///         file that kedge did not write under a name that it uses
  /// @throws SystemError if it cannot be written
  static RunDirectory create(const std::filesystem::path& path, const std::string& run_toml, bool force);

  /// Opens an existing run and locks it; nothing in it is changed yet.
  /// @throws InputError if it is not a run directory, is being written, or as require_plain_files
  static RunDirectory open(const std::filesystem::path& path);

  /// Deletes the temporary files of the process that had the directory before, and signs the lock: to be called before a file
  /// is written into an opened run in other ways than by this object. @throws SystemError
  void take_over();

  [[nodiscard]] const Directory& directory() const { return directory_; }
  [[nodiscard]] const std::filesystem::path& path() const { return directory_.path(); }
  /// Returns the names of files that do not belong to a run and were left when `force` replaced one: "notes.txt",
  /// "policies/best.h5".
  [[nodiscard]] const std::vector<std::string>& left() const { return left_; }
  [[nodiscard]] const std::string& run_toml() const { return run_toml_; }  ///< text of run.toml

  /// @throws InputError if run.toml is not as kedge wrote it
  void require_own_run_toml() const;
  /// Writes another text to run.toml. @throws SystemError
  void replace_run_toml(const std::string& text);

  /// Deletes a created run that has not begun, with its directory unless something else is in it.
  void discard() &&;

  /// Starts a created run: its first checkpoint is `state`, with no iteration completed. Also for an opened run that
  /// was killed before it began (`began()` is false).
  /// @throws SystemError
  void begin(const RunIdentity& identity, const PolicyInfo& info, const Snapshot& state, bool record_updates);
  [[nodiscard]] bool began() const;

  /// Loads the checkpoint of an opened run and drops data that belong to no completed iteration.
  /// @param identity of the run that is to be continued; must agree with the checkpoint
  /// @param check throws InputError if the state cannot be continued; called before anything is changed
  /// @throws InputError if checkpoint.h5 is damaged or from another run, or another file is missing or too short
  /// @throws SystemError
  Checkpoint resume(const RunIdentity& identity, const PolicyInfo& info,
                    const std::function<void(const Fields&)>& check = {});

  /// Writes one completed iteration; `resume` then continues from `state`.
  /// @param state after the iteration  @param record null unless updates are recorded
  /// @throws SystemError if the disk fails; then the directory still holds the iteration before, whole
  void commit(const Iteration& iteration, const Snapshot& state, const UpdateRecord* record);

  /// Ends the run. Stop::cancelled leaves it to be resumed. Everything is on the disk afterwards.
  /// @throws SystemError
  void finish(Stop stop, const std::string& message, const Snapshot& state);

 private:
  explicit RunDirectory(const Directory& directory) : directory_(directory), lock_(directory) {}
  void remove_leftovers() const;
  void write_run_toml(const std::string& text, WrittenFiles others);
  void require_free_policies(int iterations) const;
  void keep_policy(int number, Durability durability);
  void open_appended(const std::string& metrics, int iterations);
  void note_return(int iteration, double mean);
  void tidy_policies(int iterations);
  void sync_appended();

  Directory directory_;
  DirectoryLock lock_;
  bool taken_over_ = false;
  std::string run_toml_;
  std::vector<std::string> left_;
  WrittenFiles written_, saved_;  ///< files that kedge wrote in policies/ and task/: now, and on the disk's list
  PolicyInfo info_;
  CheckpointHeader header_;  ///< header of checkpoint.h5 as it is on the disk
  std::string policy_;       ///< bytes of policy.h5, the policy of the next iteration's rollouts
  int best_ = -1;            ///< iteration with the highest mean return; -1: none yet
  double best_return_ = 0.0;
  AppendFile metrics_, timings_, warnings_, events_;
  std::optional<UpdatesFile> updates_;
  std::chrono::steady_clock::time_point synced_;  ///< when everything was last on the disk
};

/// A policy that a run still has.
struct KeptPolicy {
  int iterations = 0;  ///< completed iterations before this policy
  FileName file;
};

/// Returns the policies in policies/, then that of policy.h5, by iterations.
///
/// After n iterations policies/ holds the policies that made the rollouts of the iterations 0, s, 2 s, ..., with s the
/// smallest power of two for which there are at most 16; and of the iteration with the highest mean return (the first
/// of equals). So the folder does not grow with the run, and does not depend on interruptions. Policies that are not on
/// the list of written files do not belong to the run and are left out.
/// @throws InputError if metrics.csv is damaged, or if a kept policy is not as kedge wrote it
/// @throws SystemError if the directory cannot be read
std::vector<KeptPolicy> kept_policies(const std::filesystem::path& run);

/// The state of a run, read without writing or locking.
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
  int iterations = 0;      ///< completed
  bool converged = false;  ///< finished before all iterations that were asked for: more would change nothing
  std::string detail;      ///< one line: why it is damaged or failed, else empty
};

/// Returns the state of a run. @throws InputError if `path` is not a run directory (has no run.toml)
RunStatus run_status(const std::filesystem::path& path);

}  // namespace kedge
