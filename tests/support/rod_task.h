// A task in a folder of its own, for tests that move, copy or change its files.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace kedge::test {

/// A task whose model reads two more files, both in folders above it, which the task file allows.
class RodTask : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "kedge-tasks-XXXXXX").string();
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
model_folder = "../.."
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
    std::filesystem::remove_all(folder_);
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::filesystem::path folder_;
};

}  // namespace kedge::test
