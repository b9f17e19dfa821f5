#include "signals.h"

#include <signal.h>
#include <unistd.h>

namespace kedge::cli {

namespace {

constexpr int kLeave = SIGUSR1;  // the destructor wakes the waiter with it

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
  waiter_ = std::thread([this, set] {
    for (;;) {
      int signal = 0;
      if (sigwait(&set, &signal) != 0) continue;
      if (signal == kLeave) return;
      if (!stop_.request_stop()) _exit(128 + signal);
    }
  });
}

SignalStop::~SignalStop() {
  pthread_kill(waiter_.native_handle(), kLeave);
  waiter_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace kedge::cli
