#include "signals.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "kedge/core/errors.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

constexpr int kLeave = SIGUSR1;  // the destructor wakes the waiter with it
constexpr timespec kPatience{.tv_sec = 1, .tv_nsec = 500'000'000};

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, kLeave}) sigaddset(&set, signal);
  return set;
}

}  // namespace

SignalStop::SignalStop() {
  const sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, &before_);  // inherited by every thread that is created from now on
  try {
    waiter_ = std::thread([this, set] { wait(set); });
  } catch (const std::system_error& e) {
    throw SystemError(fmt::format("no thread can be started: {}", e.code().message()));
  }
}

void SignalStop::wait(const sigset_t& set) {
  int signal = 0;
  do {
    if (sigwait(&set, &signal) != 0) signal = 0;
  } while (signal == 0);
  if (signal == kLeave) return;
  stop_.request_stop();
  for (;;) {
    const int second = sigtimedwait(&set, nullptr, &kPatience);
    if (second == kLeave) return;
    if (second > 0) _exit(128 + second);
    if (errno == EAGAIN) leave();
  }
}

void SignalStop::leave() {
  const std::lock_guard lock(mutex_);
  if (last_words_.empty()) return;
  std::fputs(fmt::format("kedge: {}\n", last_words_).c_str(), stderr);  // where that fails nobody listens
  _exit(kInterrupted);
}

void SignalStop::leave_with(std::string last_words) {
  const std::lock_guard lock(mutex_);
  last_words_ = std::move(last_words);
}

SignalStop::~SignalStop() {
  pthread_kill(waiter_.native_handle(), kLeave);
  waiter_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace kedge::cli
