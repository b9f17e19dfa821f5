#include "tests/support/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace kedge::faults {

namespace {

pid_t armed = 0;  // the process that was armed: one that it starts, to read a file for instance, is left alone
Fault fault = Fault::none;
int fault_call = 0;
int calls = 0;

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

enum class Verdict { pass, fail, half };

/// What happens to the call that is being made. @param writes  it stores bytes  @param grows  it needs space
Verdict judge(bool writes, bool grows) {
  if (armed != ::getpid()) return Verdict::pass;
  const int call = calls++;
  if (call < fault_call) return Verdict::pass;
  switch (fault) {
    case Fault::none: return Verdict::pass;
    case Fault::disk_full:
      errno = ENOSPC;
      if (!grows) return Verdict::pass;
      return writes && call == fault_call ? Verdict::half : Verdict::fail;
    case Fault::error: errno = EIO; return call == fault_call ? Verdict::fail : Verdict::pass;
    case Fault::kill:
      if (writes) return Verdict::half;
      ::kill(::getpid(), SIGKILL);
  }
  return Verdict::pass;
}

}  // namespace

void arm(Fault what, int call) {
  fault = what;
  fault_call = call;
  calls = 0;
  armed = ::getpid();
}

int disarm() {
  armed = 0;
  return calls;
}

bool killed_at(int call, const std::function<void()>& action) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) std::abort();
  if (child == 0) {
    arm(Fault::kill, call);
    try {
      action();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "the child process failed\n");
    std::abort();
  }
  return false;
}

}  // namespace kedge::faults

using kedge::faults::judge;
using kedge::faults::next;
using kedge::faults::Verdict;

extern "C" {

int open(const char* path, int flags, ...) {
  static auto* const real = next<int(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if (judge(false, (flags & O_CREAT) != 0) != Verdict::pass) return -1;
  return real(path, flags, mode);
}

// What a fortified build calls for `open` and `openat` without a mode.
int __open_2(const char* path, int flags) { return open(path, flags, 0); }  // NOLINT: glibc's name

int openat(int folder, const char* path, int flags, ...) {
  static auto* const real = next<int(int, const char*, int, ...)>("openat");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if (judge(false, (flags & O_CREAT) != 0) != Verdict::pass) return -1;
  return real(folder, path, flags, mode);
}

int __openat_2(int folder, const char* path, int flags) { return openat(folder, path, flags, 0); }  // NOLINT

int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  static auto* const real = next<int(int, const char*, mode_t)>("mkdirat");
  return judge(false, true) == Verdict::pass ? real(folder, path, mode) : -1;
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  switch (judge(true, true)) {
    case Verdict::pass: return real(descriptor, bytes, size, offset);
    case Verdict::fail: return -1;
    case Verdict::half: break;
  }
  const ssize_t written = size > 1 ? real(descriptor, bytes, size / 2, offset) : 0;
  if (kedge::faults::fault == kedge::faults::Fault::kill) ::kill(::getpid(), SIGKILL);
  return written;
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  static auto* const real = next<int(int, const char*, int, const char*)>("renameat");
  return judge(false, false) == Verdict::pass ? real(from_folder, from, to_folder, to) : -1;
}

int fsync(int descriptor) {
  static auto* const real = next<int(int)>("fsync");
  return judge(false, false) == Verdict::pass ? real(descriptor) : -1;
}

int ftruncate(int descriptor, off_t length) noexcept {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  return judge(false, false) == Verdict::pass ? real(descriptor, length) : -1;
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  static auto* const real = next<int(int, const char*, int)>("unlinkat");
  return judge(false, false) == Verdict::pass ? real(folder, path, flags) : -1;
}
}
