#include "kedge/experiment/tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kedge/core/errors.h"
#include "kedge/experiment/trajectory_file.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A task whose model reads two more files: one beside it, one in a folder above.
class Tasks : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "kedge-tasks-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    write("parts/arm.xml",
          "<mujoco><worldbody><body><joint name='j' axis='0 1 0'/><geom type='mesh' "
          "mesh='rod'/></body></worldbody></mujoco>");
    write("meshes/rod.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n");
    write("tasks/rod/rod.xml",
          "<mujoco><compiler meshdir='../../meshes'/><asset><mesh name='rod' file='rod.obj'/></asset>"
          "<include file='../../parts/arm.xml'/><actuator><motor name='m' joint='j'/></actuator></mujoco>");
    write("tasks/rod/task.toml", R"(
kedge = 1
name = "rod"
model = "rod.xml"
horizon = 5
control_step = 0.02
[actions]
actuators = ["m"]
limit = 3.0
[observation]
parts = ["qpos", "qvel"]
[start]
distribution = "gaussian"
qpos_spread = 0.1
[[cost]]
name = "angle"
of = "qpos"
)");
  }
  void TearDown() override {
    unsetenv("KEDGE_TASKS");
    fs::remove_all(folder_);
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] RunFile run_of(const TaskFile& task) const {
    RunFile run;
    run.task_digest = task.digest;
    return run;
  }
  fs::path folder_;
};

TEST_F(Tasks, AreFoundByNamePathAndFolder) {
  EXPECT_THAT(find_task("double_link").string(), HasSubstr("double_link/task.toml"));
  EXPECT_EQ(find_task((folder_ / "tasks/rod").string()), folder_ / "tasks/rod/task.toml");
  EXPECT_EQ(find_task((folder_ / "tasks/rod/task.toml").string()), folder_ / "tasks/rod/task.toml");
  EXPECT_THROW(find_task("rod"), InputError);
  setenv("KEDGE_TASKS", (":/nowhere:" + (folder_ / "tasks").string()).c_str(), 1);
  EXPECT_EQ(find_task("rod"), folder_ / "tasks/rod/task.toml");
}

TEST_F(Tasks, OfOneNameAreTakenFromTheFirstFolder) {
  fs::copy(folder_ / "tasks/rod", folder_ / "tasks/double_link");
  setenv("KEDGE_TASKS", (folder_ / "tasks").c_str(), 1);
  EXPECT_EQ(find_task("double_link"), folder_ / "tasks/double_link/task.toml");
  const auto tasks = bundled_tasks();
  EXPECT_EQ(std::count_if(tasks.begin(), tasks.end(), [](const BundledTask& t) { return t.name == "double_link"; }), 1);
  EXPECT_TRUE(std::is_sorted(tasks.begin(), tasks.end(), [](auto& a, auto& b) { return a.name < b.name; }));
}

TEST_F(Tasks, BundledAllLoad) {
  for (const BundledTask& task : bundled_tasks()) EXPECT_NO_THROW(open_task(task.file)) << task.name;
}

TEST_F(Tasks, CopyIsTheSameTaskAndNeedsNothingOfTheOriginal) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string(), {{"actions.limit", "2.5"}});
  EXPECT_EQ(original.files.size(), 3U);
  const fs::path run = folder_ / "run", moved = folder_ / "elsewhere";
  fs::create_directories(run);
  copy_task(original, run);
  for (const char* gone : {"parts", "meshes", "tasks"}) fs::remove_all(folder_ / gone);
  fs::rename(run, moved);
  const TaskFile copy = load_run_task(moved, run_of(original));
  EXPECT_EQ(copy.digest, original.digest);
  EXPECT_EQ(copy.task.name, "rod");
  EXPECT_EQ(copy.task.action_high[0], 2.5);
}

TEST_F(Tasks, CopyHasTheRecording) {
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

  const TaskFile original = open_task(folder_ / "tasks/rod/task.toml");
  EXPECT_EQ(original.task.demonstration->state, batch.state);
  fs::create_directories(folder_ / "run");
  copy_task(original, folder_ / "run");
  for (const char* gone : {"parts", "meshes", "tasks", "shown"}) fs::remove_all(folder_ / gone);
  const TaskFile copy = load_run_task(folder_ / "run", run_of(original));
  EXPECT_EQ(copy.digest, original.digest);
  EXPECT_EQ(copy.task.demonstration->state, batch.state);
  EXPECT_EQ(copy.task.demonstration->action, batch.action);

  save_trajectories(folder_ / "run/task/model/shown/rod.h5", batch, "another", 0.02);
  EXPECT_THROW(load_run_task(folder_ / "run", run_of(original)), InputError) << "the recording was changed";
}

TEST_F(Tasks, CopyReplacesWhatWasThere) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  write("run/task/old", "");
  copy_task(original, folder_ / "run");
  EXPECT_FALSE(fs::exists(folder_ / "run/task/old"));
  EXPECT_NO_THROW(load_run_task(folder_ / "run", run_of(original)));
}

TEST_F(Tasks, ChangedCopyIsRefused) {
  const TaskFile original = load_task((folder_ / "tasks/rod/task.toml").string());
  for (const char* file : {"task.toml", "model/tasks/rod/rod.xml", "model/parts/arm.xml", "model/meshes/rod.obj"}) {
    fs::create_directories(folder_ / "run");
    copy_task(original, folder_ / "run");
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
