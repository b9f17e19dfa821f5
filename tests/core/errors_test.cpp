#include "kedge/core/errors.h"

#include <gtest/gtest.h>

#include "kedge/core/types.h"

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

TEST(Batch, PutsTheStepsOfARolloutSideBySide) {
  Batch batch;
  batch.rollouts = 3;
  batch.horizon = 4;
  batch.diverged_at = {-1, 0, 3};
  EXPECT_EQ(batch.at(0, 0), 0);
  EXPECT_EQ(batch.at(0, 4), 4);
  EXPECT_EQ(batch.at(2, 4), 3 * 5 - 1);
  EXPECT_EQ(batch.step(1, 0), 4);
  EXPECT_EQ(batch.step(2, 3), 3 * 4 - 1);
  EXPECT_TRUE(batch.usable(0));
  EXPECT_FALSE(batch.usable(1));
  EXPECT_FALSE(batch.usable(2));
}

}  // namespace
}  // namespace kedge
