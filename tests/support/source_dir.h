// Where the source tree is, for tests that read its tasks.
#pragma once

#include <string>

namespace kedge::test {

/// Returns the absolute path of the source tree, without a slash at its end.
std::string source_dir();

}  // namespace kedge::test
