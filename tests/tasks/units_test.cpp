// Values that are possible and have the wrong unit: one warning each, with its place and what to write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "kedge/core/errors.h"
#include "kedge/tasks/task_file.h"
#include "task_texts.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kJoints = R"(<mujoco><compiler angle="radian"/><option timestep="0.01" integrator="RK4"/><worldbody>
<body><joint name="rail" type="slide" axis="1 0 0" limited="true" range="-1 1"/><geom size="0.1"/>
<body><joint name="knee" axis="0 1 0" limited="true" range="-2 2"/><geom type="capsule" fromto="0 0 0 0 0 -1" size="0.03"/>
<body pos="0 0 -1"><joint name="free" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -1" size="0.03"/></body></body>
</body></worldbody><actuator><motor name="bend" joint="knee"/><motor name="push" joint="rail"/></actuator></mujoco>
)";

const std::string kRight = R"(kedge = 1
model = "arm.xml"
horizon = 100
control_step = 0.02
[actions]
limit = [20, 40]
[start]
distribution = "uniform"
qpos = [0.5, 1.5, 3.0]
qpos_spread = [0.1, 0.1, 3.1]
[[cost]]
name = "knee"
of = "qpos:knee"
target = 1.5
[[cost]]
name = "free"
of = "qpos:free"
target = 6.28
[[termination]]
name = "turned"
of = "qpos:free"
range = [-9, 9]
cost = 1
[success]
of = "qpos:free"
angle = true
target = 3
below = 0.2
steps = "final"
)";

struct WrongUnit {
  const char *from, *to;  ///< a piece of kRight, or of kJoints
  const char *place, *expected;
};

const WrongUnit kWrongUnits[] = {
    {"horizon = 100", "horizon = 2",
     ":3:11: horizon: ", "2 control steps are 0.04 s; the horizon counts steps, and 2 s are 100 of them"},
    {"horizon = 100\ncontrol_step = 0.02", "horizon = 100000\ncontrol_step = 0.1",
     ":3:11: horizon: ", "100000 control steps are 1e+04 s, more than an hour"},
    {"control_step = 0.02", "control_step = 20",
     ":4:16: control_step: ", "20 s is a long time between two actions; 20 ms are 0.02"},
    {"limit = [20, 40]", "limit = [2e5, 40]",
     ":6:9: actions.limit: ", "2e+05 for \"bend\", with gear 1, moves joint \"knee\" by"},
    {"limit = [20, 40]", "limit = [20, 4e7]",
     ":6:9: actions.limit: ", "\"push\", with gear 1, moves joint \"rail\" by"},
    {"qpos = [0.5, 1.5, 3.0]", "qpos = [0.5, 90, 3.0]",
     ":9:8: start.qpos: ", "90 is outside of the range of joint \"knee\", -2 to 2 rad; 90 degrees are 1.571"},
    {"qpos = [0.5, 1.5, 3.0]", "qpos = [500, 1.5, 3.0]",
     ":9:8: start.qpos: ", "500 is outside of the range of joint \"rail\", -1 to 1 m"},
    {"qpos_spread = [0.1, 0.1, 3.1]", "qpos_spread = [0.1, 0.1, 10]",
     ":10:15: start.qpos_spread: ", "10 rad for joint \"free\" are more than half a turn; 10 degrees are 0.1745"},
    {"target = 1.5", "target = 45",
     ":14:10: cost.knee.target: ", "45 is outside of the range of joint \"knee\", -2 to 2 rad; 45 degrees are 0.7854"},
    {"target = 6.28", "target = 180",
     ":18:10: cost.free.target: ", "180 rad are 28.6 turns of joint \"free\"; 180 degrees are 3.142"},
    {"range = [-9, 9]", "range = [-30, 30]",
     ":22:9: termination.turned.range: ", "30 rad are 4.8 turns; 30 degrees are 0.5236"},
    {"target = 3\n", "target = 180\n", ":27:10: success.target: ", "180 rad are 28.6 turns of joint \"free\""},
    {"below = 0.2", "below = 5", ":28:9: success.below: ", "every angle is nearer than 5 rad; 5 degrees are 0.08727"},
    {"range=\"-2 2\"", "range=\"-120 120\"", ":2:9: model: ",
     "the range of joint \"knee\", -120 to 120 rad are many turns; its <compiler angle=\"degree\"/> or \"radian\""},
    {"<compiler angle=\"radian\"/>", "",
     ":2:9: model: ", "the range of joint \"knee\", -0.03491 to 0.03491 rad is less than"},
};

/// Controls of a position servo are angles of its joint.
TEST(Servos, AreToldAnglesOfTheirJoints) {
  const TemporaryFolder folder;
  const auto warnings = [&](const std::string& range, const std::string& limits) {
    const std::string motor = R"(<motor name="bend" joint="knee"/>)";
    folder.write("arm.xml",
                 replaced(kJoints, motor,
                          fmt::format(R"(<position name="bend" joint="knee" kp="5" ctrlrange="-{0} {0}"/>)", range)));
    const std::string law = "[[joint_limit]]\nname = \"soft\"\nactuators = [\"bend\"]\nstiffness = 1\n" + limits;
    return load_task(folder.write("task.toml",
                                  replaced(kRight, "[actions]\nlimit = [20, 40]\n", limits.empty() ? "" : law + "\n")))
        .warnings;
  };
  EXPECT_THAT(warnings("2", ""), IsEmpty());
  EXPECT_THAT(warnings("6", ""), IsEmpty()) << "a servo may be told more than the joint can, to push";
  EXPECT_THAT(warnings("90", ""), ElementsAre(HasSubstr("90 rad for \"bend\", a position servo, are far beyond the "
                                                        "range of joint \"knee\", -2 to 2 rad; 90 degrees are 1.571")));
  EXPECT_THAT(warnings("2", "range = 1.5"), IsEmpty());
  EXPECT_THAT(
      warnings("2", "range = 90"),
      ElementsAre(HasSubstr("90 rad are beyond the range of joint \"knee\", -2 to 2 rad; 90 degrees are 1.571")));
}

TEST(Angles, ArePositionsOfHinges) {
  const TemporaryFolder folder;
  folder.write("arm.xml", kJoints);
  const auto load = [&](const std::string& of) {
    return load_task(folder.write("task.toml", replaced(kRight, "of = \"qpos:free\"\nangle = true",
                                                        fmt::format("of = \"{}\"\nangle = true", of))));
  };
  EXPECT_NO_THROW(load("qpos:free"));
  for (const char* none : {"qvel:free", "qpos:rail"}) try {
      load(none);
      ADD_FAILURE() << none;
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(),
                  HasSubstr(fmt::format("success.angle: {} is no angle: only the positions of hinges are", none)));
    }
}

TEST(Quaternions, OfTargetsAreAttitudes) {
  const TemporaryFolder folder;
  folder.write("float.xml", R"(<mujoco><worldbody><body><freejoint name="root"/><geom size="0.1"/></body></worldbody>
<actuator><motor joint="root" gear="1 0 0 0 0 0"/></actuator></mujoco>)");
  const auto warnings = [&](const std::string& target) {
    return load_task(
               folder.write(
                   "task.toml",
                   "kedge = 1\nmodel = \"float.xml\"\nhorizon = 100\ncontrol_step = 0.02\n[[cost]]\nname = \"pose\"\n"
                   "of = \"qpos:root\"\ntarget = " +
                       target + "\n"))
        .warnings;
  };
  EXPECT_THAT(warnings("[1, 2, 3, 0, 1, 0, 0]"), IsEmpty());
  EXPECT_THAT(warnings("[1, 2, 3, 2, 0, 0, 0]"),
              ElementsAre(HasSubstr("cost.pose.target: the quaternion of joint \"root\" has norm 2 there")));
  EXPECT_THAT(warnings("0"), ElementsAre(HasSubstr("has norm 0 there, but attitudes have 1; no turn is [1, 0, 0, 0]")));
}

class UnitsTest : public testing::Test {
 protected:
  std::vector<std::string> warnings(const std::string& model, const std::string& task) {
    folder.write("arm.xml", model);
    try {
      return load_task(folder.write("task.toml", task)).warnings;
    } catch (const InputError& e) {  // from far outside of a range the simulation diverges
      return {e.what()};
    }
  }
  TemporaryFolder folder;
};

TEST_F(UnitsTest, OfARightTaskNothingIsSaid) {
  EXPECT_THAT(warnings(kJoints, kRight), IsEmpty());
  for (const char* tasks : {"tasks", "examples/robots"})
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(test::source_dir()) / tasks)) {
      if (!std::filesystem::exists(entry.path() / "task.toml")) continue;
      EXPECT_THAT(load_task(entry.path() / "task.toml").warnings, IsEmpty()) << entry.path();
    }
}

TEST_F(UnitsTest, AWrongUnitIsNamedWithWhatToWrite) {
  for (const auto& [from, to, place, expected] : kWrongUnits) {
    const bool of_model = kRight.find(from) == std::string::npos;
    const std::vector<std::string> found =
        warnings(of_model ? replaced(kJoints, from, to) : kJoints, of_model ? kRight : replaced(kRight, from, to));
    ASSERT_FALSE(found.empty()) << to;
    EXPECT_THAT(found.front(), AllOf(HasSubstr(std::string("task.toml") + place), HasSubstr(expected))) << to;
    EXPECT_EQ(found.front().find('\n'), std::string::npos);
  }
}

TEST_F(UnitsTest, OfPlacesAreMetres) {
  const std::string model = replaced(kJoints, "</body></body>\n</body>", "<site name=\"tip\"/></body></body>\n</body>");
  const auto task = [&](const std::string& target, const std::string& below) {
    return replaced(replaced(kRight, "of = \"qpos:free\"\nangle = true\ntarget = 3",
                             fmt::format("of = \"site:tip\"\ntarget = {}", target)),
                    "below = 0.2", "below = " + below);
  };
  EXPECT_THAT(warnings(model, task("[0, 0, 5]", "0.2")), IsEmpty());
  EXPECT_THAT(warnings(model, task("[0, 0, 5000]", "0.2")),
              ElementsAre(AllOf(HasSubstr("success.target: 5000 m are far from a model"), HasSubstr("5000 mm are 5"))));
  EXPECT_THAT(warnings(model, task("[0, 0, 5]", "2000")),
              ElementsAre(AllOf(HasSubstr("success.below: 2000 m are far from a model"), HasSubstr("2000 mm are 2"))));
}

TEST_F(UnitsTest, WhatNobodyCanWantIsSaid) {
  EXPECT_THAT(warnings(kJoints, replaced(kRight, "range = [-9, 9]\ncost = 1", "range = [-9, 9]\ncost = 0")),
              ElementsAre(HasSubstr("termination.turned.cost: an end that costs nothing saves the costs")));
  const std::string task = replaced(replaced(kRight, "target = 1.5", "weight = 0"), "target = 6.28", "weight = 0");
  EXPECT_THAT(warnings(kJoints, task), ElementsAre(HasSubstr("cost: every weight is 0: there is nothing to learn")));
}

TEST_F(UnitsTest, OfTheCommandLineIsNamedAsSuch) {
  folder.write("arm.xml", kJoints);
  EXPECT_THAT(load_task(folder.write("task.toml", kRight), {{"start.qpos", "[0, 2.5, 0]"}}).warnings,
              ElementsAre(HasSubstr("--set task.start.qpos=[0, 2.5, 0]: start.qpos: 2.5 is outside of the range")));
}

}  // namespace
}  // namespace kedge
