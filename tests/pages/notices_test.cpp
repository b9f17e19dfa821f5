#include <gmock/gmock.h>

#include "kedge/core/errors.h"
#include "kedge/pages/embedded.h"

namespace kedge {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Pages, ContainTheLicencesOfTheirLibraries) {
  const auto text = [](const char* name) { return std::string(page(name)); };
  try {
    page("replay.html");
  } catch (const InputError&) {
    GTEST_SKIP() << "this kedge was built without its pages";
  }
  const auto mit = HasSubstr("Permission is hereby granted, free of charge");
  const auto three = HasSubstr("three.js authors"), uplot = HasSubstr("Leon Sorokin"),
             mujoco = HasSubstr("DeepMind Technologies Limited"), qhull = HasSubstr("C.B. Barber");
  for (const char* name : {"replay.html", "live.html", "compare.html", "mujoco.js"})
    EXPECT_THAT(text(name), HasSubstr("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION")) << name;
  EXPECT_THAT(text("replay.html"), AllOf(mit, three, uplot, Not(qhull)));
  EXPECT_THAT(text("live.html"), AllOf(mit, uplot, Not(three)));
  EXPECT_THAT(text("compare.html"), AllOf(mit, uplot, Not(three)));
  EXPECT_THAT(text("mujoco.js"), AllOf(mujoco, mit, qhull)) << "goes into pages with --play";
}

}  // namespace
}  // namespace kedge
