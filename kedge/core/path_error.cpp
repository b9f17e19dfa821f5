#include "kedge/core/path_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "kedge/core/errors.h"

namespace kedge {

bool is_wrong_path(int error) {
  constexpr std::array of_paths{ENOENT, ENOTDIR, EISDIR, EEXIST, ELOOP, ENAMETOOLONG, EACCES, EPERM, EROFS};
  return std::ranges::find(of_paths, error) != of_paths.end();
}

void fail_by_path(const std::string& message, int error) {
  const std::string line = fmt::format("{}: {}", message, std::generic_category().message(error));
  if (is_wrong_path(error)) throw InputError(line);
  throw SystemError(line);
}

}  // namespace kedge
