#include "signals.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"

namespace kedge::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWake = SIGUSR1;  // the destructor wakes the waiter with it; from anybody else it says nothing

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, kWake}) sigaddset(&set, signal);
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
    if (over_) return;
  } while (signal == 0 || signal == kWake);
  stop_.request_stop();
  for (Clock::time_point end = Clock::now() + patience();;) {
    const auto left = std::max<std::chrono::nanoseconds>(end - Clock::now(), std::chrono::nanoseconds::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    const int second = sigtimedwait(&set, nullptr, &time);
    if (over_) return;
    if (second > 0 && second != kWake) _exit(128 + second);
    if (second >= 0 || errno != EAGAIN) continue;
    leave();
    end = Clock::now() + kPatience;
  }
}

std::chrono::milliseconds SignalStop::patience() {
  const std::lock_guard lock(mutex_);
  return patience_;
}

void SignalStop::leave() {
  const std::lock_guard lock(mutex_);
  if (last_words_.empty()) return;
  abandon_writes();
  std::fputs(fmt::format("kedge: {}\n", last_words_).c_str(), stderr);  // where that fails nobody listens
  _exit(code_);
}

void SignalStop::leave_with(std::string last_words, int code) {
  const std::lock_guard lock(mutex_);
  last_words_ = std::move(last_words);
  code_ = code;
  patience_ = kPatience;
}

void SignalStop::leave_at_once(std::string last_words) {
  const std::lock_guard lock(mutex_);
  last_words_ = std::move(last_words);
  patience_ = {};
}

SignalStop::~SignalStop() {
  over_ = true;
  pthread_kill(waiter_.native_handle(), kWake);
  waiter_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace kedge::cli
