#include "kedge/core/errors.h"

#include <gtest/gtest.h>

namespace kedge {
namespace {

TEST(Require, NamesFieldValueAndRule) {
  EXPECT_NO_THROW(require(true, "rollouts", 2, ">= 2"));
  try {
    require(false, "rollouts", 1, ">= 2");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "rollouts = 1, but must be >= 2");
  }
}

}  // namespace
}  // namespace kedge
