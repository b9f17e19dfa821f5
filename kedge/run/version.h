// The versions of this program and its libraries, recorded with every run.
#pragma once

#include <string>

namespace kedge {

struct Versions {
  std::string kedge;   ///< "0.1.0"
  std::string commit;  ///< git commit of the source tree, with "-dirty" if it was changed; "unknown" without git
  std::string mujoco;  ///< version of the loaded library
  std::string eigen;
  std::string compiler;  ///< "GCC 12.2.0"
  std::string build;     ///< "Release, -march=native"
};
Versions versions();

}  // namespace kedge
