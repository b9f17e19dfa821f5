#include "tests/support/source_dir.h"

namespace kedge::test {

std::string source_dir() { return KEDGE_SOURCE_DIR; }

}  // namespace kedge::test
