// The view of a run in `kedge view`: read from its files, never written, and read again when a file has changed. A run
// may be training, finished, interrupted, failed or damaged, and may vanish. Files that can be read are shown, others
// are reported in words.
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kedge/files/json.h"
#include "kedge/files/metrics_file.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/run_file.h"

namespace kedge {

/// The identity of a version of a file: different if the file has changed.
struct FileStamp {
  std::uint64_t inode = 0, size = 0;
  std::int64_t seconds = 0, nanoseconds = 0;
  bool operator==(const FileStamp&) const = default;
};

/// Warnings that differ only in their numbers.
struct WarningKind {
  std::string text;  ///< the latest
  int count = 0, first = 0, last = 0;
};

/// A run, as its files were at one moment.
struct ShownRun {
  std::filesystem::path directory;

  bool looked_at = false;  ///< false: nothing of it was read yet

  /// Damaged, too, if a file cannot be read that a user of the run needs.
  RunStatus status;

  /// Rows of metrics.csv that count.
  std::size_t rows = 0;

  /// A new number means that the run was replaced, so that earlier rows do not count.
  int generation = 0;

  std::optional<RunFile> file;  ///< run.toml, if it can be read
  bool measures_success = false;

  /// Never null.
  std::shared_ptr<const MetricsTable> metrics, timings, steps;
  std::shared_ptr<const std::vector<WarningKind>> warnings;

  std::vector<std::string> notes;  ///< files that cannot be read, and the reasons
  FileStamp policy;                ///< stamp of policy.h5
};

/// Returns {"directory", "state" ("unread" before it was looked at), "detail", "iterations", "asked", "generation",
/// "algorithm", "task", "overrides", "seed", "measures_success", "options": {name: value}, "versions": {}, "warnings": [{"text", "count", "first", "last"}],
/// "steps_file": bool, "steps_of": iteration or null, "notes": [files that cannot be read]}.
Json summary_json(const ShownRun& run);

/// Returns rows of metrics.csv and timings.csv from row `from` on, at most `most`: {"generation", "from", "total",
/// "metrics": {"columns", "rows"}, "timings": {"columns", "rows"}}.
Json rows_json(const ShownRun& run, std::size_t from, std::size_t most);

/// Returns steps.csv: {"generation", "columns", "rows"}.
Json steps_json(const ShownRun& run);

/// Returns an exception in words.
std::string in_words(const std::exception& error);

/// Reads one run again and again. Whatever its directory holds, nothing is thrown and no other run is disturbed.
class RunReader {
 public:
  /// Reads nothing yet.
  explicit RunReader(std::filesystem::path directory);

  /// Looks at the files. Returns true if something has changed.
  bool refresh();

  [[nodiscard]] const ShownRun& shown() const { return shown_; }

 private:
  bool look();
  bool is_new(const char* name);
  template <class Read>
  bool read_if_new(const char* name, Read&& read);
  bool read_run_toml();
  bool read_tables();
  void read_status();
  void count_rows();
  void judge();

  ShownRun shown_;
  RunStatus status_;                          ///< as the run's directory says
  std::map<std::string, FileStamp> stamps_;   ///< stamps of the files when they were last read
  std::map<std::string, std::string> notes_;  ///< by file: the reason why it cannot be read
  bool seen_ = false, locked_ = false;
};

}  // namespace kedge
