#include "kedge/run/run_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kedge/core/errors.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/tasks/bundled.h"
#include "tests/support/rod_task.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using RunTask = test::RodTask;

RunFile run_of(const TaskFile& task) {
  RunFile run;
  run.task_digest = task.digest;
  return run;
}

TEST_F(RunTask, CopyIsTheSameTaskAndNeedsNothingOfTheOriginal) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string(), {{"actions.limit", "2.5"}});
  EXPECT_EQ(original.files.size(), 3U);
  const fs::path run = folder_ / "run", moved = folder_ / "elsewhere";
  fs::create_directories(run);
  copy_task(original, Directory(run));
  for (const char* gone : {"parts", "meshes", "tasks"}) fs::remove_all(folder_ / gone);
  fs::rename(run, moved);
  const TaskFile copy = load_run_task(moved, run_of(original));
  EXPECT_EQ(copy.digest, original.digest);
  EXPECT_EQ(copy.task.name, "rod");
  EXPECT_EQ(copy.task.action_high[0], 2.5);
}

TEST_F(RunTask, CopyHoldsTheCompiledBytesWhateverIsOnTheDisk) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  EXPECT_THAT(original.warnings,
              testing::ElementsAre(testing::HasSubstr(
                  "files from outside of the model's folder go into runs and pages: " +
                  (folder_ / "parts/arm.xml").string() + ", " + (folder_ / "meshes/rod.obj").string())));
  write("secret", "top secret");
  fs::remove(folder_ / "meshes/rod.obj");
  fs::create_symlink(folder_ / "secret", folder_ / "meshes/rod.obj");
  fs::create_directories(folder_ / "run");
  copy_task(original, Directory(folder_ / "run"));
  EXPECT_EQ(load_run_task(folder_ / "run", run_of(original)).digest, original.digest);
  EXPECT_FALSE(fs::is_symlink(folder_ / "run/task/model/meshes/rod.obj"));
  EXPECT_EQ(read("run/task/model/meshes/rod.obj").substr(0, 7), "v 0 0 0");
}

TEST_F(RunTask, CopyIsNotReadOutsideOfTheRun) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  fs::create_directories(folder_ / "run");
  copy_task(original, Directory(folder_ / "run"));
  const fs::path mesh = folder_ / "run/task/model/meshes/rod.obj";
  fs::remove(mesh);
  fs::create_symlink(folder_ / "meshes/rod.obj", mesh);  // the same bytes, but of another place
  EXPECT_THROW(load_run_task(folder_ / "run", run_of(original)), InputError);
}

TEST_F(RunTask, CopyHasTheRecording) {
  write("tasks/rod/task.toml", read("tasks/rod/task.toml") + "[demonstration]\nfile = '../../shown/rod.h5'\n");
  Batch batch;
  batch.rollouts = 1;
  batch.horizon = 3;
  batch.state = MatrixXd::Random(2, 4);
  batch.observation = batch.state;
  batch.action = MatrixXd::Random(1, 3);
  batch.cost = MatrixXd::Zero(4, 1);
  batch.diverged_at = {-1};
  fs::create_directories(folder_ / "shown");
  save_trajectories(folder_ / "shown/rod.h5", batch, "rod", 0.02);

  const TaskFile original = load_task(folder_ / "tasks/rod/task.toml");
  EXPECT_EQ(original.task.demonstration->state, batch.state);
  fs::create_directories(folder_ / "run");
  copy_task(original, Directory(folder_ / "run"));
  for (const char* gone : {"parts", "meshes", "tasks", "shown"}) fs::remove_all(folder_ / gone);
  const TaskFile copy = load_run_task(folder_ / "run", run_of(original));
  EXPECT_EQ(copy.digest, original.digest);
  EXPECT_EQ(copy.task.demonstration->state, batch.state);
  EXPECT_EQ(copy.task.demonstration->action, batch.action);

  save_trajectories(folder_ / "run/task/model/shown/rod.h5", batch, "another", 0.02);
  EXPECT_THROW(load_run_task(folder_ / "run", run_of(original)), InputError) << "the recording was changed";
}

TEST_F(RunTask, CopyCompletesOneThatWasInterruptedAndReplacesNothingElse) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  fs::create_directories(folder_ / "run");
  const Directory run(folder_ / "run");
  copy_task(original, run);
  write("run/task/mine", "somebody's");
  fs::remove(folder_ / "run/task/model/parts/arm.xml");
  fs::remove(folder_ / "run/task/task.toml");
  copy_task(original, run);
  EXPECT_EQ(read("run/task/mine"), "somebody's");
  EXPECT_NO_THROW(load_run_task(folder_ / "run", run_of(original)));

  write("run/task/model/parts/arm.xml", "somebody's");
  fs::remove(folder_ / "run/task/task.toml");
  EXPECT_THROW(copy_task(original, run), InputError);
  EXPECT_EQ(read("run/task/model/parts/arm.xml"), "somebody's");
  EXPECT_FALSE(fs::exists(folder_ / "run/task/task.toml"));
}

TEST_F(RunTask, CopyIsNeverWrittenThroughALink) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  for (const char* link : {"task", "task/model", "task/model/parts"}) {
    fs::remove_all(folder_ / "run");
    fs::remove_all(folder_ / "elsewhere");
    fs::create_directories((folder_ / "run" / link).parent_path());
    fs::create_directory(folder_ / "elsewhere");
    fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "run" / link);
    EXPECT_THROW(copy_task(original, Directory(folder_ / "run")), InputError) << link;
    EXPECT_TRUE(fs::is_empty(folder_ / "elsewhere")) << link;
  }
}

TEST_F(RunTask, ChangedCopyIsRefused) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  for (const char* file : {"task.toml", "model/tasks/rod/rod.xml", "model/parts/arm.xml", "model/meshes/rod.obj"}) {
    fs::create_directories(folder_ / "run");
    fs::remove_all(folder_ / "run/task");
    copy_task(original, Directory(folder_ / "run"));
    const fs::path changed = folder_ / "run/task" / file;
    ASSERT_TRUE(fs::exists(changed)) << file;
    std::string text;
    {
      std::ifstream in(changed);
      text.assign(std::istreambuf_iterator<char>(in), {});
    }
    // One number or name is another: of a length, a mesh, a limit.
    const std::vector<std::pair<std::string, std::string>> edits{
        {"0 1 0", "0 2 0"}, {"v 1 0 0", "v 2 0 0"}, {"3.0", "4.0"}, {"'m'", "'n'"}};
    for (const auto& [from, to] : edits)
      if (const auto at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
    std::ofstream(changed) << text;
    EXPECT_THROW(load_run_task(folder_ / "run", run_of(original)), InputError) << file;
  }
}

}  // namespace
}  // namespace kedge
