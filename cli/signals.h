// SIGINT, SIGTERM and SIGHUP become a stop request; a second one ends the process.
#pragma once

#include <pthread.h>

#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

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
  /// large model, one step of a simulation) is left where it is. These words are printed and the process ends with the exit
  /// code of an interrupted one. That is as safe as being killed: what a run has completed is on the disk.
  void leave_with(std::string last_words);

 private:
  void wait(const sigset_t& set);
  void leave();

  std::stop_source stop_;
  sigset_t before_;
  std::mutex mutex_;
  std::string last_words_;  ///< empty: whoever works is waited for
  std::thread waiter_;
};

}  // namespace kedge::cli
