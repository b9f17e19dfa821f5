// SIGINT, SIGTERM and SIGHUP become a stop request; a second one ends the process.
#pragma once

#include <pthread.h>

#include <stop_token>
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

 private:
  std::stop_source stop_;
  sigset_t before_;
  std::thread waiter_;
};

}  // namespace kedge::cli
