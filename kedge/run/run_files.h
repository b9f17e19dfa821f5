// Ownership of the files in the directory of a run: the names that kedge uses there, the kinds of files allowed under
// these names, and the proof that kedge wrote them. kedge deletes no other files.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "kedge/files/directory.h"

namespace kedge {

constexpr const char* kRunToml = "run.toml";
constexpr const char* kMetricsFile = "metrics.csv";
constexpr const char* kTimingsFile = "timings.csv";
constexpr const char* kEventsFile = "events.out.tfevents.0.kedge";
constexpr const char* kStepsFile = "steps.csv";
constexpr const char* kWarningsFile = "warnings.csv";
constexpr const char* kUpdatesFile = "updates.h5";
constexpr const char* kPolicyFile = "policy.h5";
constexpr const char* kCheckpointFile = "checkpoint.h5";
constexpr const char* kLockFile = ".lock";
constexpr const char* kTaskFolder = "task";  ///< copy of the task (run_task.h)
constexpr const char* kPoliciesFolder = "policies";

/// The purpose for which a run is opened.
enum class Use { read, write };

/// Opens the directory of a run and checks its files; symbolic links in `path` are followed.
/// @throws InputError if there is no run.toml in it, or as require_plain_files
Directory open_run_directory(const std::filesystem::path& path, Use use = Use::read);

/// Checks that every file of a run is a regular file: not a symbolic link, FIFO, socket, device or directory; also in
/// task/ and policies/. To be written, a file must also have no other name (a hard link) and not be
/// write-protected. Missing files are allowed.
/// @throws InputError "<path>: is a symbolic link, but must be a regular file"
void require_plain_files(const Directory& run, Use use);

/// True of the names of files and folders that kedge uses in the directory of a run.
bool is_run_name(const std::string& name);

/// Returns the number of iterations in the name of a kept policy, "00040.h5"; -1 for other names.
int policy_number(const std::string& name);
/// Returns the name of a kept policy. @param iterations >= 0
std::string policy_name(int iterations);

/// Checks that no other files would be lost if a run is written here: an existing run must be as kedge wrote it, and no
/// other file may have a name that kedge uses.
/// @return names of the files that belong to no run and stay, "notes.txt", "policies/best.h5"
/// @throws InputError "<path>: is not as kedge wrote it: --force does not replace it"
std::vector<std::string> require_replaceable(const Directory& run);

/// Deletes the files of a run that kedge can prove to have written, but for run.toml, and the folders that are then empty.
/// Of the files that require_replaceable accepted, only those remain that it returned.
/// @throws SystemError
void delete_run(const Directory& run);

}  // namespace kedge
