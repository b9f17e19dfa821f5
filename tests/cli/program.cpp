#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace kedge::test {

namespace fs = std::filesystem;

std::vector<std::string> Outcome::error_lines() const {
  std::vector<std::string> lines;
  std::istringstream text(err);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

Scratch::Scratch() {
  std::string name = (fs::temp_directory_path() / "kedge-cli-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Process::Process(const std::vector<std::string>& arguments, const Environment& environment) {
  const std::string out = output_.path() / "out", err = output_.path() / "err";
  std::vector<std::string> words{KEDGE_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  int screen = -1;
  if (environment.terminal) {
    terminal_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const winsize size{24, 100, 0, 0};
    if (terminal_ < 0 || grantpt(terminal_) != 0 || unlockpt(terminal_) != 0 ||
        ioctl(terminal_, TIOCSWINSZ, &size) != 0)
      throw std::runtime_error("no terminal");
    screen = open(ptsname(terminal_), O_RDWR | O_NOCTTY | O_CLOEXEC);
  }

  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ > 0) {
    if (screen >= 0) close(screen);
    return;
  }
  const auto onto = [](const std::string& file, int descriptor, int flags) {
    const int fd = open(file.c_str(), flags, 0600);
    if (fd < 0 || dup2(fd, descriptor) < 0) _exit(125);
    close(fd);
  };
  onto("/dev/null", STDIN_FILENO, O_RDONLY);
  onto(out, STDOUT_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
  if (screen >= 0 && dup2(screen, STDOUT_FILENO) < 0) _exit(125);
  if (environment.unread) {
    int ends[2];
    if (pipe(ends) != 0 || close(ends[0]) != 0 || dup2(ends[1], STDOUT_FILENO) < 0) _exit(125);
    close(ends[1]);
  }
  onto(err, STDERR_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
  for (const int stream : environment.full) onto("/dev/full", stream, O_WRONLY);
  for (const int stream : environment.closed) close(stream);
  if (!environment.directory.empty() && chdir(environment.directory.c_str()) != 0) _exit(125);
  for (const auto& [name, value] : environment.variables) setenv(name.c_str(), value.c_str(), 1);
  if (environment.largest_file > 0) {
    const rlimit limit{environment.largest_file, environment.largest_file};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(125);
  }
  if (environment.address_space > 0) {
    const rlimit limit{environment.address_space, environment.address_space};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(125);
  }
  if (environment.processes > 0) {
    const rlimit limit{environment.processes, environment.processes};
    constexpr uid_t nobody = 65534;
    const int program = open(argv[0], O_PATH | O_CLOEXEC);  // its folder may be closed to nobody
    if (setrlimit(RLIMIT_NPROC, &limit) != 0 || setgid(nobody) != 0 || setuid(nobody) != 0) _exit(125);
    execveat(program, "", argv.data(), environ, AT_EMPTY_PATH);
    _exit(126);
  }
  execv(argv[0], argv.data());
  _exit(126);
}

Process::~Process() {
  if (terminal_ >= 0) close(terminal_);
  if (done_) return;
  signal(SIGKILL);
  waitpid(pid_, &status_, 0);
}

void Process::signal(int number) const { kill(pid_, number); }

bool Process::running() {
  if (!done_) done_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !done_;
}

std::string Process::printed() const { return read(output_.path() / "out"); }

std::string Process::complained() const { return read(output_.path() / "err"); }

Outcome Process::wait() {
  std::string shown;
  if (terminal_ >= 0) {
    std::array<char, 4096> buffer;
    // At the end of the process the read fails: nobody has the other side open.
    for (ssize_t n; (n = ::read(terminal_, buffer.data(), buffer.size())) > 0;)
      shown.append(buffer.data(), static_cast<std::size_t>(n));
  }
  if (!done_) waitpid(pid_, &status_, 0);
  done_ = true;
  const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  return {code, terminal_ >= 0 ? shown : read(output_.path() / "out"), read(output_.path() / "err")};
}

Outcome run(const std::vector<std::string>& arguments, const Environment& environment) {
  return Process(arguments, environment).wait();
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

std::vector<std::string> small_training(const std::string& out, int iterations) {
  return {"train",     "double_link", "--set",        "task.horizon=30",
          "--set",     "rollouts=6",  "--iterations", std::to_string(iterations),
          "--threads", "1",           "--out",        out};
}

}  // namespace kedge::test
