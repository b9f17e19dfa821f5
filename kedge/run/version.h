// What this program was made of: recorded with every run.
#pragma once

#include <string>

namespace kedge {

struct Versions {
  std::string kedge;   ///< "0.1.0"
  std::string commit;  ///< git commit of the source tree, with "-dirty" if it was changed; "unknown" without git
  std::string mujoco;  ///< of the library that is loaded
  std::string eigen;
  std::string compiler;  ///< "GCC 12.2.0"
  std::string build;     ///< "Release, -march=native"
};
Versions versions();

}  // namespace kedge
