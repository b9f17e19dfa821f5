// Runs the program as a user does: as a process, with arguments, in a directory of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kedge::test {

struct Outcome {
  int code = -1;  ///< exit code; 128 + signal if a signal ended it
  std::string out, err;

  [[nodiscard]] std::vector<std::string> error_lines() const;
};

/// A directory that is removed at the end.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Environment {
  std::filesystem::path directory = {};                             ///< working directory
  std::vector<std::pair<std::string, std::string>> variables = {};  ///< set in addition
  std::uint64_t largest_file = 0;                                   ///< bytes (RLIMIT_FSIZE); 0: no limit
  bool terminal = false;                                            ///< stdout is a terminal of 100 columns
  std::uint64_t address_space = 0;                                  ///< bytes (RLIMIT_AS); 0: no limit
  std::vector<int> closed = {};                                     ///< of the standard streams
  bool unread = false;                                              ///< stdout is a pipe that nobody reads
  std::uint64_t processes = 0;                                      ///< as user 65534, with RLIMIT_NPROC; 0: no limit
  std::vector<int> full = {};                                       ///< of stdout and stderr: a device that is full
};

/// A process under way.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, const Environment& environment);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  [[nodiscard]] pid_t id() const { return pid_; }
  void signal(int number) const;
  [[nodiscard]] bool running();
  /// What it has printed up to now; nothing of it where stdout is a terminal.
  [[nodiscard]] std::string printed() const;
  /// The same of stderr.
  [[nodiscard]] std::string complained() const;
  Outcome wait();

 private:
  Scratch output_;
  int terminal_ = -1;  // our end of it
  pid_t pid_ = -1;
  int status_ = 0;
  bool done_ = false;
};

Outcome run(const std::vector<std::string>& arguments, const Environment& environment);

std::string read(const std::filesystem::path& file);
void write(const std::filesystem::path& file, const std::string& text);

/// Arguments of a training that takes a fraction of a second.
std::vector<std::string> small_training(const std::string& out, int iterations = 6);

}  // namespace kedge::test
