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
  /// The program, a path or a name that is looked up in PATH, followed by its arguments.
  std::vector<std::string> arguments;

  /// True: standard input is a pipe that `Process::write` writes to. False: it is /dev/null.
  bool input = false;

  /// Standard output and standard error are appended to this file. Empty: both are kept in memory.
  std::filesystem::path log = {};

  /// True: the program outlives this process, and a Ctrl-C at the terminal does not reach it.
  bool detached = false;

  /// Parts of the message where the program cannot be run: "which makes videos", "install it (Debian: ffmpeg)".
  std::string purpose = {}, remedy = {};
};

/// A running program. Unless it is detached, the kernel kills it when this process ends, even by kill -9. The kernel takes
/// the end of the thread that started it for the end of the process, so that thread must outlive the object.
class Process {
 public:
  /// Starts the program, with no signal blocked.
  /// @throws SystemError "<program>[, <purpose>,] cannot be run: <reason>[; <remedy>]"; "<log>: cannot be written: ..."
  explicit Process(const Launch& launch);

  /// Ends the program by SIGTERM, or by SIGKILL after five seconds, and waits for it. A detached program is left running.
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) = delete;

  /// Writes bytes to its standard input, and waits until the program has read them.
  /// @return false if the program has closed its standard input
  bool write(std::string_view bytes);

  /// Returns its exit code, 128 + n if signal n ended it; nullopt while it runs.
  std::optional<int> exit_code();

  /// Closes its standard input and waits. Returns its exit code.
  int wait();

  /// Closes its standard input and waits for at most `longest`. Returns its exit code; nullopt if it still runs.
  std::optional<int> wait_for(std::chrono::milliseconds longest);

  /// Sends SIGTERM.
  void terminate();

  /// Returns its standard output so far; empty if there is a log.
  [[nodiscard]] std::string output() const;

  /// Returns the end of its standard error on one line, for messages; empty if there is a log.
  [[nodiscard]] std::string error_tail() const;

 private:
  pid_t child_ = 0;
  bool detached_ = false;
  std::optional<int> exit_code_;
  FileDescriptor input_, output_, errors_;
};

}  // namespace kedge
