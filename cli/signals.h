// SIGINT, SIGTERM and SIGHUP become a stop request; a second one ends the process.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "verbs.h"

namespace kedge::cli {

/// While it lives, the first signal asks for a stop (state is saved, then the program ends), the second one ends the
/// process at once. The signals are taken by a thread of their own: a handler may not touch a std::stop_source. Create
/// it before any other thread.
class SignalStop {
 public:
  SignalStop();
  ~SignalStop();
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;

  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

  /// From now on nobody is waited for: work that has not heard of the stop after one and a half seconds (a regression of a
  /// large model, one step of a simulation) is left where it is. These words are printed and the process ends with this exit
  /// code. That is as safe as being killed: what a run has completed is on the disk.
  void leave_with(std::string last_words, int code = kInterrupted);

  /// From now on the first signal ends the process at once, in the same way: for verbs that have no state to save. Files that
  /// are being written stay as they were (`abandon_writes`).
  void leave_at_once(std::string last_words);

 private:
  static constexpr std::chrono::milliseconds kPatience{1500};

  void wait(const sigset_t& set);
  std::chrono::milliseconds patience();
  void leave();

  std::stop_source stop_;
  sigset_t before_;
  std::atomic<bool> over_ = false;  ///< the destructor sets it before it wakes the waiter
  std::mutex mutex_;
  std::string last_words_;  ///< empty: whoever works is waited for
  int code_ = kInterrupted;
  std::chrono::milliseconds patience_ = kPatience;
  std::thread waiter_;
};

}  // namespace kedge::cli
