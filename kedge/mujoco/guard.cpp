#include "kedge/mujoco/guard.h"

#include <mujoco/mujoco.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace kedge {

namespace {

using Handler = void (*)(const char*);
Handler other_error = nullptr;  // who was asked before us
Handler other_warning = nullptr;

void on_error(const char* message) {
  MujocoGuard& guard = mujoco_guard();
  if (guard.armed) {
    std::strncpy(guard.error, message, sizeof guard.error - 1);
    std::longjmp(guard.jump, 1);  // NOLINT(cert-err52-cpp): guard.h says why
  }
  if (other_error) return other_error(message);
  std::fprintf(stderr, "MuJoCo: %s\n", message);  // not our call: there is nobody to return to
  std::abort();
}

void on_warning(const char* message) {
  MujocoGuard& guard = mujoco_guard();
  if (guard.armed) {
    if (guard.warnings) guard.warnings->emplace_back(message);
  } else if (other_warning) {
    other_warning(message);
  } else {
    std::fprintf(stderr, "MuJoCo: %s\n", message);
  }
}

}  // namespace

MujocoGuard& mujoco_guard() {
  thread_local MujocoGuard guard;
  return guard;
}

void install_mujoco_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    other_error = mju_user_error;
    other_warning = mju_user_warning;
    mju_user_error = on_error;
    mju_user_warning = on_warning;
  });
}

}  // namespace kedge
