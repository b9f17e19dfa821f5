// Models from strangers, as the program meets them: what they name, where it goes, and whether the program stays awake.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "kedge/run/version.h"
#include "program.h"
#include "tests/support/endless_model.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

/// The double link in a folder of its own.
class Models : public testing::Test {
 protected:
  Models() {
    const fs::path task = fs::path(source_dir()) / "tasks/double_link";
    fs::create_directories(path("robot"));
    fs::copy(task / "task.toml", path("robot/task.toml"));
    model_ = read(task / "double_link.xml");
    write(path("robot/double_link.xml"), model_);
    write(path("secret"), "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n# top-secret\n");
  }
  fs::path path(const std::string& name) const { return scratch_.path() / name; }
  /// Puts elements, or a comment, into the model.
  void insert(const std::string& text) const {
    const std::size_t end = model_.rfind("</mujoco>");
    write(path("robot/double_link.xml"), model_.substr(0, end) + text + "</mujoco>\n");
  }
  Outcome kedge(const std::vector<std::string>& arguments) const {
    return run(arguments, {.directory = scratch_.path()});
  }
  Outcome train() const {
    return kedge(
        {"train", "robot", "--set", "task.horizon=30", "--set", "rollouts=6", "--iterations", "1", "--out", "run"});
  }
  /// Is this text in any file of the run?
  bool run_has(const std::string& text) const {
    for (const auto& entry : fs::recursive_directory_iterator(path("run")))
      if (entry.is_regular_file() && read(entry.path()).find(text) != std::string::npos) return true;
    return false;
  }

  Scratch scratch_;
  std::string model_;
};

TEST_F(Models, FilesThatACommentNamesStayWhereTheyAre) {
  insert("<!-- <mesh file=\"../secret\"/> file='" + path("secret").string() + "' -->");
  const Outcome o = train();
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_FALSE(run_has("top-secret"));
  const Outcome page = kedge({"replay", "run", "-o", "page.html", "--play"});
  if (page.code == 0) {
    EXPECT_THAT(read(path("page.html")), Not(HasSubstr("top-secret")));
  }
}

TEST_F(Models, FilesOutsideGoIntoARunOnlyIfTheTaskSaysSoAndAreNamed) {
  fs::copy(path("secret"), path("secret.obj"));
  insert("<asset><mesh name=\"m\" file=\"../secret.obj\"/></asset>");
  const Outcome refused = train();
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.error_lines().size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("secret.obj: is outside of "));
  EXPECT_FALSE(fs::exists(path("run")));

  write(path("robot/task.toml"), "model_folder = \"..\"\n" + read(path("robot/task.toml")));
  const Outcome allowed = train();
  ASSERT_EQ(allowed.code, 0) << allowed.err;
  EXPECT_THAT(allowed.err,
              HasSubstr("kedge: warning: files from outside of the model's folder go into runs and pages: " +
                        path("secret.obj").string()));
  EXPECT_TRUE(run_has("top-secret"));
  fs::remove_all(path("robot"));
  fs::remove(path("secret.obj"));
  EXPECT_EQ(kedge({"evaluate", "run", "--rollouts", "2"}).code, 0) << "the copy is whole";
  const Outcome page = kedge({"replay", "run", "-o", "page.html", "--play"});
  if (page.code == 0) {
    EXPECT_THAT(page.err, HasSubstr("secret.obj"));
  }
}

TEST_F(Models, NothingButRegularFilesIsOpened) {
  ASSERT_EQ(mkfifo(path("robot/m.stl").c_str(), 0600), 0);
  insert("<asset><mesh name=\"m\" file=\"m.stl\"/></asset>");
  const Outcome o = kedge({"validate", "robot"});
  EXPECT_EQ(o.code, 2);
  EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
  EXPECT_THAT(o.err,
              HasSubstr("mesh \"m.stl\": " + path("robot/m.stl").string() + ": is not a regular file, but a FIFO"));
}

TEST_F(Models, TheFirstSignalEndsACompilation) {
  write(path("robot/double_link.xml"), endless_model(versions().mujoco.starts_with("2.")));
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Process process({"train", "robot", "--out", "run"}, {.directory = scratch_.path()});
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    ASSERT_TRUE(process.running());
    const auto begin = std::chrono::steady_clock::now();
    process.signal(signal);
    const Outcome o = process.wait();
    EXPECT_EQ(o.code, 130) << o.err;
    EXPECT_THAT(o.err, HasSubstr("interrupted while a model was compiled"));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_FALSE(fs::exists(path("run")));
  }
}

}  // namespace
}  // namespace kedge::test
