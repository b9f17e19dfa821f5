// One training with every kind of vectors that this build and processor have: the same bytes.
#include "kedge/math/vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "program.h"

namespace kedge::test {
namespace {

const std::vector<std::string> kMoto = {"train",        "double_link", "--set",     "task.horizon=30",
                                        "--set",        "rollouts=12", "--set",     "window=2",
                                        "--iterations", "3",           "--threads", "1"};
const std::vector<std::string> kNetwork = {"train",        "quad_link",
                                           "--algorithm",  "vgps",
                                           "--set",        "task.horizon=30",
                                           "--set",        "initial_iterations=3",
                                           "--set",        "first_evaluations=30",
                                           "--set",        "evaluations=20",
                                           "--iterations", "1",
                                           "--threads",    "1"};

class SameBytes : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(SameBytes, UnderEveryKindOfVectors) {
  const Scratch scratch;
  std::map<std::string, std::string> of_file;
  for (const std::string& kind : vector_kinds()) {
    if (kind == "portable") continue;  // nothing is promised without fused multiply-adds
    SCOPED_TRACE(kind);
    std::vector<std::string> arguments = GetParam();
    arguments.insert(arguments.end(), {"--out", kind});
    const Outcome outcome = run(arguments, {.directory = scratch.path(), .variables = {{"KEDGE_VECTORS", kind}}});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    for (const std::string file : {"metrics.csv", "policy.h5", "checkpoint.h5"}) {
      const std::string bytes = read(scratch.path() / kind / file);
      EXPECT_FALSE(bytes.empty()) << file;
      const std::string& first = of_file.try_emplace(file, bytes).first->second;
      EXPECT_TRUE(bytes == first) << file << " differs";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vectors, SameBytes, testing::Values(kMoto, kNetwork),
                         [](const auto& variant) { return variant.index == 0 ? "Moto" : "Network"; });

TEST(Vectors, UnknownKindIsRefusedBeforeWork) {
  const Scratch scratch;
  std::vector<std::string> arguments = kMoto;
  arguments.insert(arguments.end(), {"--out", "run"});
  const Outcome outcome = run(arguments, {.directory = scratch.path(), .variables = {{"KEDGE_VECTORS", "mmx"}}});
  EXPECT_EQ(outcome.code, 2);
  ASSERT_EQ(outcome.error_lines().size(), 1U);
  EXPECT_THAT(outcome.err, testing::HasSubstr("KEDGE_VECTORS: vectors 'mmx' are not among those of this build"));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "run"));
}

}  // namespace
}  // namespace kedge::test
