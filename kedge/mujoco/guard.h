// MuJoCo reports a fatal error by a function that must not return, and by default ends the process. Inside
// `call_mujoco` the handler jumps back instead, as MuJoCo's own Python bindings do: its frames are C, with nothing to
// unwind. The data of the call may then only be reset. Internal to kedge/mujoco.
#pragma once

#include <csetjmp>
#include <string>
#include <vector>

namespace kedge {

struct MujocoGuard {
  std::jmp_buf jump;
  bool armed = false;                            ///< a call is under way on this thread
  char error[1000] = "";                         ///< message of the last fatal error on this thread
  std::vector<std::string>* warnings = nullptr;  ///< where warnings go; null: nowhere, mjData counts them
};

/// Returns the guard of the calling thread.
MujocoGuard& mujoco_guard();

/// Sets MuJoCo's two global handlers, once per process. Calls of MuJoCo outside `call_mujoco`, by other code
/// in the process, keep the handlers that were set before, or MuJoCo's defaults but for its log file.
void install_mujoco_handlers();

/// Runs a function that calls only MuJoCo and owns nothing.
/// @return false after a fatal error, with its message in mujoco_guard().error
template <class F>
[[nodiscard]] bool call_mujoco(const F& function) {
  MujocoGuard& guard = mujoco_guard();
  if (setjmp(guard.jump) != 0) {  // NOLINT(cert-err52-cpp): see above
    guard.armed = false;
    return false;
  }
  guard.armed = true;
  function();
  guard.armed = false;
  return true;
}

}  // namespace kedge
