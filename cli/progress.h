// The line that shows the progress of a run.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <thread>

#include "kedge/run/train.h"

namespace kedge::cli {

/// One line that is updated in place on a terminal; elsewhere a plain line about every tenth of the run. A warning is
/// shown when its kind appears first, and counted; `finish` says how often. Two warnings are of one kind if they differ
/// only in numbers.
class ProgressLine {
 public:
  /// @param label begins every line: "double_link moto seed 1"
  /// @param terminal  stdout is a terminal  @param quiet  show warnings only
  ProgressLine(std::string label, bool terminal, bool quiet);

  void show(const Progress& progress);
  /// Ends the line and prints how often each warning appeared, if more than once.
  void finish();

 private:
  void clear_line();
  void warn(const std::string& warning, int iteration);

  using Clock = std::chrono::steady_clock;

  std::string label_;
  bool terminal_, quiet_;
  Clock::time_point start_, drawn_;
  int first_ = -1;      ///< iterations that were done before this process began
  int next_plain_ = 0;  ///< iterations at which the next plain line is due
  bool line_open_ = false;
  struct Kind {
    std::string text;
    int count = 0;
  };
  std::map<std::string, Kind> warnings_;
};

/// Says on stderr what is waited for, if this object lives longer than two seconds.
class WaitNotice {
 public:
  /// @param text  "kedge: " is put before it
  explicit WaitNotice(std::string text);

 private:
  std::jthread teller_;
};

/// Returns the notice for a task or model that is being read.
std::string reading_text(const std::string& name);

/// Returns a duration as "4 s", "2 min 05 s", "3 h 10 min". @param seconds >= 0
std::string duration_text(double seconds);

/// Returns a number with four significant digits, an exponent only where it is shorter: "-1.23e+06", "-602.3".
std::string number_text(double value);

}  // namespace kedge::cli
