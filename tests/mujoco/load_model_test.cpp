// Models are compiled by a child process: to the same bytes as here, from nothing but the files that were found, within
// limits, and whatever becomes of the child.
#include "kedge/mujoco/load_model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mujoco/mujoco.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "kedge/core/errors.h"
#include "tests/support/endless_model.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

std::string with_motor(const std::string& elements) {
  return "<mujoco>" + elements +
         "<worldbody><body><joint name='j'/><geom size='.1'/></body></worldbody>"
         "<actuator><motor joint='j'/></actuator></mujoco>";
}

const std::string kEndless = test::endless_model(mj_version() < 300);

ModelFiles one_file(const std::string& xml) { return {{{"/model.xml", xml}}, {}, true}; }

std::vector<char> binary(const mjModel* model) {
  std::vector<char> bytes(static_cast<std::size_t>(mj_sizeModel(model)));
  mj_saveModel(model, nullptr, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

constexpr double kSoon = 120.0;  // seconds, for a busy machine too

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

template <class F>
std::string complaint(const F& f) {
  try {
    f();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

/// No process that a load started is left, not even as a zombie.
void expect_no_children() {
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(LoadModel, MakesTheSameModelAsMujocoInThisProcess) {
  int models = 0;
  for (const std::string folder : {"/tasks", "/examples"})
    for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() + folder)) {
      if (entry.path().extension() != ".xml") continue;
      const LoadedModel loaded = load_mujoco_model(entry.path().string());
      ASSERT_TRUE(loaded.model) << entry.path() << loaded.error;
      char error[1000] = "";
      mjModel* model = mj_loadXML(entry.path().c_str(), nullptr, error, sizeof error);
      ASSERT_NE(model, nullptr) << error;
      EXPECT_EQ(binary(loaded.model.get()), binary(model)) << entry.path();
      mj_deleteModel(model);
      ++models;
    }
  EXPECT_GE(models, 4);
  expect_no_children();
}

TEST(LoadModel, ReadsNothingButTheGivenBytes) {
  const TemporaryFolder folder;
  const std::string rod = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n";
  folder.write("part.xml", "<mujoco><asset><mesh name='rod' file='rod.obj'/></asset></mujoco>");
  folder.write("rod.obj", rod);
  ModelFiles files = read_model_files(folder.write("model.xml", with_motor("<include file='part.xml'/>")));
  ASSERT_EQ(files.files.size(), 3U);
  const std::vector<char> before = binary(load_model(files).model.get());
  for (const ModelFile& file : files.files) fs::remove(file.path);
  EXPECT_EQ(binary(load_model(files).model.get()), before) << "what was read is compiled, whatever the disk has now";
  for (const ModelFile& file : files.files) folder.write(fs::path(file.path).filename(), file.bytes);
  files.files.pop_back();
  const LoadedModel without_mesh = load_model(files);
  EXPECT_FALSE(without_mesh.model) << "a file that was not found is not read from the disk";
  EXPECT_NE(without_mesh.error, "");
}

TEST(LoadModel, DoesNotOpenTheMaterialsOfAMesh) {
  const TemporaryFolder folder;
  folder.write("rod.obj", "mtllib fifo\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n");
  ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
  const std::string path = folder.write("model.xml", with_motor("<asset><mesh name='r' file='rod.obj'/></asset>"));
  EXPECT_TRUE(load_mujoco_model(path).model);
}

TEST(LoadModel, WarnsAsMujocoDoes) {
  const LoadedModel loaded =
      load_model(one_file(with_motor("<worldbody><geom type='box' size='1 1 1' mass='0'/>"
                                     "</worldbody><option><flag energy='enable'/></option>")));
  EXPECT_TRUE(loaded.model) << loaded.error;
  EXPECT_EQ(loaded.error, "");
}

TEST(LoadModel, HasALimitOfTime) {
  const auto begin = Clock::now();
  EXPECT_EQ(complaint([] { load_model(one_file(kEndless), {.seconds = 0.3}); }),
            "takes more than 0.3 s to compile, the limit");
  EXPECT_LT(seconds_since(begin), kSoon);
  expect_no_children();
}

TEST(LoadModel, HasALimitOfMemory) {
  for (const char* elements :
       {"<asset><texture name='t' type='2d' builtin='flat' width='20000' height='20000'/></asset>",
        "<asset><hfield name='h' nrow='15000' ncol='15000' size='1 1 1 1'/></asset>", "<size nuserdata='50000000'/>"})
    EXPECT_THAT(complaint([&] { load_model(one_file(with_motor(elements)), {.memory = 100u << 20}); }),
                HasSubstr("more than 100 MB of memory, the limit"))
        << elements;
  EXPECT_TRUE(load_model(one_file(with_motor("")), {.memory = 100u << 20}).model);
  expect_no_children();
}

TEST(LoadModel, ObeysAStop) {
  std::stop_source stop;
  const auto begin = Clock::now();
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop.request_stop();
  });
  EXPECT_THROW(load_model(one_file(kEndless), {}, stop.get_token()), Cancelled);
  EXPECT_LT(seconds_since(begin), kSoon);
  expect_no_children();
}

TEST(LoadModel, HoldsNoFileOfTheProgram) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::stop_source stop;
  std::jthread loading([&] { EXPECT_THROW(load_model(one_file(kEndless), {}, stop.get_token()), Cancelled); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  close(ends[1]);
  pollfd end = {ends[0], POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 5000), 1) << "the child holds the other end";
  EXPECT_TRUE(end.revents & POLLHUP);
  close(ends[0]);
  stop.request_stop();
}

TEST(LoadModel, SurvivesTheDeathOfTheChild) {
  // A name of two letters makes MuJoCo 2.2.2 throw std::out_of_range; later versions refuse it.
  const TemporaryFolder folder;
  folder.write("ab", "x");
  EXPECT_NE(load_mujoco_model(folder.write("m.xml", with_motor("<asset><mesh name='m' file='ab'/></asset>"))).error,
            "");
  std::jthread assassin;
  EXPECT_THAT(complaint([&] {
                assassin = std::jthread([](const std::stop_token& stop) {
                  for (int killed = 0; killed == 0 && !stop.stop_requested();) {
                    std::this_thread::sleep_for(std::chrono::milliseconds(200));
                    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
                      std::ifstream children(task.path() / "children");
                      for (pid_t child = 0; children >> child; ++killed) kill(child, SIGKILL);
                    }
                  }
                });
                load_model(one_file(kEndless));
              }),
              HasSubstr("makes MuJoCo crash (signal 9)"));
  assassin.request_stop();
  assassin.join();
  expect_no_children();
}

TEST(LoadModel, EndsWithItsProgram) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // what the program leaves becomes a child of this process
  const pid_t program = fork();
  if (program == 0) {
    try {
      load_model(one_file(kEndless));
    } catch (...) {
    }
    _exit(0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ASSERT_EQ(kill(program, SIGKILL), 0);
  ASSERT_EQ(waitpid(program, nullptr, 0), program);
  const auto begin = Clock::now();
  int status = 0;
  const pid_t left = waitpid(-1, &status, 0);
  EXPECT_TRUE(left == -1 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  EXPECT_LT(seconds_since(begin), kSoon);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  expect_no_children();
}

TEST(LoadModel, WorksOnSeveralThreads) {
  const std::string path = test::source_dir() + "/tasks/double_link/double_link.xml";
  const std::vector<char> expected = binary(load_mujoco_model(path).model.get());
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 10; ++n) EXPECT_EQ(binary(load_mujoco_model(path).model.get()), expected);
    });
  threads.clear();
  expect_no_children();
}

TEST(LoadMujocoModel, ReturnsMujocosComplaintAndWritesNoLog) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) { return load_mujoco_model(folder.write("bad.xml", text)).error; };
  EXPECT_THAT(error("<mujoco><worldbody><body><joint/></body></worldbody></mujoco>"), HasSubstr("mass"));
  EXPECT_THAT(error("<mujoco><wordbody/></mujoco>"), HasSubstr("wordbody"));
  EXPECT_THAT(error("<mujoco"), HasSubstr("XML"));
  EXPECT_NE(error(""), "");
  EXPECT_NE(load_mujoco_model(folder.path("absent.xml")).error, "");
  EXPECT_FALSE(fs::exists("MUJOCO_LOG.TXT"));
}

}  // namespace
}  // namespace kedge
