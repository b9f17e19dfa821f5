// A disk that fails, or a process that is killed, at a chosen system call: this program has its own open, openat,
// mkdirat, pwrite, renameat, fsync, ftruncate and unlinkat, which count their calls and pass them on.
#pragma once

#include <functional>

namespace kedge::faults {

/// What happens at call number `call` (0, 1, ...).
enum class Fault {
  none,       ///< calls are counted
  disk_full,  ///< from then on nothing can be created, and a write stores the half of its bytes, then nothing: ENOSPC
  error,      ///< this one call fails with EIO
  kill,       ///< SIGKILL; if it is a write, the half of its bytes are stored before
};

void arm(Fault fault, int call);
/// @return how many calls were seen since `arm`
int disarm();

/// Runs `action` in a child process that gets SIGKILL at that call. @return true if it was killed, false if it ended before
bool killed_at(int call, const std::function<void()>& action);

}  // namespace kedge::faults
