// [demonstration] of a task file: what it means, what it changes, and every way to get it wrong.
#include "kedge/system/demonstration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>
#include <thread>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/tasks/task_file.h"
#include "task_texts.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// The arm of task_texts.h with its motor alone, so that the wave fits it.
const std::string kPushed =
    "kedge = 1\nmodel = \"arm.xml\"\nhorizon = 8\ncontrol_step = 0.05\n"
    "[actions]\nactuators = \"push\"\n[[cost]]\nname = \"c\"\nof = \"qpos\"\n";  // 9 lines

class DemonstrationTest : public testing::Test {
 protected:
  DemonstrationTest() {
    folder.write("arm.xml", kModel);
    record_to("shown/x.h5", recording);
  }
  void record_to(const std::string& name, const Demonstration& shown, const TrajectoryNames& names = {}) const {
    Batch batch;
    batch.rollouts = 1;
    batch.horizon = shown.steps();
    batch.state = batch.observation = shown.state;
    batch.action = shown.action;
    batch.cost = MatrixXd::Zero(shown.state.cols(), 1);
    batch.diverged_at = {-1};
    folder.write(name, "");
    save_trajectories(folder.path(name), batch, "arm", 0.05, names, Durability::process);
  }
  TaskFile load(const std::string& more, const std::vector<Override>& overrides = {}) {
    return load_task(folder.write("task.toml", kPushed + more), overrides);
  }
  /// The complaint about a task file; empty if there is none.
  std::string complaint(const std::string& more, const std::vector<Override>& overrides = {}) {
    try {
      load(more, overrides);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder;
  Demonstration recording{MatrixXd::Random(5, 11), MatrixXd::Random(1, 10)};
};

const std::string kWave = "[demonstration]\ncontroller = \"wave\"\n";
const std::string kFile = "[demonstration]\nfile = \"shown/x.h5\"\n";

TEST_F(DemonstrationTest, AWaveIsHeldBySpringAndDamper) {
  const Task task = load(kWave + "amplitude = 0.5\nfrequency = 2\nramp = 0.1\nstiffness = 30\ndamping = 3\n").task;
  ASSERT_TRUE(task.demonstration);
  const Demonstration& shown = *task.demonstration;
  ASSERT_EQ(shown.steps(), 8);
  EXPECT_EQ(shown.state.cols(), 9);
  for (Index t = 0; t < 8; ++t) {
    const double time = 0.05 * static_cast<double>(t);
    const double target = 0.5 * std::min(1.0, time / 0.1) * std::sin(2 * std::numbers::pi * 2 * time);
    const double force = 30 * (target - shown.state(0, t)) - 3 * shown.state(2, t);
    EXPECT_NEAR(shown.action(0, t), force / 2, 1e-12) << t;  // gear 2
  }
  EXPECT_EQ(replay_error(task, shown), 0.0);
}

TEST_F(DemonstrationTest, ItsActionsAreThoseThatWereApplied) {
  const Task task = load(kWave, {{"actions.limit", "3"}}).task;
  EXPECT_EQ(task.demonstration->action.cwiseAbs().maxCoeff(), 3.0);
}

TEST_F(DemonstrationTest, HasAsManyStepsAsWanted) {
  EXPECT_EQ(load(kWave).task.demonstration->steps(), 8);
  EXPECT_EQ(load(kWave, {{"horizon", "20"}}).task.demonstration->steps(), 20);
  EXPECT_EQ(load(kWave + "steps = 3\n").task.demonstration->steps(), 3);
  EXPECT_EQ(load(kFile).task.demonstration->steps(), 8);  // of 10
  EXPECT_EQ(load(kFile, {{"horizon", "20"}}).task.demonstration->steps(), 10);
  EXPECT_EQ(load(kFile + "steps = 3\n").task.demonstration->steps(), 3);
  EXPECT_FALSE(load("").task.demonstration);
}

TEST_F(DemonstrationTest, ARecordingIsTakenAsItIs) {
  const TaskFile file = load(kFile);
  EXPECT_EQ(file.demonstration_path, folder.path("shown/x.h5"));
  EXPECT_EQ(file.files.back(), file.demonstration_path);
  EXPECT_EQ(file.task.demonstration->state, recording.state.leftCols(9));
  EXPECT_EQ(file.task.demonstration->action, recording.action.leftCols(8));
  EXPECT_THAT(file.demonstration_text, EndsWith("shown/x.h5"));
}

TEST_F(DemonstrationTest, TheStartIsItsFirstState) {
  const Task task = load(kFile + "[start]\nfrom = \"demonstration\"\nqvel_spread = 0.5\n").task;
  EXPECT_EQ(task.start.mean, recording.state.col(0));
  EXPECT_EQ(task.start.spread[0], 0.0);
  EXPECT_EQ(task.start.spread[2], 0.5);
  EXPECT_EQ(load(kFile).task.start.mean, VectorXd::Zero(5));
  EXPECT_EQ(load(kFile + "[start]\nfrom = \"model\"\nqpos = 0.25\n").task.start.mean[1], 0.25);
}

TEST_F(DemonstrationTest, AQuaternionOfTheStartHasNormOne) {
  folder.write("arm.xml",
               R"(<mujoco><worldbody><body><joint name="b" type="ball"/><geom size="0.1"/></body>
    <body><joint name="h"/><geom size="0.1"/></body>
    </worldbody><actuator><motor name="push" joint="h"/></actuator></mujoco>)");
  recording = {MatrixXd::Zero(9, 2), MatrixXd::Zero(1, 1)};
  recording.state.row(0).setConstant(2.0);
  record_to("shown/x.h5", recording);
  const std::string from = "[start]\nfrom = \"demonstration\"\n" + kFile;
  const auto complain = [&] { return complaint(from, {{"substeps", "1"}}); };
  EXPECT_THAT(complain(), HasSubstr(":11:8: start.from: the quaternion of joint \"b\" must have norm 1, but has 2"));
  recording.state.row(0).setConstant(1.0);
  record_to("shown/x.h5", recording);
  EXPECT_EQ(complain(), "");
}

TEST_F(DemonstrationTest, TheResolvedTextIsTheSameTask) {
  for (const std::string& text : {kWave, kFile, kWave + "steps = 4\n[start]\nfrom = \"demonstration\"\n"}) {
    const TaskFile first = load(text);
    const TaskFile second = load_task(folder.write("other.toml", resolved_text(first)));
    EXPECT_EQ(resolved_text(first), resolved_text(second));
    EXPECT_EQ(first.digest, second.digest);
    EXPECT_EQ(first.task.demonstration->state, second.task.demonstration->state);
    EXPECT_EQ(first.task.start.mean, second.task.start.mean);
  }
}

TEST_F(DemonstrationTest, DigestChangesWithTheTaskOnly) {
  const std::string none = load("").digest, wave = load(kWave).digest;
  EXPECT_NE(none, wave);
  EXPECT_NE(load(kWave + "lag = 1\n").digest, wave);
  EXPECT_EQ(load(kWave + "lag = 1.5\n").digest, wave);
  EXPECT_NE(load(kWave + "steps = 5\n").digest, wave);
  EXPECT_NE(load(kWave + "[start]\nfrom = \"demonstration\"\n").digest, wave);
  const std::string file = load(kFile).digest;
  record_to("shown/y.h5", recording);
  EXPECT_EQ(load(replaced(kFile, "x.h5", "y.h5")).digest, file);
  recording.state(0, 10) += 1.0;  // behind the steps that are taken
  record_to("shown/x.h5", recording);
  EXPECT_NE(load(kFile).digest, file);
}

TEST_F(DemonstrationTest, MistakesAreRefusedWithTheirPlaceInOneLine) {
  struct {
    std::string text;
    const char* place;
    const char* expected;
  } const wrong[] = {
      {"[[demonstration]]\n", ":10:1: ", "demonstration: must be a table, but is an array of 1"},
      {"[demonstration]\n", ":10:1: ", "demonstration.controller: this key is missing"},
      {"[demonstration]\ncontroller = \"wav\"\n", ":11:14: ", "\"wav\" is not known; did you mean \"wave\"?"},
      {"[demonstration]\ncontroller = 3\n", ":11:14: ", "must be a text in quotes, but is the number 3"},
      {kWave + "amplitud = 1\n", ":12:1: ", "amplitud: this key is unknown; did you mean \"amplitude\"?"},
      {kWave + "gait = \"walk\"\n", ":12:1: ", "demonstration.gait: this key is unknown"},
      {kWave + "frequency = 0\n", ":12:13: ", "demonstration.frequency: must be > 0, but is 0"},
      {kWave + "damping = -1\n", ":12:11: ", "must be >= 0, but is -1"},
      {kWave + "lag = nan\n", ":12:7: ", "must be a number, but is nan"},
      {kWave + "steps = 0\n", ":12:9: ", "demonstration.steps: must be in [1, 8], but is 0"},
      {kWave + "steps = 9\n", ":12:9: ", "must be in [1, 8], but is 9"},
      {kWave + "amplitude = 1e30\nstiffness = 1e30\n", ":11:14: ", "diverges under this controller at step 1 of 8"},
      {kWave + "file = \"x.h5\"\n", ":12:8: ", "read from a file or made by a controller, not both"},
      {kFile + "amplitude = 1\n", ":12:1: ", "demonstration.amplitude: this key is unknown; known: file, steps"},
      {"[demonstration]\nfile = 3\n", ":11:8: ", "must be a text in quotes"},
      {"[demonstration]\ncontroller = \"simbicon\"\n",
       ":11:14: ", "\"simbicon\": the model has no slide joint \"root_x\", which this controller needs"},
      {"[demonstration]\ncontroller = \"simbicon\"\ngait = \"run\"\n",
       ":12:8: ", "\"run\" is not known; known: walk, crouch, high_step"},
      {"[demonstration]\ncontroller = \"simbicon\"\nskip = -1\n", ":12:8: ", "must be in [0, 100000], but is -1"},
      {"[start]\nfrom = \"demonstration\"\n", ":11:8: ", "start.from: this task has no [demonstration]"},
      {"[start]\nfrom = \"demo\"\n", ":11:8: ", "\"demo\" is not known; known: model, demonstration"},
      {kWave + "[start]\nfrom = \"demonstration\"\nqpos = 1\n", ":14:1: ", "start.qpos: this key is unknown"},
  };
  for (const auto& [text, place, expected] : wrong) {
    const std::string message = complaint(text);
    EXPECT_THAT(message, StartsWith(folder.path("task.toml") + place)) << text;
    EXPECT_THAT(message, HasSubstr(expected)) << text;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_THAT(complaint(kWave, {{"demonstration.lag", "x"}}),
              StartsWith("--set task.demonstration.lag=x: demonstration.lag: must be a number, but is the text \"x\""));
}

TEST_F(DemonstrationTest, ARecordingOfAnotherTaskIsRefused) {
  record_to("shown/x.h5", {MatrixXd::Zero(4, 11), recording.action});
  EXPECT_THAT(complaint(kFile), HasSubstr(":11:8: demonstration.file: "));
  EXPECT_THAT(complaint(kFile), HasSubstr("x.h5 has 4 states and 1 actions a step, but this task has 5 and 1"));
  folder.write("shown/x.h5", "bytes");
  EXPECT_THAT(complaint(kFile), HasSubstr(":11:8: demonstration.file: " + folder.path("shown/x.h5")));
}

TEST_F(DemonstrationTest, ARecordingIsARegularFile) {
  std::filesystem::remove(folder.path("shown/x.h5"));
  ASSERT_EQ(mkfifo(folder.path("shown/x.h5").c_str(), 0600), 0);
  EXPECT_THAT(complaint(kFile), HasSubstr("x.h5: is not a regular file"));
  std::filesystem::remove(folder.path("shown/x.h5"));
  EXPECT_THAT(complaint(kFile), HasSubstr(":11:8: demonstration.file: " + folder.path("shown/x.h5")));
  std::filesystem::create_symlink("/dev/zero", folder.path("shown/x.h5"));
  EXPECT_THAT(complaint(kFile), HasSubstr("x.h5: is not a regular file"));
}

TEST_F(DemonstrationTest, AControllerObeysAStop) {
  std::stop_source stop;
  const std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stop.request_stop();
  });
  const std::vector<Override> for_minutes = {{"horizon", "100000"}, {"substeps", "10000"}, {"demonstration.lag", "0"}};
  EXPECT_THROW(load_task(folder.write("task.toml", kPushed + kWave), for_minutes, stop.get_token()), Cancelled);
}

TEST_F(DemonstrationTest, ControllersNeedMotors) {
  // twist has a filter: its control is not its torque.
  EXPECT_THAT(complaint(kWave, {{"actions.actuators", "[\"push\", \"twist\"]"}}),
              HasSubstr("needs actions that are motors of hinges and slides, but \"twist\" is not"));
}

TEST_F(DemonstrationTest, AWalkerThatFallsIsRefused) {
  const std::string walker = test::source_dir() + "/tasks/walker/task.toml";
  for (const auto& [set, expected] : std::vector<std::pair<Override, std::string>>{
           {{"demonstration.stiffness", "1"}, "\"simbicon\": the body falls after "},
           {{"demonstration.gait", "high_step"}, "\"simbicon\": the body falls after "},
           {{"demonstration.after_strike", "0.5"}, "\"simbicon\": no foot strikes any more after 300 control steps"},
           {{"actions.actuators", "[\"left_hip\"]"}, "no action drives a joint \"left_knee\""}}) {
    try {
      load_task(walker, {set});
      ADD_FAILURE() << expected;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("demonstration.controller: ")) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(expected));
    }
  }
}

}  // namespace
}  // namespace kedge
