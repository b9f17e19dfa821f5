// Programs that kedge starts: gnuplot, FFmpeg, a browser, kedge itself. Nothing else in kedge starts one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/regular_file.h"

namespace kedge {

/// How a program is started.
struct Launch {
  /// The program comes first: a path, or a name that is looked up in PATH.
  std::vector<std::string> arguments;

  /// Standard input is what `Process::write` sends; false: /dev/null.
  bool input = false;

  /// Standard output and standard error are appended to this file. Empty: both are kept in memory.
  std::filesystem::path log = {};

  /// The program stays when this process ends, and a Ctrl-C at the terminal does not reach it.
  bool detached = false;

  /// Parts of the message where the program cannot be run: "which makes videos", "install it (Debian: ffmpeg)".
  std::string purpose = {}, remedy = {};
};

/// A program under way. It ends when this process ends, however that happens (kill -9 too), unless it is detached: the
/// kernel then kills it. The kernel takes the end of the starting thread for the end of the process, so that thread must
/// outlive the object.
class Process {
 public:
  /// Starts the program, with no signal blocked.
  /// @throws SystemError "<program>[, <purpose>,] cannot be run: <reason>[; <remedy>]"; "<log>: cannot be written: ..."
  explicit Process(const Launch& launch);

  /// Ends the program and waits for it: asks by SIGTERM, kills after five seconds. Leaves a detached one alone.
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) = delete;

  /// Sends bytes to its standard input. Waits until the program has taken them.
  /// @return false if the program reads no more
  bool write(std::string_view bytes);

  /// Returns its exit code, 128 + n if signal n ended it; nullopt while it runs.
  std::optional<int> exit_code();

  /// Closes its standard input and waits. Returns its exit code.
  int wait();

  /// Closes its standard input and waits no longer than that. Returns its exit code; nullopt if it still runs.
  std::optional<int> wait_for(std::chrono::milliseconds longest);

  /// Asks it to end (SIGTERM).
  void terminate();

  /// Returns what it has written to standard output, if there is no log.
  [[nodiscard]] std::string output() const;

  /// Returns the end of what it has written to standard error on one line, for messages; empty if there is a log.
  [[nodiscard]] std::string error_tail() const;

 private:
  pid_t child_ = 0;
  bool detached_ = false;
  std::optional<int> exit_code_;
  FileDescriptor input_, output_, errors_;
};

}  // namespace kedge
