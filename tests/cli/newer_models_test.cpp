// Models with words that not every MuJoCo knows: where the linked one does, they load and train; where it is older, the user
// is told which one would do.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "kedge/run/version.h"
#include "program.h"

namespace kedge::test {
namespace {

using testing::HasSubstr;

/// A pendulum with something new.
struct NewerModel {
  const char* name;
  const char* version;  ///< of a MuJoCo that accepts it
  const char* word;     ///< which older ones do not know
  // Parts of the model; empty: those of a plain pendulum.
  std::string option = "", asset = "", world = "", body = "", joint = "";
  std::string actuator = R"(<motor joint="j" ctrlrange="-1 1"/>)";
  std::string sensor = "";

  [[nodiscard]] std::string xml() const {
    return fmt::format(R"(<mujoco>
  <option timestep="0.01" {}<asset>{}</asset>
  <worldbody>{}
    <body name="arm" {}><joint name="j" axis="0 1 0" damping=".1" {}/>
      <geom name="g" type="capsule" fromto="0 0 0 0 0 .5" size=".03"/><site name="tip" pos="0 0 .5"/></body>
  </worldbody>
  <actuator>{}</actuator><sensor>{}</sensor>
</mujoco>)",
                       option.empty() ? "/>" : option, asset, world, body, joint, actuator, sensor);
  }
};
void PrintTo(const NewerModel& model, std::ostream* out) { *out << model.name; }

const NewerModel kModels[] = {
    {.name = "Implicitfast", .version = "3.0.0", .word = "implicitfast", .option = R"(integrator="implicitfast"/>)"},
    {.name = "Discrete", .version = "3.13.0", .word = "discrete", .option = R"(integrator="discrete"/>)"},
    {.name = "Sleep", .version = "3.4.0", .word = "sleep", .option = R"(><flag sleep="enable"/></option>)"},
    {.name = "Attach",
     .version = "3.2.0",
     .word = "model",
     .asset = R"(<model name="child" file="child.xml"/>)",
     .world = R"(<frame pos="1 0 0"><attach model="child" body="link" prefix="left_"/></frame>)"},
    {.name = "Frame",
     .version = "3.1.0",
     .word = "frame",
     .world =
         R"(<frame pos="0 0 1" euler="0 30 0"><body><joint axis="0 1 0"/><geom size=".05" pos=".3 0 0"/></body></frame>)"},
    {.name = "Replicate",
     .version = "3.2.0",
     .word = "replicate",
     .world = R"(<replicate count="3" offset="0 .1 0"><geom size=".03" pos="2 0 0"/></replicate>)"},
    {.name = "Flexcomp",
     .version = "3.0.0",
     .word = "flexcomp",
     .world =
         R"(<flexcomp name="rope" type="grid" count="4 1 1" spacing=".1 .1 .1" pos="1 0 1" dim="1" mass=".1" radius=".01">
       <pin id="0"/><edge equality="true"/></flexcomp>)"},
    {.name = "Gravcomp", .version = "3.0.0", .word = "gravcomp", .body = R"(gravcomp="1")"},
    {.name = "Actuatorfrcrange",
     .version = "3.0.0",
     .word = "actuatorfrcrange",
     .joint = R"(actuatorfrcrange="-.5 .5")"},
    {.name = "Dampratio",
     .version = "3.2.0",
     .word = "dampratio",
     .actuator = R"(<position joint="j" kp="20" dampratio="1" ctrlrange="-1 1"/>)"},
    {.name = "Inheritrange",
     .version = "3.1.3",
     .word = "inheritrange",
     .joint = R"(range="-1 1")",
     .actuator = R"(<position joint="j" kp="20" inheritrange="1"/>)"},
    {.name = "Timeconst",
     .version = "3.2.0",
     .word = "timeconst",
     .actuator = R"(<position joint="j" kp="20" timeconst="0.05" ctrlrange="-1 1"/>)"},
    {.name = "Delay",
     .version = "3.5.0",
     .word = "delay",
     .actuator = R"(<motor joint="j" ctrlrange="-1 1" delay="0.03" nsample="4"/>)"},
    {.name = "Dcmotor",
     .version = "3.9.0",
     .word = "dcmotor",
     .actuator = R"(<dcmotor joint="j" motorconst="0.1" resistance="1" ctrlrange="-1 1"/>)"},
    {.name = "Orientation",
     .version = "3.12.0",
     .word = "orientation",
     .world =
         R"(<body pos="1 0 0"><joint name="b" type="ball" damping=".1"/><geom type="box" size=".1 .2 .3"/></body>)",
     .actuator = R"(<orientation joint="b" kp="5"/>)"},
    {.name = "Distance",
     .version = "3.2.0",
     .word = "distance",
     .world = R"(<geom name="ball" size=".1" pos="1 0 0"/>)",
     .sensor = R"(<distance geom1="g" geom2="ball" cutoff="2"/>)"},
};

std::array<int, 3> numbers(const std::string& version) {
  std::array<int, 3> n{};
  std::sscanf(version.c_str(), "%d.%d.%d", &n[0], &n[1], &n[2]);
  return n;
}

class NewerModels : public testing::TestWithParam<NewerModel> {
 protected:
  NewerModels() {
    write(scratch_.path() / "model.xml", GetParam().xml());
    write(scratch_.path() / "child.xml", R"(<mujoco><default><joint damping=".1"/></default><worldbody>
      <body name="link"><joint name="k" axis="0 1 0"/><geom size=".05" pos=".3 0 0"/></body></worldbody></mujoco>)");
  }
  [[nodiscard]] Outcome kedge(const std::vector<std::string>& arguments) const {
    return run(arguments, {.directory = scratch_.path()});
  }
  Scratch scratch_;
};

TEST_P(NewerModels, TrainOrAreRefusedWithAVersionThatWouldDo) {
  const std::string linked = versions().mujoco;
  const Outcome begun = kedge({"init", "model.xml", "--out", "task"});
  if (numbers(linked) < numbers(GetParam().version)) {
    EXPECT_EQ(begun.code, 2);
    EXPECT_EQ(begun.error_lines().size(), 1U) << begun.err;
    EXPECT_THAT(begun.err, HasSubstr("model.xml: MuJoCo " + linked + " refuses it: "));
    EXPECT_THAT(begun.err, HasSubstr(fmt::format("; MuJoCo {} knows {}\n", GetParam().version, GetParam().word)));
    return;
  }
  ASSERT_EQ(begun.code, 0) << begun.err;
  const Outcome valid = kedge({"validate", "task"});
  EXPECT_EQ(valid.code, 0) << valid.err;
  const Outcome trained = kedge({"train", "task", "--algorithm", "moto", "--set", "task.horizon=10", "--set",
                                 "rollouts=20", "--iterations", "1", "--out", "run"});
  EXPECT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(kedge({"evaluate", "run", "--rollouts", "2"}).code, 0);
}

/// The one of these models that is called so.
const NewerModel& model(const std::string& name) {
  return *std::ranges::find_if(kModels, [&](const NewerModel& m) { return m.name == name; });
}

TEST(ModelsWithDelays, HaveNoDerivativesAndSaySo) {
  if (numbers(versions().mujoco) < numbers(model("Delay").version)) GTEST_SKIP() << "MuJoCo " << versions().mujoco;
  const Scratch scratch;
  write(scratch.path() / "model.xml", model("Delay").xml());
  const auto kedge = [&](const std::vector<std::string>& arguments) {
    return run(arguments, {.directory = scratch.path()});
  };
  ASSERT_EQ(kedge({"init", "model.xml", "--out", "task"}).code, 0);
  const Outcome judged = kedge({"validate", "task"});
  EXPECT_THAT(judged.err, HasSubstr("the model has delays"));
  EXPECT_THAT(judged.out, testing::ContainsRegex("ilqr +refused: .*delays"));
  EXPECT_THAT(judged.out, testing::ContainsRegex("vgps +refused: .*delays"));
  EXPECT_THAT(judged.out, testing::ContainsRegex("gps +ready"));
  const Outcome o = kedge({"train", "task", "--algorithm", "ilqr", "--set", "task.horizon=5", "--out", "run"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("the model has delays: what is on its way is no part of the state, so a step has no "
                               "derivatives, but ilqr needs them"));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "run"));
}

INSTANTIATE_TEST_SUITE_P(All, NewerModels, testing::ValuesIn(kModels),
                         [](const auto& model) { return std::string(model.param.name); });

}  // namespace
}  // namespace kedge::test
