// Signals to every verb, and what a verb says while it waits. Trainings at random moments: interruption_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "kedge/run/version.h"
#include "program.h"
#include "tests/support/endless_model.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr const char* kSlowTask =
    "kedge = 1\nname = \"slow\"\nmodel = \"slow.xml\"\nhorizon = 20\ncontrol_step = 0.02\nsubsteps = 10\n";

class Signals : public testing::Test {
 protected:
  Signals() {
    write(path("slow/slow.xml"), endless_model(versions().mujoco.starts_with("2.")));
    write(path("slow/task.toml"), kSlowTask);
  }
  [[nodiscard]] fs::path path(const std::string& name) const { return scratch_.path() / name; }
  [[nodiscard]] Environment there() const { return {.directory = scratch_.path()}; }

  /// Waits until a process does what it does for long: the model is compiled, by a child.
  static bool compiles(Process& process) {
    const fs::path tasks = "/proc/" + std::to_string(process.id()) + "/task";
    while (process.running()) {
      std::error_code none;
      for (const auto& task : fs::directory_iterator(tasks, none))
        if (!read(task.path() / "children").empty()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  /// Are signals blocked in its first thread, so that another one takes them?
  static bool waits_for_signals(const Process& process) {
    const std::string status = read("/proc/" + std::to_string(process.id()) + "/status");
    const std::size_t at = status.find("SigBlk:");
    return at != std::string::npos && (std::stoull(status.substr(at + 7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
  }

  Scratch scratch_;
};

TEST_F(Signals, EndEveryVerbWith130AndALine) {
  ASSERT_EQ(run(small_training("run", 1), there()).code, 0);
  int which = 0;
  for (const Words& verb :
       {Words{"validate", "slow"}, Words{"init", "slow/slow.xml", "--out", "new/folder"},
        Words{"train", "slow", "--out", "trained"}, Words{"demonstrate", "slow", "-o", "shown.h5"},
        Words{"evaluate", "run", "--task", "slow", "--trajectories", "some.h5"},
        Words{"replay", "run", "--task", "slow", "--png", "strip.png"},
        Words{"export", "run", "--task", "slow", "--start", "0,0,0,0", "--format", "c", "-o", "c.h"},
        Words{"tune", "slow", "--trials", "2"}}) {
    Process process(verb, there());
    ASSERT_TRUE(compiles(process)) << verb[0] << process.wait().err;
    process.signal(std::array{SIGTERM, SIGINT, SIGHUP}[which++ % 3]);
    const Outcome o = process.wait();
    EXPECT_EQ(o.code, 130) << verb[0] << o.err;
    EXPECT_THAT(o.error_lines(), ElementsAre(HasSubstr("interrupted"))) << verb[0];
  }
  for (const char* file : {"new", "trained", "shown.h5", "some.h5", "strip.png", "c.h"})
    EXPECT_FALSE(fs::exists(path(file))) << file;
}

TEST_F(Signals, EndAnEvaluation) {
  ASSERT_EQ(run(small_training("run", 1), there()).code, 0);
  Process process({"evaluate", "run", "--rollouts", "2000000", "--threads", "1"}, there());
  while (process.running() && !waits_for_signals(process)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process.signal(SIGTERM);
  const Outcome o = process.wait();
  EXPECT_EQ(o.code, 130) << o.err;
  EXPECT_EQ(o.err, "kedge: interrupted\n");
}

TEST_F(Signals, OfAnUnknownMeaningChangeNothing) {
  Words training = small_training("run", 1000000);
  training.emplace_back("-q");
  for (const Words& verb : {Words{"validate", "slow"}, training}) {
    Process process(verb, there());
    if (verb == training)
      while (process.running() && !fs::exists(path("run/checkpoint.h5")))
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    else
      ASSERT_TRUE(compiles(process));
    for (int i = 0; i < 20; ++i) {
      process.signal(SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_TRUE(process.running()) << process.wait().err;
    process.signal(SIGINT);
    process.signal(SIGUSR1);
    EXPECT_EQ(process.wait().code, 130) << verb[0];
  }
}

TEST_F(Signals, LeaveTimeToSayWhatIsWaitedFor) {
  for (const Words& verb : {Words{"validate", "slow"}, Words{"init", "slow/slow.xml", "--out", "new"},
                            Words{"train", "slow", "--out", "run"}}) {
    Process process(verb, there());
    while (process.running() && process.complained().empty())
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_THAT(process.complained(), HasSubstr(": its model may take 30 s of processor time to compile\n")) << verb[0];
    process.signal(SIGINT);
    EXPECT_EQ(process.wait().code, 130);
  }
  EXPECT_EQ(run({"validate", "double_link"}, there()).err, "");
}

}  // namespace
}  // namespace kedge::test
