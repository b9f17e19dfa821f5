#include "kedge/core/process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kGrace = 5s;  // between SIGTERM and SIGKILL
constexpr std::size_t kErrorTail = 400;           // bytes
constexpr int kNotRun = 127;                      // exit code of a child that could not become the program

[[noreturn]] void fail(const std::string& what, int error) {
  throw SystemError(fmt::format("{}: {}", what, std::strerror(error)));
}

/// The descriptor under a number that is not one of standard input, output and error, which a child moves about.
FileDescriptor apart(int descriptor, const std::string& what) {
  const FileDescriptor opened(descriptor);
  FileDescriptor moved(opened.number() < 0 ? -1 : ::fcntl(opened.number(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (moved.number() < 0) fail(what, errno);
  return moved;
}

struct Pipe {
  FileDescriptor read, write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("a pipe cannot be made", errno);
  Pipe pipe;
  pipe.write = apart(ends[1], "a pipe cannot be made");
  pipe.read = apart(ends[0], "a pipe cannot be made");
  return pipe;
}

FileDescriptor open_log(const fs::path& log) {
  const std::string what = fmt::format("{}: cannot be written", log.string());
  FileDescriptor file =
      apart(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666), what);
  struct stat info = {};
  if (::fstat(file.number(), &info) != 0) fail(what, errno);
  if (!S_ISREG(info.st_mode)) throw SystemError(what + ": it is not a regular file");
  if (info.st_nlink != 1) throw SystemError(what + ": the file has another name too");
  return file;
}

FileDescriptor in_memory() {
  return apart(::memfd_create("kedge", MFD_CLOEXEC), "no room for the output of a program");
}

/// Everything that a child needs between its birth and its program, made before the birth.
struct Birth {
  std::vector<char*> arguments;  ///< ends with null
  int input = -1, output = -1, errors = -1, failure = -1;
  pid_t parent = 0;
  bool detached = false;
};

/// Becomes the program, or tells the parent why not. Runs in a copy of a program that may have threads: only calls that
/// are safe in a signal handler.
[[noreturn]] void become(const Birth& birth) {
  if (birth.detached) {
    ::setsid();
  } else {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != birth.parent) ::_exit(kNotRun);  // the parent ended before the line above
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (::dup2(birth.input, STDIN_FILENO) >= 0 && ::dup2(birth.output, STDOUT_FILENO) >= 0 &&
      ::dup2(birth.errors, STDERR_FILENO) >= 0)
    ::execvp(birth.arguments[0], birth.arguments.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t told = ::write(birth.failure, &error, sizeof error);
  ::_exit(kNotRun);
}

/// Returns the errno that a child reports; 0 once it has become its program.
int reported_failure(const FileDescriptor& pipe) {
  int error = 0;
  ssize_t n = 0;
  do n = ::read(pipe.number(), &error, sizeof error);
  while (n < 0 && errno == EINTR);
  return n == sizeof error ? error : 0;
}

/// While it lives, writing to a pipe without a reader is an error of this thread and no signal of the process.
class QuietPipe {
 public:
  QuietPipe() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~QuietPipe() {
    constexpr timespec now{};
    if (!was_pending_)
      while (sigtimedwait(&signal_, nullptr, &now) < 0 && errno == EINTR) {
      }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  QuietPipe(const QuietPipe&) = delete;
  QuietPipe& operator=(const QuietPipe&) = delete;

 private:
  sigset_t signal_, before_;
  bool was_pending_ = false;
};

/// Returns the exit code of a child that has ended, nullopt if none was to be had.
std::optional<int> reap(pid_t child, int flags) {
  int status = 0;
  const pid_t ended = ::waitpid(child, &status, flags);
  if (ended < 0 && errno != EINTR) return kNotRun;  // whoever ignores SIGCHLD is not told
  if (ended != child) return std::nullopt;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string contents(const FileDescriptor& file) {
  if (file.number() < 0) return "";
  return read_bytes(file, std::numeric_limits<std::uint64_t>::max(), "the output of a program");
}

}  // namespace

Process::Process(const Launch& launch) : detached_(launch.detached) {
  const std::string program = launch.arguments.at(0);
  const std::string cannot =
      fmt::format("{}{} cannot be run", program, launch.purpose.empty() ? "" : fmt::format(", {},", launch.purpose));
  std::vector<std::string> words = launch.arguments;
  Birth birth;
  for (std::string& word : words) birth.arguments.push_back(word.data());
  birth.arguments.push_back(nullptr);

  FileDescriptor input, output, errors;
  if (launch.input) {
    Pipe pipe = make_pipe();
    input = std::move(pipe.read);
    input_ = std::move(pipe.write);
  } else {
    input = apart(::open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null: cannot be read");
  }
  if (launch.log.empty()) {
    output_ = in_memory();
    errors_ = in_memory();
    birth.output = output_.number();
    birth.errors = errors_.number();
  } else {
    output = open_log(launch.log);
    birth.output = birth.errors = output.number();
  }
  Pipe failure = make_pipe();
  birth.input = input.number();
  birth.failure = failure.write.number();
  birth.parent = ::getpid();
  birth.detached = launch.detached;

  child_ = ::fork();
  if (child_ == 0) become(birth);
  int error = child_ < 0 ? errno : 0;
  failure.write = FileDescriptor();
  if (child_ > 0) error = reported_failure(failure.read);
  if (error == 0) return;
  if (child_ > 0) wait();
  throw SystemError(
      fmt::format("{}: {}{}{}", cannot, std::strerror(error), launch.remedy.empty() ? "" : "; ", launch.remedy));
}

Process::Process(Process&& other) noexcept
    : child_(std::exchange(other.child_, 0)),
      detached_(other.detached_),
      exit_code_(other.exit_code_),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)) {}

Process::~Process() {
  if (child_ <= 0 || detached_ || exit_code()) return;
  terminate();
  if (wait_for(kGrace)) return;
  ::kill(child_, SIGKILL);
  wait();
}

bool Process::write(std::string_view bytes) {
  const QuietPipe quiet;
  while (!bytes.empty()) {
    const ssize_t n = ::write(input_.number(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::optional<int> Process::exit_code() {
  if (!exit_code_) exit_code_ = reap(child_, WNOHANG);
  return exit_code_;
}

int Process::wait() {
  input_ = FileDescriptor();
  while (!exit_code_) exit_code_ = reap(child_, 0);
  return *exit_code_;
}

std::optional<int> Process::wait_for(std::chrono::milliseconds longest) {
  input_ = FileDescriptor();
  const Clock::time_point end = Clock::now() + longest;
  while (!exit_code() && Clock::now() < end) std::this_thread::sleep_for(5ms);
  return exit_code();
}

void Process::terminate() {
  if (!exit_code()) ::kill(child_, SIGTERM);
}

std::string Process::output() const { return contents(output_); }

std::string Process::error_tail() const {
  std::string text = contents(errors_);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return one_line(text.size() > kErrorTail ? "..." + text.substr(text.size() - kErrorTail) : text, kErrorTail + 3);
}

}  // namespace kedge
