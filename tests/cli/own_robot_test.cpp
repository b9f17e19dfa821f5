// The first hour with one's own robot: what people get wrong, and models that go wrong, end with a cause.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>
#include <tuple>

#include "program.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

const char* const kCartPole = R"(<mujoco><option timestep="0.01"/><worldbody>
  <body name="cart"><joint name="slide" type="slide" axis="1 0 0" damping="1"/><geom type="box" size=".1 .1 .1"/>
    <body name="pole"><joint name="hinge" axis="0 1 0" damping=".05"/>
      <geom type="capsule" fromto="0 0 0 0 0 -.5" size=".03"/><site name="tip" pos="0 0 -.5"/></body></body></worldbody>
  <actuator><motor name="push" joint="slide" gear="10" ctrllimited="true" ctrlrange="-1 1"/>
    <motor name="twist" joint="hinge" ctrllimited="true" ctrlrange="-1 1"/></actuator>
  <sensor><framepos name="tip" objtype="site" objname="tip"/></sensor>
  <keyframe><key name="aside" qpos="0.3 0.1"/></keyframe></mujoco>)";

const char* const kPlace = R"(kedge = 1
model = "model.xml"
horizon = 30
control_step = 0.05
[[cost]]
name = "effort"
of = "action"
weight = 0.01
[[cost]]
name = "place"
of = "qpos:slide"
target = 0.5
)";

class OwnRobot : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return scratch_.path() / name; }
  void robot(const std::string& folder, const std::string& model, const std::string& task) const {
    fs::create_directories(path(folder));
    write(path(folder) / "model.xml", model);
    write(path(folder) / "task.toml", task);
  }
  Outcome kedge(const std::vector<std::string>& arguments) const {
    return run(arguments, {.directory = scratch_.path()});
  }
  /// Refused with one line that has this text, and nothing is left at `out`.
  void expect_refused(const std::vector<std::string>& arguments, const std::string& text) const {
    const Outcome o = kedge(arguments);
    EXPECT_EQ(o.code, 2) << o.err << o.out;
    EXPECT_THAT(o.err, HasSubstr(text));
    EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
    EXPECT_FALSE(fs::exists(path("out")));
  }

  /// Writes a page, or is built without them.
  bool draws(const std::vector<std::string>& arguments) const {
    const Outcome o = kedge(arguments);
    return o.code == 0 || o.err.find("built without its browser pages") != std::string::npos;
  }

 private:
  Scratch scratch_;
};

/// A column of a CSV file. NaN where a cell is no number.
std::vector<double> column(const fs::path& file, const std::string& name) {
  std::istringstream lines(read(file));
  std::string line, cell;
  do std::getline(lines, line);
  while (line.starts_with('#'));
  std::istringstream head(line);
  int at = 0;
  while (std::getline(head, cell, ',') && cell != name) ++at;
  std::vector<double> values;
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    for (int i = 0; i <= at; ++i) std::getline(row, cell, ',');
    values.push_back(std::strtod(cell.c_str(), nullptr));
  }
  return values;
}

// ---- Q and V that run away -----------------------------------------------------------------------------------------

/// A pole that falls onto its stop, on a cart that runs against the end of its rail: states pile up there.
std::string stops(const std::string& pivot, const std::string& rail) {
  return R"(<mujoco><option timestep="0.02" integrator="RK4"/><worldbody><body>
    <joint name="rail" type="slide" axis="1 0 0" damping="1" )" +
         rail + R"(/><geom type="box" size=".1 .08 .05" mass="10"/>
    <body><joint name="pivot" axis="0 1 0" damping="0.5" )" +
         pivot + R"(/>
      <geom type="capsule" fromto="0 0 0 0 0 .6" size=".04" mass="5"/></body></body></worldbody>
    <actuator><motor name="push" joint="rail" gear="100" ctrllimited="true" ctrlrange="-3 3"/></actuator></mujoco>)";
}

const char* const kBalance = R"(kedge = 1
model = "model.xml"
horizon = 80
control_step = 0.04
[start]
distribution = "uniform"
qpos_spread = 0.01
qvel_spread = 0.01
[[cost]]
name = "upright"
of = "qpos:pivot"
weight = 10
[[cost]]
name = "rates"
of = "qvel"
weight = 0.1
[[cost]]
name = "effort"
of = "action"
weight = 0.01
)";

TEST_F(OwnRobot, PromisesNoMoreThanTheCostsAllowWhereStatesPileUp) {
  const std::string pivot = R"(limited="true" range="-90 90")", rail = R"(limited="true" range="-1 1")";
  int number = 0;
  for (const auto& [a, b] : {std::pair{pivot, rail}, std::pair{pivot, std::string()}, std::pair{std::string(), rail}}) {
    const std::string out = fmt::format("run{}", number++);
    robot("stops", stops(a, b), kBalance);
    const Outcome o = kedge({"train", "stops", "--set", "initial_std=1", "--iterations", "5", "--out", out, "-q"});
    ASSERT_EQ(o.code, 0) << o.err;
    const fs::path metrics = path(out) / "metrics.csv";
    EXPECT_THAT(read(metrics), Not(HasSubstr("nan")));
    const std::vector<double> promised = column(metrics, "improvement_predicted"),
                              mean = column(metrics, "return_mean");
    ASSERT_EQ(promised.size(), 5U);
    for (std::size_t i = 0; i < promised.size(); ++i) EXPECT_LE(promised[i], -mean[i]) << "iteration " << i;
  }
  EXPECT_THAT(read(path("run0/warnings.csv")), HasSubstr("was bounded by the returns seen"));
}

// ---- what the task says already ------------------------------------------------------------------------------------

TEST_F(OwnRobot, NeedsACostForEveryActionOfAModelBasedAlgorithm) {
  std::string one_cost = kPlace;
  one_cost.replace(one_cost.find("\"action\""), 8, "\"action:push\"");
  robot("arm", kCartPole, one_cost);
  for (const char* algorithm : {"ilqr", "vgps", "dagger"})
    expect_refused({"train", "arm", "--algorithm", algorithm, "--out", "out"}, R"(of = "action:twist")");
  std::string absolute = kPlace;
  absolute.replace(absolute.find("weight"), 6, "norm = \"absolute\"\nweight");
  robot("arm", kCartPole, absolute);
  expect_refused({"train", "arm", "--algorithm", "ilqr", "--out", "out"}, R"(of = "action:push")");
  std::string early = kPlace;
  early.replace(early.find("weight"), 6, "steps = \"first 5\"\nweight");
  robot("arm", kCartPole, early);
  expect_refused({"train", "arm", "--algorithm", "ilqr", "--out", "out"}, "at the last step, 29,");
}

TEST_F(OwnRobot, NeedsAsManyRolloutsOfGpsAsItsDynamicsHaveCoefficients) {
  robot("arm", kCartPole, kPlace);
  expect_refused({"train", "arm", "--algorithm", "gps", "--set", "prior=none", "--set", "rollouts=6", "--out", "out"},
                 "rollouts = 6, but must be 0 or >= 7");
}

TEST_F(OwnRobot, MayLieInAFolderOfAnyName) {
  for (const char* folder : {"2dof_arm", "my robot", "arm.v2",
                             "Stra\xC3\x9F"
                             "e",
                             "-x", "_"}) {
    robot(folder, kCartPole, kPlace);
    const std::string task = std::string("./") + folder;
    EXPECT_EQ(kedge({"validate", task}).code, 0);
    const Outcome o = kedge({"train", task, "--algorithm", "ilqr", "--iterations", "2", "--out", "out"});
    EXPECT_EQ(o.code, 0) << folder << ": " << o.err;
    fs::remove_all(path("out"));
  }
}

TEST_F(OwnRobot, StartsWhereItsLineSays) {
  robot("arm", kCartPole, std::string(kPlace) + "[start]\nqpos = 1e300\n");
  expect_refused({"validate", "arm"}, "task.toml:14:8: start.qpos: ");
  robot("arm", kCartPole, std::string(kPlace) + "[start]\nqvel = { hinge = 1e12 }\n");
  expect_refused({"validate", "arm"}, "task.toml:14:8: start.qvel: ");
  robot("arm", kCartPole, std::string(kPlace) + "[start]\nfrom = \"keyframe:aside\"\n");
  EXPECT_THAT(kedge({"validate", "arm"}).out, HasSubstr("mean 0.3, 0.1, 0, 0;"));
  robot("arm", kCartPole, std::string(kPlace) + "[start]\nfrom = \"keyframe:asid\"\n");
  expect_refused({"validate", "arm"}, "start.from: the model has no keyframe \"asid\"; did you mean \"aside\"?");
}

TEST_F(OwnRobot, DivergesForAReasonThatMujocoNames) {
  // Boxes in a model of before 2.3 that has no room for their contacts.
  std::string room = R"(<mujoco><size nconmax="60" njmax="200"/><option timestep="0.005"/><worldbody>
    <geom type="plane" size="2 2 .1"/>)";
  for (int i = 0; i < 32; ++i)
    room +=
        fmt::format("<body pos=\"{} {} {}\"><freejoint/><geom type=\"box\" size=\".05 .05 .05\" mass=\".1\"/></body>",
                    0.09 * (i % 4), 0.09 * (i / 4 % 4), 0.05 + 0.11 * (i / 16));
  room += R"(<body pos="1 0 1"><joint name="p" axis="0 1 0"/><geom size=".05"/></body></worldbody>
    <actuator><motor joint="p"/></actuator></mujoco>)";
  const std::string task =
      "kedge = 1\nmodel = \"model.xml\"\nhorizon = 20\ncontrol_step = 0.02\n[observation]\n"
      "parts = [\"qpos:p\", \"qvel:p\"]\n[[cost]]\nname = \"a\"\nof = \"action\"\n";
  robot("room", room, task);
  const Outcome o = kedge({"validate", "room"});
  if (o.code != 0) {
    EXPECT_THAT(o.err, AnyOf(HasSubstr("buffer is full"), HasSubstr("nconmax")));
  }

  // A gain that no time step can follow: the first step is fine, later ones are not.
  std::string wild = kCartPole;
  wild.replace(wild.find("gear=\"10\""), 9, "gear=\"1e8\"");
  robot("wild", wild, kPlace);
  const Outcome trained = kedge({"train", "wild", "--iterations", "1", "--out", "run"});
  EXPECT_THAT(trained.err, HasSubstr("MuJoCo: bad q")) << trained.out;
  EXPECT_THAT(trained.err, HasSubstr("joint \"")) << trained.out;
}

/// Every command of a page, as it stands there, run in order in a folder beside its examples/. @return what each printed
std::vector<std::string> run_page(const std::string& page, const fs::path& folder) {
  std::istringstream lines(read(source_dir() + "/" + page));
  std::vector<std::string> printed;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("kedge ")) continue;
    std::istringstream stream(line.substr(6));
    std::vector<std::string> words;
    for (std::string word; stream >> word;)
      words.push_back(word.starts_with("examples/") ? source_dir() + "/" + word : word);
    const Outcome o = run(words, {.directory = folder});
    EXPECT_EQ(o.code, 0) << line << "\n" << o.err;
    printed.push_back(o.out);
  }
  return printed;
}

TEST_F(OwnRobot, HitsTheBinAsThePageOfTheRecordedMovementSays) {
  const std::vector<std::string> printed = run_page("examples/throw_bin/README.md", path(""));
  ASSERT_EQ(printed.size(), 5U);
  EXPECT_THAT(printed[0], HasSubstr("by the recording"));
  EXPECT_THAT(printed[2], HasSubstr("success      0/100"));
  EXPECT_THAT(printed[3], HasSubstr("success      100/100"));
  EXPECT_GT(fs::file_size(path("throw.png")), 1000U);
}

// ---- words ---------------------------------------------------------------------------------------------------------

TEST_F(OwnRobot, ReadsWhatItsCostsAndItsSuccessCompute) {
  robot("arm", kCartPole, std::string(kPlace) + R"([[cost]]
name = "height"
of = ["qpos:hinge", "qpos:slide"]
matrix = [[2, -1]]
target = 0.25
angle = true
[success]
of = "sensor:tip"
target = [0, 1, 0]
statistic = "max_distance"
below = 0.1
steps = "last 5"
)");
  const Outcome o = kedge({"validate", "arm"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("place: quadratic of qpos:slide - 0.5; weight 1, steps 0..29"));
  EXPECT_THAT(o.out, HasSubstr("height: quadratic of 2 qpos:hinge - qpos:slide - 0.25, as angles;"));
  EXPECT_THAT(o.out,
              HasSubstr("largest distance |sensor:tip[0], sensor:tip[1] - 1, sensor:tip[2]| at steps last 5 < 0.1"));
}

TEST_F(OwnRobot, SharesAGoalBetweenCostAndSuccess) {
  std::string task = kPlace;
  task.replace(task.find("target = 0.5"), 12, "target = \"goal:there\"");
  robot("arm", kCartPole,
        task +
            "[goal]\nthere = 0.5\n[success]\nof = \"qpos:slide\"\ntarget = \"goal:there\"\n"
            "below = 0.1\nsteps = \"last 5\"\n");
  const Outcome moved = kedge({"validate", "arm", "--set", "task.goal.there=0.75"});
  EXPECT_EQ(moved.code, 0) << moved.err;
  EXPECT_THAT(moved.out, HasSubstr("place: quadratic of qpos:slide - 0.75;"));
  EXPECT_THAT(moved.out, HasSubstr("mean |qpos:slide - 0.75|"));
  ASSERT_EQ(kedge({"train", "arm", "--algorithm", "ilqr", "--iterations", "1", "--out", "run"}).code, 0);
  EXPECT_THAT(kedge({"evaluate", "run", "--set", "task.goal.there=0.25", "--rollouts", "2"}).out,
              HasSubstr("mean |qpos:slide - 0.25|"));
  expect_refused({"validate", "arm", "--set", "task.success.target=goal:their"}, "did you mean \"there\"?");
  expect_refused({"validate", "arm", "--set", "task.goal.ther=0.75"},
                 "goal.ther: no cost and no success uses it: none has target = \"goal:ther\"; did you mean \"there\"?");
  expect_refused({"evaluate", "run", "--set", "task.goal.tip=0.75", "--rollouts", "2"},
                 "goal.tip: no cost and no success uses it");
  robot("arm", kCartPole, task);
  expect_refused({"validate", "arm"}, "arm/task.toml:12:10: cost.place.target: the file has no [goal]");
}

/// Two carts on rails of their own, in either order, and their motors in the same or the other one.
std::string two_carts(bool turned) {
  const std::string first = R"(<body><joint name="left" type="slide" axis="1 0 0" damping="1"/>
    <geom type="box" size=".1 .1 .1"/></body>)";
  const std::string second = R"(<body pos="0 1 0"><joint name="right" type="slide" axis="1 0 0" damping="3"/>
    <geom type="box" size=".1 .1 .2"/></body>)";
  const std::string pull = R"(<motor name="pull" joint="left" gear="10"/>)";
  const std::string shove = R"(<motor name="shove" joint="right" gear="30"/>)";
  return "<mujoco><option timestep='0.01' gravity='0 0 0'/><worldbody>" + (turned ? second + first : first + second) +
         "</worldbody><actuator>" + (turned ? shove + pull : pull + shove) + "</actuator></mujoco>";
}

const char* const kPlaceBoth =
    "kedge = 1\nmodel = \"model.xml\"\nhorizon = 30\ncontrol_step = 0.05\n[[cost]]\nname = \"effort\"\nof = "
    "\"action\"\n"
    "weight = 0.01\n[[cost]]\nname = \"a\"\nof = \"qpos:left\"\ntarget = 0.5\n"
    "[[cost]]\nname = \"b\"\nof = \"qpos:right\"\ntarget = -0.2\n";

TEST_F(OwnRobot, AModelInAnotherOrderGetsTheSameReturn) {
  robot("carts", two_carts(false), kPlaceBoth);
  robot("turned", two_carts(true), kPlaceBoth);
  ASSERT_EQ(kedge({"train", "carts", "--algorithm", "ilqr", "--iterations", "1", "--out", "run"}).code, 0);
  const auto mean_return = [&](const std::string& task) {
    const Outcome o = kedge({"evaluate", "run", "--task", task, "--rollouts", "1", "--json"});
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out).at("return").at("mean").get<double>();
  };
  const double own = mean_return("carts");
  EXPECT_NEAR(mean_return("turned"), own, 1e-12 * std::abs(own));

  ASSERT_EQ(kedge({"evaluate", "run", "--rollouts", "1", "--trajectories", "t.h5"}).code, 0);
  const Outcome shown = kedge({"demonstrate", "turned", "-o", "d.h5", "--set", "demonstration.file=../t.h5"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  const std::size_t differs = shown.out.find("differs from the recorded steps by up to ");
  if (differs != std::string::npos) {
    EXPECT_LT(std::strtod(shown.out.c_str() + differs + 41, nullptr), 1e-9);
  } else {
    EXPECT_THAT(shown.out, HasSubstr("repeats every step exactly"));
  }
  for (const char* algorithm : {"ilqr", "moto"})
    EXPECT_EQ(kedge({"train", "turned", "--algorithm", algorithm, "--iterations", "1", "--out",
                     std::string("from-") + algorithm, "--from", algorithm == std::string("ilqr") ? "t.h5" : "run"})
                  .code,
              0);
  EXPECT_TRUE(draws({"replay", "run", "--task", "turned", "-o", "page.html"}));
}

TEST_F(OwnRobot, RefusesAPolicyOfOtherNames) {
  robot("arm", kCartPole, kPlace);
  ASSERT_EQ(kedge({"train", "arm", "--algorithm", "ilqr", "--iterations", "1", "--out", "run"}).code, 0);
  robot("one", kCartPole, std::string(kPlace) + "[actions]\nactuators = [\"twist\"]\n");
  expect_refused({"evaluate", "run", "--task", "one"},
                 "policy.h5: has the actions push, twist, but task one has twist: \"push\" is none of the task's");
  expect_refused({"replay", "run", "--png", "out", "--set", "observation.parts=[\"qvel\"]"},
                 "but task arm has qvel:slide, qvel:hinge: \"qpos:slide\" is none of the task's");
  const Outcome turned = kedge({"evaluate", "run", "--set", "actions.actuators=[\"twist\",\"push\"]"});
  EXPECT_EQ(turned.code, 0) << turned.err;
}

TEST_F(OwnRobot, HoldsBeyondTheHorizon) {
  robot("arm", kCartPole,
        std::string(kPlace) + "[success]\nof = \"qpos:slide\"\ntarget = 0.5\nbelow = 0.2\nsteps = \"final\"\n");
  ASSERT_EQ(kedge({"train", "arm", "--algorithm", "ilqr", "--iterations", "20", "--out", "run"}).code, 0);
  const Outcome held = kedge({"evaluate", "run", "--hold", "5", "--rollouts", "3"});
  EXPECT_EQ(held.code, 0) << held.err;
  EXPECT_THAT(held.out, HasSubstr("held for 100 steps more"));
  EXPECT_THAT(held.out, HasSubstr("success      3/3"));
  EXPECT_THAT(held.out, HasSubstr("|qpos:slide - 0.5| at steps 30..130 (held) < 0.2"));
  expect_refused({"evaluate", "run", "--hold", "0.001"},
                 "--hold = 0.001 s, but must be between one control step, 0.05 s");
  expect_refused({"evaluate", "run", "--hold", "5", "--set", "task.cost.effort.steps=0..20"},
                 "hold: an action costs nothing at the end of the task");
}

// ---- exploration, verdicts, first tasks ----------------------------------------------------------------------------

TEST_F(OwnRobot, ExploresByAShareOfEachRangeOrByActuator) {
  robot("arm", kCartPole, kPlace);
  const auto train = [&](const std::string& std) {
    return std::vector<std::string>{"train",      "arm",   "--iterations",       "1",     "--set",
                                    "rollouts=8", "--set", "initial_std=" + std, "--out", "out"};
  };
  for (const char* fine : {"0.1", "[0.1, 0.2]", "{ push = 0.1, twist = \"5 %\" }", "10 %"}) {
    const Outcome o = kedge(train(fine));
    EXPECT_EQ(o.code, 0) << fine << ": " << o.err;
    fs::remove_all(path("out"));
  }
  expect_refused(train("[0.1, 0.2, 0.3]"), "has 3 numbers, but must have one, or one for each of the 2 actions");
  expect_refused(train("{ push = 0.1, twits = 0.2 }"), "did you mean \"twist\"?");
  expect_refused(train("{ push = 0.1 }"), "has no number for the action \"twist\"");
  expect_refused(train("[0.1, -0.2]"), "initial_std");
  expect_refused(train("\"10 percent\""), "initial_std");
}

TEST_F(OwnRobot, IsJudgedForEveryAlgorithmBeforeWorkStarts) {
  robot("arm", kCartPole, std::string(kPlace) + "[[cost]]\nname = \"tip\"\nof = \"sensor:tip\"\n");
  write(path("arm/moto.toml"), "initial_std = 5.0\nbeta0 = 10.0\nrollouts = 3\n");
  const Outcome o = kedge({"validate", "arm"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("ilqr           ready: "));
  EXPECT_THAT(o.out, HasSubstr("84 % of the first actions are beyond their limits"));
  EXPECT_THAT(o.out, HasSubstr("try initial_std = \"50 %\""));
  EXPECT_THAT(o.out, HasSubstr("try beta0 = "));
  EXPECT_THAT(o.out, HasSubstr("28 features of 4 states and 2 actions; 15 rollouts are kept"));
  EXPECT_THAT(o.out, HasSubstr("try rollouts = 6"));
  // A proposal can be tried without writing a file, after the options beside the task.
  const Outcome tried = kedge({"validate", "arm", "--set", "moto.rollouts=6", "--set", "task.horizon=20.0"});
  EXPECT_THAT(tried.out, HasSubstr("28 features of 4 states and 2 actions; 30 rollouts are kept"));
  EXPECT_THAT(tried.out, HasSubstr("horizon      20 steps"));
  expect_refused({"validate", "arm", "--set", "moto.rolouts=6"}, "did you mean \"rollouts\"?");
  expect_refused({"validate", "arm", "--set", "motor.rollouts=6"}, "motor");
  // A task file that is called as a file of options is none.
  write(path("arm/moto.toml"), kPlace);
  EXPECT_EQ(kedge({"validate", "arm/moto.toml"}).code, 0);
}

TEST_F(OwnRobot, ThatDoesNotSucceedIsToldWhatMayHelp) {
  const std::string hard =
      std::string(kPlace) + "[success]\nof = \"qpos:slide\"\ntarget = 50\nbelow = 0.1\nsteps = \"last 5\"\n";
  robot("arm", kCartPole, hard);
  const auto train = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"train", "arm", "--iterations", "1", "--out", "run", "--force"});
    return kedge(more).out;
  };
  const std::string task = path("arm/task.toml").string();
  const std::string moto = train({"--set", "task.horizon=20"});
  EXPECT_THAT(moto, HasSubstr("no rollout succeeds; what may help:\n  kedge train " + task +
                              " --algorithm ilqr --out A --set task.horizon=20"));
  EXPECT_THAT(moto, HasSubstr("\n  kedge train " + task + " --algorithm moto --from A --set task.horizon=20\n"));
  EXPECT_THAT(moto, HasSubstr("\n  kedge tune " + task + " --algorithm moto --budget 10 --set task.horizon=20 "));
  for (const char* cannot_start : {"ilqr", "random_search"})
    EXPECT_THAT(train({"--algorithm", cannot_start}),
                testing::AllOf(HasSubstr("kedge tune"), Not(HasSubstr("--from"))));
  EXPECT_THAT(train({"--algorithm", "ilqr", "--set", "task.horizon=20"}),
              HasSubstr("\n  kedge train " + task + " --algorithm ilqr --set task.horizon=20 --set starts=64 "));
  EXPECT_THAT(moto, Not(HasSubstr("starts=64")));
  EXPECT_THAT(train({"--algorithm", "ilqr", "--set", "starts=64"}),
              testing::AllOf(HasSubstr("what may help"), Not(HasSubstr("--set starts=64"))));
  EXPECT_THAT(train({"--algorithm", "trpo"}), HasSubstr(" --algorithm trpo --from A --set policy=linear\n"));
  EXPECT_THAT(train({"--algorithm", "reckon"}),
              testing::AllOf(HasSubstr("what may help"), Not(HasSubstr("kedge tune"))));
  // Nothing was learned, so nothing is advised.
  const std::string nothing = kedge({"train", "arm", "--iterations", "0", "--out", "run", "--force"}).out;
  EXPECT_THAT(nothing, Not(HasSubstr("what may help")));
  EXPECT_THAT(nothing, Not(HasSubstr("kedge compare")));
  EXPECT_THAT(nothing, HasSubstr("kedge resume"));
  // A cost that has no quadratic model is not for ilqr.
  robot("arm", kCartPole, hard + "[[termination]]\nname = \"far\"\nof = \"qpos:slide\"\nrange = 90\ncost = 1\n");
  const std::string trpo = train({"--algorithm", "trpo"});
  EXPECT_THAT(trpo, Not(HasSubstr("--algorithm ilqr")));
  EXPECT_THAT(trpo, Not(HasSubstr("every rollout ends early")));
  robot("arm", kCartPole, hard + "[[termination]]\nname = \"tip\"\nof = \"qpos:hinge\"\nrange = 1e-9\ncost = 1\n");
  EXPECT_THAT(train({"--algorithm", "trpo"}),
              HasSubstr("every rollout ends early: where that costs less than to go on"));
  robot("arm", kCartPole, std::string(kPlace) + "[success]\nof = \"qpos:slide\"\nbelow = 1e3\nsteps = \"last 5\"\n");
  EXPECT_THAT(train({}), Not(HasSubstr("what may help")));
  robot("arm", kCartPole, kPlace);
  EXPECT_THAT(train({}), Not(HasSubstr("what may help"))) << "success is not measured";
}

TEST_F(OwnRobot, GetsAFirstTaskFromItsModel) {
  write(path("my arm.xml"), kCartPole);
  const Outcome model = kedge({"train", "my arm.xml"});
  EXPECT_EQ(model.code, 2);
  EXPECT_THAT(model.err, HasSubstr("is a model, not a task; `kedge init"));
  const Outcome made = kedge({"init", "my arm.xml", "--out", "tasks/arm"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(kedge({"validate", "tasks/arm"}).code, 0);
  const std::string text = read(path("tasks/arm/task.toml"));
  for (const char* part : {"keyframe:aside", "\"push\", \"twist\"", "sensor:NAME", "slide: 1 in qpos"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_EQ(kedge({"train", "tasks/arm", "--algorithm", "ilqr", "--iterations", "2", "--out", "run"}).code, 0);
  expect_refused({"init", "my arm.xml", "--out", "tasks/arm"}, "is there already");
  expect_refused({"init", "no.xml", "--out", "out"}, "there is no such model");
  write(path("broken.xml"), "<mujoco><worldbody>");
  expect_refused({"init", "broken.xml", "--out", "out"}, " refuses it: XML");
  write(path("arm.urdf"), R"(<robot name="arm"><link name="base"/><link name="tip"><inertial><mass value="1"/>
    <inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial></link>
    <joint name="j" type="continuous"><parent link="base"/><child link="tip"/><axis xyz="0 1 0"/></joint></robot>)");
  expect_refused({"init", "arm.urdf", "--out", "out"}, "a URDF cannot have one: save it as MJCF");
  write(path("wild.xml"), R"(<mujoco><worldbody><body><joint name="j" type="slide"/><geom size="0.1"/><body>
    <joint name="k" stiffness="1e300" springref="10"/><geom size="0.1" pos="0 0 1"/></body></body></worldbody>
    <actuator><motor joint="j"/></actuator></mujoco>)");
  expect_refused({"init", "wild.xml", "--out", "deep/er/wild"}, "bad qacc at joint \"k\"");
  EXPECT_FALSE(fs::exists(path("deep"))) << "the folders that it made are gone";
}

TEST_F(OwnRobot, CannotWriteIntoItsFirstTaskByItsNames) {
  write(path("sly.xml"), R"(<mujoco><worldbody><body>
    <joint name="j&#10;limit = 0.25&#10;[[termination]]&#10;name = &quot;e&quot;" type="slide" axis="1 0 0"/>
    <geom size="0.1"/></body></worldbody>
    <actuator><motor name="a&#10;limit = 0.5" joint="j&#10;limit = 0.25&#10;[[termination]]&#10;name = &quot;e&quot;"/></actuator></mujoco>)");
  const Outcome made = kedge({"init", "sly.xml", "--out", "sly"});
  EXPECT_EQ(made.error_lines().size(), made.code == 0 ? 0U : 1U);
  if (made.code == 0)
    EXPECT_THAT(read(path("sly/task.toml")), Not(AnyOf(HasSubstr("\nlimit ="), HasSubstr("\n[[termination]]"))));
  else
    EXPECT_THAT(made.err, testing::StartsWith("kedge: error: sly.xml: "));
}

TEST_F(OwnRobot, OfTheExamplesLearnsByEveryKindOfAlgorithm) {
  const std::string own = source_dir() + "/examples/own_robot";
  for (const char* algorithm : {"gps", "ilqr"}) {
    const Outcome o = kedge({"train", own, "--algorithm", algorithm, "--iterations", "2", "--out", "out"});
    EXPECT_EQ(o.code, 0) << algorithm << ": " << o.err;
    fs::remove_all(path("out"));
  }
  for (const auto& folder : fs::directory_iterator(fs::path(source_dir()) / "examples/robots")) {
    if (!folder.is_directory()) continue;
    const Outcome o = kedge({"validate", folder.path().string()});
    EXPECT_EQ(o.code, 0) << folder.path() << ": " << o.err;
    EXPECT_THAT(o.out, HasSubstr("ilqr           ready")) << folder.path();
  }
}

// ---- words of a task -------------------------------------------------------------------------------------------------

/// A cart whose pole's tip is to come over a mark; its episode ends where it leaves the rail.
const char* const kTip = R"(kedge = 1
model = "model.xml"
horizon = 30
control_step = 0.05
[[cost]]
name = "effort"
of = "action"
weight = 0.01
[[cost]]
name = "tip"
of = "site:tip - body:cart[x]"
)";

TEST_F(OwnRobot, MayNameSitesWithoutSensors) {
  std::string model = kCartPole, task = kTip;
  model.erase(model.find("<sensor>"), model.find("</sensor>") + 9 - model.find("<sensor>"));
  task.replace(task.find(" - body:cart[x]"), 15, "");
  robot("cart", model, task + "target = [0.4, 0, -0.3]\n");
  EXPECT_THAT(kedge({"validate", "cart"}).out, HasSubstr("tip: quadratic of site:tip - (0.4, 0, -0.3)"));
  for (const char* algorithm : {"ilqr", "gps", "moto", "vgps"}) {
    const Outcome o = kedge({"train", "cart", "--algorithm", algorithm, "--iterations", "2", "--out", algorithm});
    EXPECT_EQ(o.code, 0) << algorithm << ": " << o.err;
  }
  EXPECT_EQ(kedge({"resume", "gps", "--iterations", "3"}).code, 0) << "the run's copy of the task has the words, too";
  const auto returns = column(path("ilqr/metrics.csv"), "return_mean");
  EXPECT_GT(returns.back(), returns.front()) << "the derivatives are right";
  EXPECT_TRUE(draws({"replay", "gps", "-o", "page.html", "--play"}));
  robot("wrong", model, kTip);
  expect_refused({"validate", "wrong"}, "\"site:tip - body:cart[x]\" is a difference of 3 and 1 numbers");
}

TEST_F(OwnRobot, MayEndItsEpisodesEarly) {
  robot("cart", kCartPole,
        std::string(kPlace) +
            "[[termination]]\nname = \"off\"\nof = \"body:cart[x]\"\n"
            "range = 0.02\ncost = 5\nmissing_step = 0.3\n");
  const Outcome checked = kedge({"validate", "cart"});
  EXPECT_THAT(checked.out,
              HasSubstr("off: body:cart[0] outside of [-0.02, 0.02]; cost 5, and 0.3 for each step that is missing"));
  EXPECT_THAT(checked.out, testing::ContainsRegex("trpo +ready"));
  EXPECT_THAT(checked.out, HasSubstr("moto learns from episodes of 30 steps"));
  expect_refused({"train", "cart", "--out", "out"}, "moto learns from episodes of 30 steps");
  ASSERT_EQ(kedge({"train", "cart", "--algorithm", "trpo", "--iterations", "3", "--out", "run"}).code, 0);
  EXPECT_GT(column(path("run/metrics.csv"), "ended_early").back(), 0.0);
  const Outcome evaluated =
      kedge({"evaluate", "run", "--rollouts", "50", "--seed", "3", "--json", "--trajectories", "paths.h5"});
  EXPECT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_THAT(evaluated.out, testing::ContainsRegex("\"ended_early\": [1-9]"));
  EXPECT_THAT(kedge({"evaluate", "run", "--rollouts", "50"}).out, testing::ContainsRegex("ended early +[0-9]+/50 = "));
  EXPECT_TRUE(draws({"replay", "run", "-o", "page.html", "--play"}));
}

TEST_F(OwnRobot, LetsThePolicySeeSites) {
  robot("cart", kCartPole, std::string(kPlace) + "[observation]\nparts = [\"qvel\", \"site:tip\"]\n");
  for (const char* algorithm : {"gps", "moto", "trpo", "reps", "random_search"}) {
    const Outcome o = kedge({"train", "cart", "--algorithm", algorithm, "--iterations", "2", "--out", algorithm});
    EXPECT_EQ(o.code, 0) << algorithm << ": " << o.err;
  }
  EXPECT_EQ(kedge({"train", "cart", "--algorithm", "ilqr", "--iterations", "1", "--out", "ilqr"}).code, 0)
      << "it sees the whole state instead";
  expect_refused({"train", "cart", "--algorithm", "vgps", "--out", "out"}, "the policy sees site:tip[0], but");
  EXPECT_TRUE(draws({"replay", "gps", "-o", "page.html"}));
  if (fs::exists(path("page.html"))) expect_refused({"replay", "gps", "-o", "out", "--play"}, "leave --play out");
}

// ---- algorithms that help each other ---------------------------------------------------------------------------------

TEST_F(OwnRobot, LearningStartsFromAnotherPolicy) {
  robot("cart", kCartPole, kPlace);
  ASSERT_EQ(kedge({"train", "cart", "--algorithm", "ilqr", "--out", "ilqr"}).code, 0);
  const double best = column(path("ilqr/metrics.csv"), "return_mean").back();
  for (const char* algorithm : {"moto", "gps"}) {
    const std::vector<std::string> train = {"train", "cart",  "--algorithm",      algorithm, "--from",
                                            "ilqr",  "--set", "initial_std=1e-3", "--seed",  "3"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), train.begin(), train.end());
      return kedge(more);
    };
    ASSERT_EQ(with({"--iterations", "3", "--out", "whole"}).code, 0);
    EXPECT_NEAR(column(path("whole/metrics.csv"), "return_mean").front(), best, 1e-3 * std::abs(best)) << algorithm;
    ASSERT_EQ(with({"--iterations", "1", "--out", "parts"}).code, 0);
    fs::rename(path("ilqr"), path("elsewhere"));  // a run that has begun does not need it
    ASSERT_EQ(kedge({"resume", "parts", "--iterations", "3"}).code, 0);
    fs::rename(path("elsewhere"), path("ilqr"));
    EXPECT_EQ(read(path("whole/metrics.csv")), read(path("parts/metrics.csv")));
    const Outcome compared = kedge({"compare", "whole", "parts"});
    EXPECT_THAT(compared.out, HasSubstr(algorithm));
    for (const char* folder : {"whole", "parts"}) fs::remove_all(path(folder));
  }
  EXPECT_EQ(kedge({"train", "cart", "--from", "ilqr", "--iterations", "1", "--out", "run"}).code, 0);
  EXPECT_THAT(read(path("run/run.toml")), HasSubstr("ilqr/policy.h5\""));
  expect_refused({"train", "cart", "--algorithm", "vgps", "--from", "ilqr", "--out", "out"},
                 "vgps starts from a trajectory, not from a policy; `kedge evaluate");
  expect_refused({"train", "cart", "--algorithm", "more", "--from", "ilqr", "--out", "out"}, "a start of its own");
  expect_refused({"train", "cart", "--from", "ilqr", "--set", "task.horizon=20", "--out", "out"},
                 "the policy has 30 steps, but task cart has 20");
  expect_refused({"train", "cart", "--from", "ilqr", "--set", "task.observation.parts=[\"qpos\"]", "--out", "out"},
                 "but task cart has qpos:slide, qpos:hinge: \"qvel:slide\" is none of the task's");
  expect_refused({"train", "cart", "--from", "nothing.h5", "--out", "out"}, "there is no such run or file");
}

TEST_F(OwnRobot, GuidesStartFromATrajectory) {
  robot("cart", kCartPole, kPlace);
  ASSERT_EQ(kedge({"train", "cart", "--algorithm", "ilqr", "--out", "ilqr"}).code, 0);
  ASSERT_EQ(kedge({"evaluate", "ilqr", "--deterministic", "--rollouts", "1", "--trajectories", "path.h5"}).code, 0);
  for (const char* algorithm : {"vgps", "dagger", "ilqr", "gps"}) {
    const Outcome o = kedge({"train", "cart", "--algorithm", algorithm, "--from", "path.h5", "--iterations", "1",
                             "--out", std::string("from-") + algorithm});
    EXPECT_EQ(o.code, 0) << algorithm << ": " << o.err;
  }
  const auto returns = column(path("ilqr/metrics.csv"), "return_mean");
  EXPECT_GT(column(path("from-ilqr/metrics.csv"), "return_mean").front(), returns.front())
      << "it begins where the other ended";
  fs::remove(path("path.h5"));
  EXPECT_EQ(kedge({"resume", "from-vgps", "--iterations", "2"}).code, 0) << "the run has a copy";
}

// ---- tuning ----------------------------------------------------------------------------------------------------------

/// Checks three rounds of four configurations: the better half of each goes on, more than half of an odd number, and number 0.
void expect_better_halves(const fs::path& table) {
  const std::vector<double> round = column(table, "round"), trial = column(table, "trial"),
                            success = column(table, "success"), value = column(table, "return");
  std::set<double> expected = {0, 1, 2, 3};
  for (int r = 0; r < 3; ++r) {
    std::vector<std::tuple<double, double, double>> best_first;  // -success, -return, trial
    std::set<double> found;
    for (std::size_t i = 0; i < round.size(); ++i)
      if (round[i] == r) {
        best_first.emplace_back(-success[i], -value[i], trial[i]);
        found.insert(trial[i]);
      }
    EXPECT_EQ(found, expected) << "round " << r;
    std::ranges::sort(best_first);
    expected = {0};
    for (std::size_t i = 0; i < (best_first.size() + 1) / 2; ++i) expected.insert(std::get<2>(best_first[i]));
  }
}

TEST_F(OwnRobot, IsTunedTheSameWayHoweverOftenItIsInterrupted) {
  robot("cart", kCartPole, kPlace);
  const auto tune = [&](const std::string& out) {
    return kedge({"tune", "cart", "--algorithm", "gps", "--trials", "4", "--seeds", "1", "--set", "iterations=4",
                  "--set", "rollouts=10", "--out", out});
  };
  const Outcome once = tune("once");
  ASSERT_EQ(once.code, 0) << once.err << once.out;
  EXPECT_THAT(once.out, HasSubstr("kedge train cart --algorithm gps --config once/gps.toml"));
  EXPECT_THAT(once.out, Not(HasSubstr("no configuration succeeds"))) << "success is not measured";
  const std::string scores = read(path("once/tune-0.csv"));
  expect_better_halves(path("once/tune-0.csv"));
  ASSERT_EQ(tune("again").code, 0);
  EXPECT_EQ(read(path("again/tune-0.csv")), scores);
  // Interrupted in the second round, of which nothing is left.
  std::size_t end = 0;
  for (int i = 0; i < 2 + 4; ++i) end = scores.find('\n', end) + 1;
  write(path("again/tune-0.csv"), scores.substr(0, end));
  for (const auto& run : fs::directory_iterator(path("again")))
    if (run.is_directory()) fs::remove_all(run.path());
  ASSERT_EQ(tune("again").code, 0);
  EXPECT_EQ(read(path("again/tune-0.csv")), scores);
  EXPECT_EQ(read(path("again/gps.toml")).substr(read(path("again/gps.toml")).find('\n')),
            read(path("once/gps.toml")).substr(read(path("once/gps.toml")).find('\n')));
  write(path("again/tune-0.csv"), scores.substr(0, scores.rfind('\n', end - 2) + 1));
  const Outcome torn = tune("again");
  EXPECT_EQ(torn.code, 2);
  EXPECT_THAT(torn.err, HasSubstr("again/tune-0.csv: is not of this search"));
  const Outcome trained = kedge({"train", "cart", "--algorithm", "gps", "--config", "once/gps.toml", "--out", "run"});
  EXPECT_EQ(trained.code, 0) << trained.err;
  const std::vector<std::string> same{"tune", "cart",  "--algorithm",  "gps",   "--trials",    "4",     "--seeds",
                                      "1",    "--set", "iterations=4", "--set", "rollouts=10", "--out", "once"};
  for (const auto& [at, other] :
       std::vector<std::pair<std::size_t, std::string>>{{5, "3"}, {7, "2"}, {9, "iterations=5"}, {11, "rollouts=11"}}) {
    auto changed = same;
    changed[at] = other;
    expect_refused(changed, "once/tune-0.csv: is not of this search");
  }
  auto moved = same;
  moved.insert(moved.end(), {"--set", "task.horizon=20"});
  expect_refused(moved, "once/tune-0.csv: is not of this search");
  for (const auto& [from, to] : {std::pair{"0,0,1,1,0", "0,0,1,1,nan"},
                                 {"0,0,1,1", "7,0,1,1"},
                                 {"0,0,1,1", "0,0,1,9"},
                                 {"epsilon=", "epsilon=1"}}) {
    std::string altered = scores;
    altered.replace(altered.find(from), std::string_view(from).size(), to);
    write(path("once/tune-0.csv"), altered);
    expect_refused(same, "once/tune-0.csv: is not of this search");
  }
  write(path("once/tune-0.csv"), scores);
  EXPECT_EQ(kedge(same).code, 0) << "its own result is made anew";
  const std::string tuned = read(path("once/gps.toml"));
  write(path("once/gps.toml"), tuned + "# mine\n");
  expect_refused(same, "once/gps.toml: is not as kedge wrote it");
  EXPECT_EQ(read(path("once/gps.toml")), tuned + "# mine\n");
  fs::rename(path("once/gps.toml"), path("mine.toml"));
  fs::create_symlink("../mine.toml", path("once/gps.toml"));
  expect_refused(same, "once/gps.toml: is a symbolic link, and is not replaced");
  write(path("cart/gps.toml"), "rollouts = 10\n");
  auto beside = same;
  beside.back() = "cart";
  expect_refused(beside, "cart/gps.toml: is not as kedge wrote it, and is not replaced");
  beside.back() = "cart/gps.toml";
  expect_refused(beside, "cart/gps.toml: is not a directory, but a regular file");
  expect_refused({"tune", "cart", "--trials", "4", "--algorithm", "vgps", "--out", "out"},
                 "vgps has no declared search; gps, ilqr,");
  expect_refused({"tune", "cart", "--out", "out"}, "say how long");
  expect_refused({"tune", "cart", "--trials", "2", "--set", "epsilon=-1", "--out", "out"}, "epsilon: must be");
}

/// A run that converges before its iterations are over is done, however many a later round asks for.
TEST_F(OwnRobot, IsTunedByAnAlgorithmThatConverges) {
  robot("arm", kCartPole, std::string(kPlace) + "[success]\nof = \"qpos:slide\"\nbelow = 0.1\nsteps = \"last 5\"\n");
  const std::vector<std::string> command = {"tune", "arm",     "--algorithm", "ilqr",  "--trials",
                                            "8",    "--seeds", "1",           "--out", "found"};
  const Outcome o = kedge(command);
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(fs::exists(path("found/ilqr.toml")));
  EXPECT_THAT(read(path("found/trial-000/s0.log")), testing::Not(HasSubstr("error")));
  EXPECT_EQ(kedge(command).code, 0) << "and again";
}

TEST_F(OwnRobot, IsTunedInSharesAsByOne) {
  robot("cart", kCartPole, kPlace);
  std::vector<std::string> words{"tune", "cart",  "--algorithm",  "gps",   "--trials",    "9",     "--seeds",
                                 "1",    "--set", "iterations=2", "--set", "rollouts=10", "--out", "whole"};
  ASSERT_EQ(kedge(words).code, 0);
  words.back() = "parts";
  for (const char* share : {"2/2", "1/2"}) {
    auto shared = words;
    shared.insert(shared.end(), {"--shard", share});
    const Outcome o = kedge(shared);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr("the option file is written by\n  kedge tune cart --algorithm gps --trials 9 "));
    EXPECT_FALSE(fs::exists(path("parts/gps.toml")));
    EXPECT_EQ(fs::exists(path("parts/trial-000")), share[0] == '1') << "the first eight are the first share's";
  }
  const Outcome o = kedge(words);
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, Not(HasSubstr("iterations of"))) << "every round is there already";
  for (const char* file : {"tune-0.csv", "tune-1.csv"})
    EXPECT_EQ(read(path(std::string("parts/") + file)), read(path(std::string("whole/") + file)));
  const std::string tuned = read(path("parts/gps.toml")), whole = read(path("whole/gps.toml"));
  EXPECT_EQ(tuned.substr(tuned.find('\n')), whole.substr(whole.find('\n')));

  words.insert(words.end(), {"--shard", "1/3"});
  expect_refused(words, "--shard: 9 configurations are 2 brackets of 8, which 3 shares cannot share");
  expect_refused({"tune", "cart", "--budget", "1", "--shard", "1/2", "--out", "out"}, "say how many, --trials N");
}

/// Searches while signals come: SIGINT to the program, or SIGKILL to a training of it.
TEST_F(OwnRobot, ThatNoConfigurationSucceedsWithIsSaid) {
  for (const auto& [below, succeeds] : {std::pair{"0.1", false}, {"1e3", true}}) {
    robot(
        "cart", kCartPole,
        fmt::format("{}[success]\nof = \"qpos:slide\"\ntarget = 50\nbelow = {}\nsteps = \"last 5\"\n", kPlace, below));
    const Outcome o = kedge({"tune", "cart", "--algorithm", "gps", "--trials", "2", "--seeds", "1", "--set",
                             "iterations=2", "--set", "rollouts=10", "--out", fmt::format("out-{}", below)});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(o.out.find("no configuration succeeds in any rollout") == std::string::npos, succeeds) << o.out;
  }
}

TEST_F(OwnRobot, IsTunedTheSameWayWhateverKillsATraining) {
  robot("cart", kCartPole, kPlace);
  const auto words = [](const std::string& out) {
    return std::vector<std::string>{"tune", "cart",  "--algorithm",   "gps",   "--trials",    "2",     "--seeds",
                                    "1",    "--set", "iterations=40", "--set", "rollouts=10", "--out", out};
  };
  ASSERT_EQ(kedge(words("whole")).code, 0);
  for (const int number : {SIGINT, SIGKILL}) {
    const std::string out = number == SIGINT ? "stopped" : "killed";
    Process process(words(out), {.directory = path("")});
    while (process.running() && !fs::exists(path(out + "/trial-000/s0/checkpoint.h5"))) ::usleep(1000);
    if (number == SIGINT) {
      process.signal(SIGINT);
    } else {
      for (pid_t child = 0; process.running() && child == 0;) {
        std::istringstream(read(fmt::format("/proc/{0}/task/{0}/children", process.id()))) >> child;
        if (child > 0) ::kill(child, SIGKILL);
      }
    }
    const Outcome o = process.wait();
    EXPECT_EQ(o.code, number == SIGINT ? 130 : 3) << o.err << o.out;
    EXPECT_THAT(o.err + o.out, HasSubstr(number == SIGINT ? "To go on" : "the same command again goes on"));
    ASSERT_EQ(kedge(words(out)).code, 0);
    EXPECT_EQ(read(path(out + "/tune-0.csv")), read(path("whole/tune-0.csv"))) << out;
  }
}

// ---- size ----------------------------------------------------------------------------------------------------------

/// A chain of hinges with a motor each.
std::string chain(int joints) {
  std::string model = R"(<mujoco><option timestep="0.005"/><worldbody>)", motors;
  for (int i = 0; i < joints; ++i) {
    model += fmt::format(
        "<body pos=\"0 0 -.1\"><joint name=\"j{0}\" axis=\"{1} {2} 0\" damping=\".2\" armature=\".01\"/>"
        "<geom type=\"capsule\" fromto=\"0 0 0 0 0 -.1\" size=\".02\" contype=\"0\"/>",
        i, i % 2, 1 - i % 2);
    motors += fmt::format("<motor joint=\"j{}\" ctrllimited=\"true\" ctrlrange=\"-1 1\"/>", i);
  }
  for (int i = 0; i < joints; ++i) model += "</body>";
  return model + "</worldbody><actuator>" + motors + "</actuator></mujoco>";
}

const char* const kPose =
    "kedge = 1\nmodel = \"model.xml\"\nhorizon = 25\ncontrol_step = 0.02\n"
    "[[cost]]\nname = \"effort\"\nof = \"action\"\nweight = 0.01\n"
    "[[cost]]\nname = \"pose\"\nof = \"qpos\"\ntarget = 0.1\n";

TEST_F(OwnRobot, ObeysTheFirstSignalInsideARegression) {
  robot("chain", chain(36), kPose);
  Process process({"train", "chain", "--iterations", "1000", "--threads", "1", "--out", "run"},
                  {.directory = path("")});
  while (process.running() && !fs::exists(path("run/checkpoint.h5")))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::this_thread::sleep_for(std::chrono::seconds(2));  // inside the first iteration, which takes a minute and more
  process.signal(SIGTERM);
  const Outcome o = process.wait();
  EXPECT_EQ(o.code, 130) << o.err;
  EXPECT_THAT(o.err + o.out, HasSubstr("kedge resume run"));
  EXPECT_THAT(o.out, HasSubstr("an iteration takes about "));
}

TEST_F(OwnRobot, IsRefusedMemoryThatIsNotThere) {
  robot("chain", chain(48), kPose);
  expect_refused({"train", "chain", "--set", "window=1", "--threads", "64", "--out", "out"}, "of memory");
  EXPECT_THAT(kedge({"validate", "chain"}).out, HasSubstr("10585 features"));
}

}  // namespace
}  // namespace kedge::test
