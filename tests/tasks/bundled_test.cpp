#include "kedge/tasks/bundled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "kedge/core/errors.h"
#include "tests/support/rod_task.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Tasks = test::RodTask;

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

TEST_F(Tasks, OfTheInstallationLoad) {
  for (const BundledTask& task : bundled_tasks()) EXPECT_NO_THROW(load_task(task.file)) << task.name;
}

}  // namespace
}  // namespace kedge
