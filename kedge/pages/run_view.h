// What `kedge view` shows of runs, as JSON: read from their files, never written, and read again when a file has changed.
// A run may be training, finished, interrupted, failed or damaged, and may vanish; what can be read is shown, what cannot
// is said in words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kedge/files/metrics_file.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/run_file.h"

namespace kedge {

/// One run, as its files were when it was last looked at.
class RunView {
 public:
  /// @throws InputError if it is not a run directory
  explicit RunView(std::filesystem::path directory);

  /// Looks at the files. Never throws for what they hold. @return true if something has changed
  bool refresh();

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  /// {"directory", "state", "detail", "iterations", "asked", "generation", "algorithm", "task", "overrides", "seed",
  /// "measures_success", "options": {name:
  /// value}, "versions": {}, "warnings": [{"text", "count", "first", "last"}], "steps_file": bool, "steps_of": iteration or null, "notes": [what
  /// cannot be read]}. A new generation means that the rows are not those of before: the run was replaced.
  [[nodiscard]] std::string summary_json() const;

  /// Rows of metrics.csv and timings.csv from row `from` on, at most `most`: {"generation", "from", "total", "metrics":
  /// {"columns", "rows"}, "timings": {"columns", "rows"}}. Numbers read back as the same doubles; NaN is null.
  [[nodiscard]] std::string rows_json(std::size_t from, std::size_t most) const;

  /// steps.csv: {"generation", "columns", "rows"}.
  [[nodiscard]] std::string steps_json() const;

 private:
  /// When a file is another one than before.
  struct Stamp {
    std::uint64_t inode = 0, size = 0;
    std::int64_t seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  /// Warnings that differ only in their numbers.
  struct WarningKind {
    std::string text;  ///< the latest
    int count = 0, first = 0, last = 0;
  };
  static Stamp stamp(const std::filesystem::path& file);
  void read_status();
  /// The run's status; damaged, too, where a file cannot be read that whoever uses the run needs.
  [[nodiscard]] RunStatus shown_status() const;

  std::filesystem::path directory_;
  bool seen_ = false, locked_ = false;
  std::map<std::string, Stamp> stamps_;
  std::map<std::string, std::string> notes_;  ///< by file: why it cannot be read
  int generation_ = 0;
  RunStatus status_;
  RunFile file_;
  bool file_read_ = false, measures_success_ = false;
  MetricsTable metrics_, timings_, steps_;
  std::vector<WarningKind> warnings_;
  std::size_t rows_ = 0;
};

}  // namespace kedge
