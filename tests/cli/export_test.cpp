// kedge export: what it writes, and a robot that balances in a program without kedge.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

/// A run of iLQR that balances two poles on a cart for 12 s; made once.
class Export : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new Scratch;
    const Outcome made = kedge({"train", source_dir() + "/examples/robots/double_pendulum", "--algorithm", "ilqr",
                                "--set", "task.horizon=400", "--out", "balance"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static Outcome kedge(const std::vector<std::string>& arguments) {
    return run(arguments, {.directory = scratch_->path()});
  }
  static fs::path path(const std::string& name) { return scratch_->path() / name; }

  static Scratch* scratch_;
};
Scratch* Export::scratch_ = nullptr;

TEST_F(Export, WritesEveryFormatOfARunAndOfAFile) {
  for (const char* source : {"balance", "balance/policy.h5"})
    for (const char* format : {"c", "onnx", "json", "python"}) {
      const Outcome o = kedge({"export", source, "--format", format, "-o", "file"});
      EXPECT_EQ(o.code, 0) << o.err;
      EXPECT_THAT(o.out, StartsWith("file: tv_linear_gaussian, 6 observations, 1 actions; "));
      EXPECT_EQ(o.err, "");
      EXPECT_EQ(kedge({"export", source, "--format", format, "-o", "-"}).out, read(path("file"))) << format;
    }
  const auto json = nlohmann::json::parse(kedge({"export", "balance", "--format", "json", "-o", "-"}).out);
  EXPECT_EQ(json["task"], "double_pendulum");
  EXPECT_EQ(json["K"].size(), 400u);
  EXPECT_THAT(kedge({"export", "balance", "--format", "c", "-o", "-", "--name", "mine"}).out,
              HasSubstr("int mine_action("));
}

TEST_F(Export, RefusesInOneLine) {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& text) {
    const Outcome o = kedge(arguments);
    EXPECT_EQ(o.code, 2);
    EXPECT_EQ(o.error_lines().size(), 1u) << o.err;
    EXPECT_THAT(o.err, HasSubstr(text));
    EXPECT_FALSE(fs::exists(path("none")));
  };
  refused({"export", "balance", "--format", "matlab", "-o", "none"}, "must be c, onnx, json, python");
  refused({"export", "balance", "--format", "c", "-o", "none", "--name", "a b"}, "--name = a b");
  refused({"export", "balance", "--format", "c"}, "FILE is missing");
  refused({"export", "balance", "--format", "c", "-o", "balance/policy.h5"}, "is a file of a run");
  fs::copy_file(path("balance/policy.h5"), path("mine.h5"));
  refused({"export", "mine.h5", "--format", "c", "-o", "mine.h5"}, "is what is read");
  refused({"export", "balance", "--format", "c", "-o", "."}, "cannot be written: it is a directory");
  refused({"export", "balance", "--format", "c", "-o", "absent/x.h"}, "cannot be written: No such file");
  refused({"export", "nothing", "--format", "c", "-o", "none"}, "there is no such run or policy");
  refused({"export", "balance/metrics.csv", "--format", "c", "-o", "none"}, "metrics.csv");
}

TEST_F(Export, WritesTheControllerThatAContextualPolicyChooses) {
  const Outcome made = kedge({"train", "double_link", "--algorithm", "reps", "--set", "controller=dmp", "--set",
                              "context=start", "--set", "rollouts=40", "--iterations", "1", "--out", "chooses"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto k_of = [&](const std::string& start) {
    const Outcome o = kedge({"export", "chooses", "--format", "json", "-o", "-", "--start", start});
    EXPECT_EQ(o.code, 0) << o.err;
    const auto json = nlohmann::json::parse(o.out);
    EXPECT_EQ(json["kind"], "dmp");
    return json["k"];
  };
  EXPECT_TRUE(k_of("3.1,0,0,0") == k_of("3.1,0,0,0"));
  EXPECT_TRUE(k_of("3.1,0,0,0") != k_of("2.9,0.1,-2e-1,0"));
  EXPECT_EQ(kedge({"export", "chooses", "--format", "c", "-o", "chosen.h", "--start", "3.1,0,0,0"}).code, 0);
  EXPECT_THAT(kedge({"export", "chooses", "--format", "c", "-o", "none"}).err, HasSubstr("--start"));
  for (const char* wrong : {"3.1", "3.1,0,0,x", "3.1,0,0,", "3.1,0,0,nan", ",", "3.1,0,0,0,0"}) {
    const Outcome o = kedge({"export", "chooses", "--format", "c", "-o", "none", "--start", wrong});
    EXPECT_EQ(o.code, 2) << wrong;
    EXPECT_EQ(o.error_lines().size(), 1u) << o.err;
    EXPECT_THAT(o.err, HasSubstr("start"));
  }
  EXPECT_THAT(kedge({"export", "balance", "--format", "c", "-o", "none", "--start", "0,0,0,0,0,0"}).err,
              HasSubstr("the same for every start"));
  EXPECT_FALSE(fs::exists(path("none")));
}

TEST_F(Export, ExampleInCBalances) {
  ASSERT_EQ(kedge({"export", "balance", "--format", "c", "-o", "double_pendulum.h"}).code, 0);
  const fs::path library = KEDGE_MUJOCO_LIBRARY;
  const std::string command = fmt::format(
      "cc -std=c99 -O1 -Wall -Wextra -Werror -I. -isystem '{0}' -o balance_c '{1}/examples/c_controller/balance.c' "
      "'{2}' -lm -Wl,-rpath,'{3}' && ./balance_c '{1}/examples/robots/double_pendulum/double_pendulum.xml' > printed",
      KEDGE_MUJOCO_INCLUDE, source_dir(), library.string(), library.parent_path().string());
  ASSERT_EQ(std::system(fmt::format("cd '{}' && {}", scratch_->path().string(), command).c_str()), 0);
  EXPECT_EQ(std::system(
                fmt::format(
                    "cd '{}' && cc -std=c99 -Wall -Wextra -Werror -I. -fsyntax-only '{}/examples/c_controller/time.c'",
                    scratch_->path().string(), source_dir())
                    .c_str()),
            0);
  std::istringstream lines(read(path("printed")));
  std::string last;
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) last = line;
  EXPECT_EQ(count, 8);
  double time = 0, lower = 1, upper = 1;
  ASSERT_EQ(std::sscanf(last.c_str(), "%lf s: the poles lean %lf and %lf rad", &time, &lower, &upper), 3) << last;
  EXPECT_NEAR(time, 12.0, 1e-6);
  EXPECT_NEAR(lower, 0.0, 1e-4);
  EXPECT_NEAR(upper, 0.0, 1e-4);
}

}  // namespace
}  // namespace kedge::test
