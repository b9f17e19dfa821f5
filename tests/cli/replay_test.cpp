// kedge replay as a user runs it; what the pages do in a browser is tested by viewer/test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Replay : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new Scratch;
    const Outcome made = run(small_training("a"), {.directory = scratch_->path()});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static Outcome kedge(const std::vector<std::string>& arguments, const Environment& more = {}) {
    Environment environment = more;
    environment.directory = scratch_->path();
    return run(arguments, environment);
  }
  static fs::path path(const std::string& name) { return scratch_->path() / name; }
  static bool has_pages() { return kedge({"replay", "a", "-o", "probe.html"}).code == 0; }

 private:
  inline static Scratch* scratch_ = nullptr;
};

/// Width and height in the header of a PNG file.
std::pair<int, int> png_size(const std::string& bytes) {
  const auto number = [&](std::size_t at) {
    int value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = 256 * value + static_cast<unsigned char>(bytes.at(at + i));
    return value;
  };
  return {number(16), number(20)};
}

TEST_F(Replay, FilmStripIsAPictureAndTheSameEachTime) {
  const Outcome o = kedge({"replay", "a", "--png", "strip.png", "--frames", "3", "--deterministic"});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string bytes = read(path("strip.png"));
  EXPECT_THAT(bytes, StartsWith("\x89PNG\r\n"));
  EXPECT_EQ(png_size(bytes), std::pair(3 * 240 + 2 * 4, 26 + 240));
  EXPECT_EQ(kedge({"replay", "a", "--png", "again.png", "--frames", "3", "--deterministic", "--threads", "2"}).code, 0);
  EXPECT_TRUE(bytes == read(path("again.png")));
  EXPECT_EQ(kedge({"replay", "a", "--png", "first.png", "--frames", "3", "--iterations", "first"}).code, 0);
  EXPECT_FALSE(bytes == read(path("first.png"))) << "another policy moves otherwise";
  EXPECT_EQ(kedge({"replay", "a", "--png", "many.png", "--frames", "9"}).code, 0);
  EXPECT_EQ(png_size(read(path("many.png"))), std::pair(5 * 240 + 4 * 4, 26 + 2 * 240 + 4)) << "two rows";
}

TEST_F(Replay, WritesThePageToStandardOutput) {
  if (!has_pages()) GTEST_SKIP() << "this kedge was built without its pages";
  const Outcome o = kedge({"replay", "a", "-o", "-"});
  EXPECT_EQ(o.code, 0);
  EXPECT_TRUE(o.out == read(path("probe.html")));
  EXPECT_FALSE(fs::exists(path("-")));
}

TEST_F(Replay, VideoIsMadeByFfmpegOrRefusedInOneLine) {
  fs::create_directory(path("bin"));
  // In place of ffmpeg: the last argument is the file, and what comes in is counted.
  write(path("bin/ffmpeg"), "#!/bin/sh\nfor last; do :; done\n/usr/bin/wc -c > \"$last\"\n");
  fs::permissions(path("bin/ffmpeg"), fs::perms::owner_all);
  const Outcome o = kedge({"replay", "a", "--mp4", "v.mp4"}, {.variables = {{"PATH", path("bin").string()}}});
  EXPECT_EQ(o.code, 0) << o.err;
  // 30 steps of 0.05 s are 46 frames at 30 a second, both ends included.
  EXPECT_EQ(std::stol(read(path("v.mp4"))), 46L * 640 * 480 * 3);

  write(path("bin/ffmpeg"), "#!/bin/sh\nexit 7\n");
  const Outcome failed = kedge({"replay", "a", "--mp4", "v.mp4"}, {.variables = {{"PATH", path("bin").string()}}});
  EXPECT_EQ(failed.code, 3);
  EXPECT_THAT(failed.error_lines(), ElementsAre(HasSubstr("ffmpeg failed to make the video (exit code 7)")));

  const Outcome none = kedge({"replay", "a", "--mp4", "v.mp4"}, {.variables = {{"PATH", path("nothing").string()}}});
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.error_lines(), ElementsAre(HasSubstr("install it (Debian: ffmpeg)")));
}

TEST_F(Replay, PageHoldsTheRequestedPoliciesAndNothingElse) {
  if (!has_pages()) GTEST_SKIP() << "built without pages";
  const Outcome o = kedge({"replay", "a", "-o", "page.html", "--iterations", "first,3,last", "--rollouts", "2"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("3 policies of a, 2 rollouts each"));
  const std::string page = read(path("page.html"));
  for (const char* expected : {"\"iterations\":0", "\"iterations\":3", "\"iterations\":6", "id=\"numbers\""})
    EXPECT_THAT(page, HasSubstr(expected));
  EXPECT_THAT(page, Not(HasSubstr("mujoco-wasm\" type")));
  EXPECT_EQ(kedge({"replay", "a/policies/00003.h5", "-o", "one.html", "--play"}).code, 0)
      << "a kept policy knows its run";
  EXPECT_THAT(read(path("one.html")), HasSubstr("id=\"mujoco-wasm\""));
}

TEST_F(Replay, ShowsWhereABallFliesAndLands) {
  if (!has_pages()) GTEST_SKIP() << "built without pages";
  ASSERT_EQ(kedge({"train", "table_tennis", "--iterations", "0", "--out", "ball"}).code, 0);
  const auto replay = [](const char* run) {
    return kedge({"replay", run, "-o", "-", "--deterministic", "--rollouts", "2"}).out;
  };
  const std::string page = replay("ball");
  // The stroke returns each of 100 balls, the same one: four numbers each.
  EXPECT_THAT(page, ContainsRegex("\"marks\":\\{\"at\":[0-9]+,\"n\":400,"));
  EXPECT_THAT(page, ContainsRegex("\"path\":\\{\"at\":"));
  EXPECT_THAT(replay("a"), AllOf(Not(HasSubstr("\"marks\":")), Not(HasSubstr("\"path\":"))));
}

TEST_F(Replay, MistakesAreOneLineAndNothingIsWritten) {
  const auto expect = [&](std::vector<std::string> arguments, const char* message) {
    arguments.insert(arguments.begin(), "replay");
    const Outcome o = kedge(arguments);
    EXPECT_EQ(o.code, 2) << message;
    EXPECT_THAT(o.error_lines(), ElementsAre(HasSubstr(message)));
    EXPECT_FALSE(fs::exists(path("wrong.png")));
  };
  expect({"a"}, "nothing to write");
  expect({"nowhere", "--png", "wrong.png"}, "there is no such run or policy");
  expect({"a", "--png", "wrong.png", "--iterations", "77"}, "keeps the policies after 0, 1, 2, 3, 4, 5, 6 iterations");
  expect({"a", "--png", "wrong.png", "--iterations", "first,,last"}, "must be first, best, last, all or numbers");
  expect({"a", "--png", "wrong.png", "--iterations", "3x"}, "must be first, best, last, all or numbers");
  expect({"a", "--png", "wrong.png", "--camera", "front"}, "--camera = front, but the model has the cameras side");
  expect({"a", "--png", "wrong.png", "--frames", "0"}, "--frames = 0");
  expect({"a", "--png", "wrong.png", "--rollouts", "0"}, "--rollouts = 0");
  expect({"a/policy.h5", "--png", "wrong.png", "--iterations", "last"}, "only runs have several");
}

}  // namespace
}  // namespace kedge::test
