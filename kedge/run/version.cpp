#include "kedge/run/version.h"

#include <fmt/format.h>
#include <mujoco/mujoco.h>

#include <Eigen/Core>

#include "commit.h"  // written by the build: KEDGE_COMMIT

namespace kedge {

namespace {

std::string compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
  return "unknown";
#endif
}

}  // namespace

Versions versions() {
  return {.kedge = KEDGE_VERSION,
          .commit = KEDGE_COMMIT,
          .mujoco = mj_versionString(),
          .eigen = fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION),
          .compiler = compiler(),
          .build = KEDGE_BUILD};
}

}  // namespace kedge
