#include "kedge/tasks/task_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/rollout/episode.h"
#include "task_texts.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr double infinity = std::numeric_limits<double>::infinity();

class TaskFileTest : public testing::Test {
 protected:
  TaskFileTest() { folder.write("arm.xml", kModel); }
  TaskFile load(const std::string& text, const std::vector<Override>& overrides = {}) {
    return load_task(folder.write("task.toml", text), overrides);
  }
  /// The task of kTask with one thing replaced.
  Task with(const std::string& from, const std::string& to) { return load(replaced(kTask, from, to)).task; }

  TemporaryFolder folder;
};

std::string active(const std::vector<char>& steps) {
  std::string text;
  for (const char on : steps) text += on ? '1' : '.';
  return text;
}

MATCHER_P(Numbers, expected, "") {
  const Eigen::VectorXd values = arg;
  *result_listener << values.transpose();
  return std::vector<double>(values.begin(), values.end()) == expected;
}
auto numbers(std::vector<double> values) { return Numbers(values); }

TEST_F(TaskFileTest, ReadsEveryKey) {
  const TaskFile file = load(kTask);
  const Task& task = file.task;
  EXPECT_EQ(task.name, "arm");
  EXPECT_EQ(task.summary, "every key once");
  EXPECT_EQ(task.horizon, 10);
  EXPECT_EQ(task.control_step, 0.05);
  EXPECT_EQ(dynamic_cast<const MujocoSystem&>(*task.system).substeps(), 2);
  EXPECT_EQ(task.nx(), 5);

  EXPECT_THAT(task.control_index, ElementsAre(1, 0));
  EXPECT_THAT(task.action_names, ElementsAre("twist", "push"));
  EXPECT_THAT(task.action_low, numbers({-1, -5}));
  EXPECT_THAT(task.action_high, numbers({2, 5}));

  EXPECT_THAT(task.observation, ElementsAre(2, 3, 1, 4));
  EXPECT_THAT(task.observation_names, ElementsAre("qvel:rail", "qvel:hinge", "qpos:hinge", "act:twist"));

  EXPECT_EQ(task.start.kind, StartDistribution::Kind::uniform);
  EXPECT_THAT(task.start.mean, numbers({0.5, 3.0, 0.25, 0.25, 0.125}));
  EXPECT_THAT(task.start.spread, numbers({0, 0.1, 0.2, 0.2, 0}));

  ASSERT_EQ(task.cost.size(), 3u);
  const CostTerm& effort = task.cost[0];
  EXPECT_EQ(effort.name, "effort");
  EXPECT_EQ(effort.residual.source, Source::action);
  EXPECT_THAT(effort.residual.index, ElementsAre(0, 1));
  EXPECT_TRUE(effort.residual.needs_action);
  EXPECT_THAT(effort.residual.target, numbers({0, 0}));
  EXPECT_THAT(effort.weight, numbers({1, 2}));
  EXPECT_EQ(effort.norm, Norm::quadratic);
  EXPECT_EQ(active(effort.active), "1111111111.");

  const CostTerm& height = task.cost[1];
  EXPECT_EQ(height.residual.source, Source::sensor);
  EXPECT_THAT(height.residual.index, ElementsAre(0, 1, 2));
  EXPECT_FALSE(height.residual.needs_action);
  EXPECT_THAT(height.residual.matrix.reshaped(), numbers({0, 0, 1}));
  EXPECT_THAT(height.residual.target, numbers({1}));
  EXPECT_THAT(height.weight, numbers({3}));
  EXPECT_EQ(height.norm, Norm::smooth);
  EXPECT_EQ(height.width, 0.5);
  EXPECT_EQ(active(height.active), ".......1111");

  const CostTerm& still = task.cost[2];
  EXPECT_EQ(still.residual.source, Source::state);
  EXPECT_THAT(still.residual.index, ElementsAre(2, 3, 0));
  EXPECT_THAT(still.residual.target, numbers({0, 0, 1}));
  EXPECT_THAT(still.weight, numbers({1, 1, 1}));
  EXPECT_EQ(still.norm, Norm::absolute);
  EXPECT_EQ(active(still.active), "11..1......");

  ASSERT_EQ(task.success.size(), 1u);
  EXPECT_EQ(task.success[0].statistic, Success::Statistic::max_abs);
  EXPECT_EQ(task.success[0].below, 0.2);
  EXPECT_EQ(task.success[0].text, "tip up");
  EXPECT_EQ(active(task.success[0].active), "..........1");

  EXPECT_THAT(file.model_path, EndsWith("/arm.xml"));
  EXPECT_THAT(file.files, ElementsAre(file.model_path));
  EXPECT_THAT(file.warnings, IsEmpty());
}

TEST_F(TaskFileTest, HasDefaultsForTheOptionalKeys) {
  const TaskFile file =
      load("kedge = 1\nmodel = \"arm.xml\"\nhorizon = 4\ncontrol_step = 0.05\n[[cost]]\nname = \"c\"\nof = \"qpos\"\n");
  const Task& task = file.task;
  EXPECT_EQ(dynamic_cast<const MujocoSystem&>(*task.system).substeps(), 5);  // 0.05 s of 0.01 s
  EXPECT_THAT(task.action_names, ElementsAre("push", "twist"));
  EXPECT_THAT(task.action_low, numbers({-infinity, -3}));
  EXPECT_THAT(task.action_high, numbers({infinity, 2}));
  EXPECT_THAT(task.observation, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(task.start.kind, StartDistribution::Kind::gaussian);
  EXPECT_THAT(task.start.mean, numbers({0, 0, 0, 0, 0}));
  EXPECT_THAT(task.start.spread, numbers({0, 0, 0, 0, 0}));
  EXPECT_THAT(task.cost[0].weight, numbers({1, 1}));
  EXPECT_EQ(active(task.cost[0].active), "1111.");
  EXPECT_THAT(task.success, IsEmpty());
}

TEST_F(TaskFileTest, SubstepsSetTheModelsTimeStep) {
  // One control step covers the same time, whatever the number of sub-steps: a coasting cart goes equally far.
  for (const std::string substeps : {"1", "4", "50"}) {
    const Task task = with("substeps = 2", "substeps = " + substeps);
    const auto system = task.system->clone();
    VectorXd x = VectorXd::Zero(5);
    x[2] = 2.0;
    system->reset(x);
    ASSERT_TRUE(system->step(VectorXd::Zero(2)));
    system->state(x);
    EXPECT_NEAR(x[0], 0.1, 1e-12);
  }
}

TEST_F(TaskFileTest, LimitsAreNumbersPairsOrTables) {
  const std::string given = "limit = [[-1.0, 2.0], 5]";
  EXPECT_THAT(with(given, "limit = 2").action_high, numbers({2, 2}));
  EXPECT_THAT(with(given, "limit = [2, 7]").action_low, numbers({-2, -7}));
  EXPECT_THAT(with(given, "limit = { push = [-inf, 4] }").action_low, numbers({-3, -infinity}));
  EXPECT_THAT(with(given, "limit = { push = [-inf, 4] }").action_high, numbers({2, 4}));
  EXPECT_THAT(with(given, "").action_high, numbers({2, infinity}));
}

/// What a run keeps of its task has every default, and can still be changed by name, as the task itself.
TEST_F(TaskFileTest, StartsAndLimitsOfAResolvedTaskKeepTheirNames) {
  const std::string text = resolved_text(load(kTask));
  const Task before = load(text).task;
  const Task task = load(text, {{"start.qpos.hinge", "0.25"},
                                {"start.qvel_spread.rail", "0.5"},
                                {"start.act.twist", "0.125"},
                                {"actions.limit.push", "[-1, 3]"}})
                        .task;
  VectorXd mean = before.start.mean, spread = before.start.spread;
  mean[1] = 0.25, mean[4] = 0.125, spread[2] = 0.5;
  EXPECT_EQ(task.start.mean, mean);
  EXPECT_EQ(task.start.spread, spread);
  EXPECT_THAT(task.action_low, numbers({before.action_low[0], -1}));
  EXPECT_THAT(task.action_high, numbers({before.action_high[0], 3}));
}

TEST_F(TaskFileTest, StepsAreNamedInManyWays) {
  const auto steps = [&](const std::string& text) {
    return active(with(R"(steps = ["0..1", 4])", "steps = " + text).cost[2].active);
  };
  EXPECT_EQ(steps("\"all\""), "1111111111.");
  EXPECT_EQ(steps("\"final\""), "..........1");
  EXPECT_EQ(steps("[\"all\", \"final\"]"), "11111111111");
  EXPECT_EQ(steps("\"first 1\""), "1..........");
  EXPECT_EQ(steps("\"first 10\""), "1111111111.");
  EXPECT_EQ(steps("\"last 1\""), ".........1.");
  EXPECT_EQ(steps("\"last 10\""), "1111111111.");
  EXPECT_EQ(steps("\"3..3\""), "...1.......");
  EXPECT_EQ(steps("\"3..9\""), "...1111111.");
  EXPECT_EQ(steps("0"), "1..........");
  EXPECT_EQ(steps("9"), ".........1.");
  EXPECT_EQ(steps("[1, 3, \"2..3\"]"), ".111.......");
}

TEST_F(TaskFileTest, QuantitiesAreNamedByTheModel) {
  const auto of = [&](const std::string& text) {
    return with("of = [\"qvel\", \"qpos:rail\"]\ntarget = [0, 0, 1]", "of = " + text).cost[2].residual;
  };
  EXPECT_THAT(of("\"qpos:hinge\"").index, ElementsAre(1));
  EXPECT_THAT(of("[\"act\", \"qvel:rail\"]").index, ElementsAre(4, 2));
  EXPECT_THAT(of("\"act:twist\"").index, ElementsAre(4));
  EXPECT_THAT(of("\"action:push\"").index, ElementsAre(1));  // second of the actions
  EXPECT_EQ(of("\"action:push\"").source, Source::action);
  EXPECT_THAT(of("\"ctrl:push\"").index, ElementsAre(0));  // first of the model's controls
  EXPECT_THAT(of("\"ctrl\"").index, ElementsAre(1, 0));
  EXPECT_EQ(of("\"ctrl\"").source, Source::control);
  EXPECT_TRUE(of("\"ctrl\"").needs_action);
  EXPECT_THAT(of("[\"sensor:spin\", \"sensor:tip\"]").index, ElementsAre(3, 0, 1, 2));
  EXPECT_FALSE(of("\"sensor:spin\"").needs_action);
  EXPECT_TRUE(of("\"sensor:force\"").needs_action);
  EXPECT_THAT(of("\"sensor:force\"").index, ElementsAre(4));
}

TEST_F(TaskFileTest, ObjectsWithoutANameGoByTheirNumber) {
  folder.write("arm.xml", R"(<mujoco><worldbody><body><joint type="slide"/><joint name="b" type="slide" axis="1 0 0"/>
    <geom size="0.1"/></body></worldbody><actuator><motor joint="b"/></actuator><sensor><clock/></sensor></mujoco>)");
  const TaskFile file = load(
      "kedge = 1\nmodel = \"arm.xml\"\nhorizon = 2\ncontrol_step = 0.02\nsubsteps = 1\n[actions]\n"
      "actuators = \"0\"\n[[cost]]\nname = \"c\"\nof = \"qpos:0\"\n[[cost]]\nname = \"d\"\nof = \"sensor:0\"\n");
  EXPECT_THAT(file.task.action_names, ElementsAre("0"));
  EXPECT_THAT(file.task.cost[0].residual.index, ElementsAre(0));
}

TEST_F(TaskFileTest, FreeJointsStartAtTheirPoseAndSpreadTheirVelocity) {
  folder.write("arm.xml", R"(<mujoco><worldbody><body pos="1 2 3"><freejoint name="f"/><geom size="0.1"/></body>
    <body><joint name="h"/><geom size="0.1"/></body></worldbody><actuator><motor joint="h"/></actuator></mujoco>)");
  const std::string text =
      "kedge = 1\nmodel = \"arm.xml\"\nhorizon = 2\ncontrol_step = 0.02\nsubsteps = 1\n[[cost]]\nname = \"c\"\n"
      "of = \"qpos:f\"\n[start]\nqvel_spread = 0.5\nqpos_spread = { f = [1, 1, 0, 0, 0, 0, 0] }\n";
  const Task task = load(text).task;
  EXPECT_THAT(task.start.mean, numbers({1, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_THAT(task.start.spread.head(8), numbers({1, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(task.observation_names[3], "qpos:f[3]");
  EXPECT_THAT([&] { load(replaced(text, "qpos_spread = { f = [1, 1, 0, 0, 0, 0, 0] }", "qpos_spread = 0.1")); },
              testing::ThrowsMessage<InputError>(HasSubstr("quaternion")));
  EXPECT_THAT([&] { load(text + "qpos = { f = [0, 0, 0, 1, 1, 0, 0] }\n"); },
              testing::ThrowsMessage<InputError>(HasSubstr("norm 1, but has 1.41")));
}

// ---- places of the model that no sensor shows ------------------------------------------------------------------------

/// A ball that floats, with a site beside its middle, and the arm's cart.
const char* const kFloating = R"(<mujoco><worldbody>
  <body name="ball" pos="1 2 3"><freejoint name="f"/><geom size="0.1" mass="2"/><site name="ear" pos="0.5 0 0"/></body>
  <body name="cart" pos="0 0 1"><joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/></body>
  </worldbody><actuator><motor joint="rail" name="push"/></actuator></mujoco>)";

const std::string kFloatingTask =
    "kedge = 1\nmodel = \"arm.xml\"\nhorizon = 5\ncontrol_step = 0.02\n"
    "[start]\nqvel = { f = [0.1, 0.2, 0.3, 1, -2, 0.5] }\n";

/// The values of a cost's residual along a rollout without action. @return [n, T + 1]
MatrixXd residuals(const Task& task, std::size_t cost) {
  const Residual& spec = task.cost[cost].residual;
  const auto system = task.system->clone();
  const VectorXd u = VectorXd::Zero(system->nu()), a = VectorXd::Zero(task.da());
  VectorXd x(task.nx()), y(system->nsensor()), r(spec.target.size());
  MatrixXd all(spec.target.size(), task.horizon + 1);
  system->reset(task.start.mean);
  for (int t = 0; t <= task.horizon; ++t) {
    system->state(x);
    if (t < task.horizon)
      EXPECT_TRUE(system->step(u));
    else
      system->settle();
    system->sensors(y);
    residual(spec, x, a, u, y, r);
    all.col(t) = r;
  }
  return all;
}

TEST_F(TaskFileTest, SitesAreWhatASensorWouldShow) {
  const Task by_sensor = load(kTask).task;
  const TaskFile file = load(replaced(kTask, "of = \"sensor:tip\"", "of = \"site:tip\""));
  EXPECT_EQ(residuals(by_sensor, 1), residuals(file.task, 1)) << "bit for bit, with RK4 and substeps";
  EXPECT_EQ(file.task.system->nsensor(), by_sensor.system->nsensor() + 3);
  EXPECT_THAT(file.model_with_sensors, HasSubstr("kedge:site:tip"));
  EXPECT_TRUE(load(kTask).model_with_sensors.empty());
  EXPECT_EQ(file.model_files->front().bytes, load(kTask).model_files->front().bytes) << "a run keeps the user's model";
  EXPECT_EQ(load(resolved_text(file)).digest, file.digest);
  EXPECT_NE(file.digest, load(kTask).digest);
  EXPECT_EQ(residual_text(file.task.cost[1].residual), "site:tip[2] - 1");
}

TEST_F(TaskFileTest, PlacesVelocitiesAndAttitudesAreThoseOfTheBody) {
  folder.write("arm.xml", kFloating);
  std::string text = kFloatingTask;
  const char* const words[] = {"\"body:ball\"", "\"qpos:f[0..2]\"",    "\"body_quat:ball\"",       "\"qpos:f[3..6]\"",
                               "\"com\"",       "\"site:ear\"",        "\"body_vel:ball\"",        "\"qvel:f[0..2]\"",
                               "\"com:ball\"",  "\"com_vel:cart[x]\"", "\"site:ear - body:cart\"", "\"qpos:f[z]\""};
  int number = 0;
  for (const char* word : words) text += fmt::format("[[cost]]\nname = \"c{}\"\nof = {}\n", number++, word);
  text = replaced(text, "of = \"qpos:f[3..6]\"\n", "of = \"qpos:f[3..6]\"\nattitude = true\ntarget = [1, 0, 0, 0]\n");
  const Task task = load(text).task;
  const auto r = [&](std::size_t i) { return residuals(task, i); };
  const auto near = [](const MatrixXd& a, const MatrixXd& b) { return a.rows() == b.rows() && (a - b).norm() < 1e-12; };
  EXPECT_TRUE(near(r(0), r(1))) << "the frame of the body is that of its free joint";
  EXPECT_TRUE(task.cost[2].residual.quaternion) << "of one attitude by itself";
  EXPECT_TRUE(near(r(2), r(3)));
  EXPECT_GT(r(2).col(5).norm(), 0.01) << "it turns";
  EXPECT_TRUE(near(r(4), (2.0 * r(0) + residuals(load(replaced(text, "\"com\"", "\"body:cart\"")).task, 4)) / 3.0))
      << "masses 2 and 1";
  EXPECT_NEAR((r(5) - r(0)).col(3).norm(), 0.5, 1e-12) << "the site is half a metre off";
  EXPECT_TRUE(near(r(6), r(7)));
  EXPECT_TRUE(near(r(8), r(0)));
  EXPECT_TRUE(near(r(9), MatrixXd::Zero(1, 6)));
  MatrixXd apart = r(5);
  apart.row(2).array() -= 1.0;  // the cart stands at z = 1
  EXPECT_TRUE(near(r(10), apart));
  EXPECT_TRUE(near(r(11), r(0).row(2)));
  EXPECT_EQ(residual_text(task.cost[10].residual), "site:ear - body:cart");
  Residual residual = task.cost[10].residual;
  residual.target << 0.5, 0.0, -2.0;
  EXPECT_EQ(residual_text(residual), "site:ear - body:cart - (0.5, 0, -2)");
  // Names of anything less than all of the positions stand for themselves.
  std::swap(residual.names[0], residual.names[1]);
  EXPECT_THAT(residual_text(residual), testing::StartsWith("site:ear[1] - body:cart"));
  residual = task.cost[10].residual;
  residual.names[0] = "site:ear[0]b";
  EXPECT_THAT(residual_text(residual), HasSubstr("site:ear[0]b"));
  residual.names[0] = "qpos:ear[0]";
  EXPECT_THAT(residual_text(residual), HasSubstr("qpos:ear[0]"));
}

TEST_F(TaskFileTest, NamesMayHaveWhatSeparatesWords) {
  std::string model = kFloating;
  model = replaced(model, "name=\"ear\"", "name=\"ear[1]\"");
  model =
      replaced(model, "</worldbody>",
               "</worldbody><sensor><framepos name=\"left - right\" objtype=\"site\" objname=\"ear[1]\"/></sensor>");
  folder.write("arm.xml", model);
  const std::string cost = "[[cost]]\nname = \"c\"\nof = ";
  const auto text_of = [&](const std::string& of) {
    return residual_text(load(kFloatingTask + cost + of + "\n").task.cost.back().residual);
  };
  EXPECT_EQ(text_of("\"site:ear[1]\""), "site:ear[1][0], site:ear[1][1], site:ear[1][2]");
  EXPECT_EQ(text_of("\"site:ear[1][z]\""), "site:ear[1][2]");
  EXPECT_EQ(text_of("\"sensor:left - right[0]\""), "sensor:left - right[0]");
}

TEST_F(TaskFileTest, DifferencesCombineWithAMatrix) {
  folder.write("arm.xml", kFloating);
  const Task task = load(kFloatingTask +
                         "[[cost]]\nname = \"c\"\nof = [\"body:ball - body:cart\", \"body:cart[x]\"]\n"
                         "matrix = [[1, 0, 0, 10]]\ntarget = 0.25\n")
                        .task;
  EXPECT_THAT(task.cost[0].residual.matrix.reshaped(), numbers({1, 0, 0, 9, 0, 0}));
  EXPECT_NEAR(residuals(task, 0)(0, 0), 1.0 - 0.25, 1e-12);
}

// ---- what a control step leads to ------------------------------------------------------------------------------------

TEST_F(TaskFileTest, AfterIsTheQuantityAtTheNextState) {
  folder.write("arm.xml", replaced(kFloating, "</worldbody>",
                                   "</worldbody><sensor><framelinvel name=\"fly\" objtype=\"body\" "
                                   "objname=\"ball\"/></sensor>"));
  const char* const words[] = {"qpos",          "qvel:f[3..5]", "site:ear", "sensor:fly", "com_vel - body_vel:cart",
                               "body_quat:ball"};
  std::string text = kFloatingTask, later = kFloatingTask;
  for (int i = 0; i < 6; ++i) {
    const std::string word = words[i];
    text += fmt::format("[[cost]]\nname = \"c{}\"\nof = \"{}\"\n", i, word);
    const auto minus = word.find(" - ");
    const std::string after = minus == std::string::npos
                                  ? "after:" + word
                                  : fmt::format("after:{} - after:{}", word.substr(0, minus), word.substr(minus + 3));
    later += fmt::format("[[cost]]\nname = \"c{}\"\nof = \"{}\"\n", i, after);
  }
  const TaskFile file = load(later);
  const Task now = load(text).task, &then = file.task;
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(residuals(then, i).leftCols(5), residuals(now, i).rightCols(5)) << words[i] << ", bit for bit";
    EXPECT_TRUE(then.cost[i].residual.needs_action);
    EXPECT_EQ(then.cost[i].residual.quaternion, now.cost[i].residual.quaternion);
    EXPECT_EQ(active(then.cost[i].active), "11111.") << "the final state leads nowhere";
  }
  EXPECT_EQ(residual_text(then.cost[1].residual), "after:qvel:f[3], after:qvel:f[4], after:qvel:f[5]");
  EXPECT_EQ(load(resolved_text(file)).digest, file.digest);
  EXPECT_EQ(then.system->ndx(), now.system->ndx());
  EXPECT_EQ(then.system->drives().size(), 1u);
}

TEST_F(TaskFileTest, ChangeIsTheNextPositionLessThisOne) {
  folder.write("arm.xml", kFloating);
  const Task task = load(kFloatingTask +
                         "[[cost]]\nname = \"x\"\nof = \"qpos\"\n[[cost]]\nname = \"d\"\nof = \"change:qpos\"\n"
                         "[[cost]]\nname = \"turn\"\nof = \"change:qpos:f[3..5]\"\n"
                         "[[cost]]\nname = \"rail\"\nof = \"change:qpos:rail\"\ntarget = 0.5\n")
                        .task;
  const MatrixXd q = residuals(task, 0), d = residuals(task, 1);
  ASSERT_EQ(d.rows(), 7) << "the quaternion's change has three entries";
  VectorXd x = VectorXd::Zero(task.nx()), next = x, dx(task.system->ndx());
  for (int t = 0; t < 5; ++t) {
    x.head(8) = q.col(t);
    next.head(8) = q.col(t + 1);
    task.system->difference(x, next, dx);
    EXPECT_EQ(d.col(t), dx.head(7));
    EXPECT_EQ(d.col(t).head(3), (q.col(t + 1) - q.col(t)).head(3));
  }
  EXPECT_GT(d.middleRows(3, 3).norm(), 0.01) << "it turns";
  EXPECT_EQ(residuals(task, 2).leftCols(5), d.middleRows(3, 3).leftCols(5));
  EXPECT_EQ(residuals(task, 3)(0, 2), d(6, 2) - 0.5);
  EXPECT_EQ(residual_text(task.cost[3].residual), "change:qpos:rail - 0.5");
  EXPECT_EQ(d.col(5), VectorXd::Zero(7)) << "nothing follows the final state";
}

TEST_F(TaskFileTest, TheOutcomeOfAStepDoesNotDisturbTheSimulation) {
  const Task plain = load(kTask).task;
  const Task task = load(replaced(kTask, "of = \"action\"\nweight = [1.0, 2.0]", "of = \"after:sensor:tip\"")).task;
  EXPECT_EQ(residuals(task, 2), residuals(plain, 2));
  EXPECT_EQ(residuals(task, 1), residuals(plain, 1)) << "the sensors of this state are still those";
  const auto one = task.system->clone(), other = task.system->clone();
  const VectorXd u = VectorXd::Constant(2, 0.3);
  VectorXd x(task.nx()), next(task.nx()), again(task.nx());
  one->reset(task.start.mean);
  ASSERT_TRUE(one->step(u));
  one->state(x);
  other->reset(x);
  ASSERT_TRUE(one->step(u) && other->step(u));
  one->state(next);
  other->state(again);
  EXPECT_EQ(next, again) << "a simulation that arrived continues like one that was reset";
}

TEST_F(TaskFileTest, ThePolicySeesSensorsAndPlaces) {
  const TaskFile file = load(replaced(kTask, "\"act\"]", "\"act\", \"site_vel:tip[x]\", \"sensor:spin\"]"));
  const Task& task = file.task;
  EXPECT_THAT(task.observation, ElementsAre(2, 3, 1, 4, 5 + 5, 5 + 3));
  EXPECT_EQ(task.observation_names[4], "site_vel:tip[0]");
  const MatrixXd s = observations(task, task.start.mean);
  EXPECT_EQ(s(5, 0), 0.25) << "the joint's velocity";
  EXPECT_NEAR(s(4, 0), 0.25 + 0.25 * std::cos(3.0), 1e-12) << "rail and pole of 1 m";
  EXPECT_EQ(load(resolved_text(file)).task.observation, task.observation);
}

TEST_F(TaskFileTest, EpisodesCanEndEarly) {
  const std::string text =
      replaced(kTask, "[success]",
               "[goal]\nhigh = 1.0\n[[termination]]\nname = \"fell\"\nof = \"site:tip[z]\"\n"
               "target = \"goal:high\"\nrange = [-2.5, inf]\ncost = 3\nmissing_step = 0.5\n[success]");
  const TaskFile file = load(text);
  ASSERT_EQ(file.task.termination.size(), 1u);
  const Termination& end = file.task.termination[0];
  EXPECT_EQ(end.name, "fell");
  EXPECT_THAT(end.low, numbers({-2.5}));
  EXPECT_THAT(end.high, numbers({std::numeric_limits<double>::infinity()}));
  EXPECT_THAT(end.residual.target, numbers({1}));
  EXPECT_EQ(end.cost, 3.0);
  EXPECT_EQ(end.missing_step, 0.5);
  const TaskFile again = load(resolved_text(file));
  EXPECT_EQ(again.digest, file.digest);
  EXPECT_THAT(load(resolved_text(file), {{"goal.high", "0.5"}}).task.termination[0].residual.target, numbers({0.5}));
  EXPECT_EQ(load(text, {{"termination.fell.cost", "7"}}).task.termination[0].cost, 7.0);
}

TEST_F(TaskFileTest, PlacesNeedAModelToWhichSensorsCanBeAdded) {
  folder.write("arm.xml",
               replaced(kModel, "integrator=\"RK4\"/>", "integrator=\"RK4\"><flag sensor=\"disable\"/></option>"));
  EXPECT_THAT([&] { load(replaced(kTask, "\"sensor:tip\"", "\"site:tip\"")); },
              testing::ThrowsMessage<InputError>(HasSubstr("the model disables its sensors")));
}

// ---- overrides -------------------------------------------------------------------------------------------------------

TEST_F(TaskFileTest, TheContextIsEntriesOfTheInitialState) {
  EXPECT_THAT(load(kTask).task.context, IsEmpty());
  const std::string text = replaced(kTask, "[start]", "[context]\nparts = [\"qvel\", \"qpos:rail\"]\n\n[start]");
  const TaskFile file = load(text);
  EXPECT_THAT(file.task.context, ElementsAre(2, 3, 0));
  EXPECT_EQ(load(resolved_text(file)).task.context, file.task.context);
  EXPECT_NE(file.digest, load(kTask).digest);
  EXPECT_THROW(load(replaced(kTask, "[start]", "[context]\n[start]")), InputError);
  EXPECT_THROW(load(replaced(kTask, "[start]", "[context]\nparts = [\"sensor:tip\"]\n[start]")), InputError);
}

TEST_F(TaskFileTest, OverridesChangeTheTask) {
  const auto set = [&](const std::string& key, const std::string& value) { return load(kTask, {{key, value}}).task; };
  EXPECT_EQ(set("horizon", "7").horizon, 7);
  EXPECT_THAT(set("actions.limit", "[1, 2]").action_high, numbers({1, 2}));
  EXPECT_EQ(set("start.distribution", "gaussian").start.kind, StartDistribution::Kind::gaussian);
  EXPECT_EQ(set("start.distribution", "\"gaussian\"").start.kind, StartDistribution::Kind::gaussian);
  EXPECT_EQ(active(set("cost.height.steps", "last 2").cost[1].active), "........11.");
  EXPECT_EQ(active(set("cost.height.steps", "2..4").cost[1].active), "..111......");
  EXPECT_THAT(set("cost.effort.weight", "9").cost[0].weight, numbers({9, 9}));
  EXPECT_THAT(set("cost.0.weight", "[8, 9]").cost[0].weight, numbers({8, 9}));
  EXPECT_THAT(set("start.qpos_spread.rail", "0.5").start.spread.head(2), numbers({0.5, 0.1}));
  EXPECT_EQ(set("success.below", "1e-3").success[0].below, 1e-3);

  // Later ones win, and tables that the file does not have are made.
  const std::string bare =
      "kedge = 1\nmodel = \"arm.xml\"\nhorizon = 4\ncontrol_step = 0.05\n[[cost]]\nname = \"c\"\nof = \"qpos\"\n";
  EXPECT_EQ(load(bare, {{"horizon", "5"}, {"horizon", "6"}}).task.horizon, 6);
  EXPECT_THAT(load(bare, {{"actions.limit.push", "3"}}).task.action_high, numbers({3, 2}));
}

// ---- what identifies a task --------------------------------------------------------------------------------------------

TEST_F(TaskFileTest, TheResolvedTextIsTheSameTask) {
  for (const std::string& text :
       {kTask, std::string("kedge = 1\nmodel = \"arm.xml\"\nhorizon = 4\ncontrol_step = 0.1\n[[cost]]\n"
                           "name = \"c\"\nof = \"qpos\"\nweight = 0.1\n")}) {
    const TaskFile first = load(text);
    const TemporaryFolder elsewhere;
    const TaskFile second = load_task(elsewhere.write("other.toml", resolved_text(first)));
    EXPECT_EQ(resolved_text(first), resolved_text(second));
    EXPECT_EQ(first.digest, second.digest);
    EXPECT_EQ(first.task.start.mean, second.task.start.mean);
    EXPECT_EQ(first.task.action_low, second.task.action_low);
    EXPECT_EQ(first.task.cost.back().weight, second.task.cost.back().weight);
  }
}

TEST_F(TaskFileTest, DigestChangesWithTheTaskOnly) {
  const std::string digest = load(kTask).digest;
  EXPECT_THAT(digest, testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(load(kTask).digest, digest);

  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"horizon = 10", "horizon = 11"},
                                                        {"0.05", "0.06"},
                                                        {"substeps = 2", "substeps = 3"},
                                                        {"[-1.0, 2.0]", "[-1.0, 1.9]"},
                                                        {"\"act\"]", "\"act\", \"qpos:rail\"]"},
                                                        {"uniform", "gaussian"},
                                                        {"hinge = 0.1", "hinge = 0.2"},
                                                        {"weight = 3.0", "weight = 3.0000000000000004"},
                                                        {"last 3", "last 4"},
                                                        {"below = 0.2", "below = 0.3"}})
    EXPECT_NE(load(replaced(kTask, from, to)).digest, digest) << from;
  EXPECT_NE(load(kTask, {{"actions.limit", "[[-1, 2], 6]"}}).digest, digest);

  // Comments, layout, the name, texts and defaults that are written out do not matter.
  EXPECT_EQ(load("# comment\n" + kTask).digest, digest);
  EXPECT_EQ(load(replaced(replaced(kTask, "every key once", "other"), "\"tip up\"", "\"tip is up\"")).digest, digest);
  EXPECT_EQ(
      load(replaced(kTask, "of = \"action\"", "of = \"action\"\nsteps = \"all\"\ntarget = 0\nnorm = \"quadratic\""))
          .digest,
      digest);

  const TemporaryFolder elsewhere;
  elsewhere.write("arm.xml", kModel);
  EXPECT_EQ(load_task(elsewhere.write("arm.toml", kTask)).digest, digest);

  folder.write("arm.xml", replaced(kModel, "gear=\"2\"", "gear=\"3\""));
  EXPECT_NE(load(kTask).digest, digest);
}

TEST_F(TaskFileTest, TheModelsFilesAreFoundAndEnterTheDigest) {
  const std::string mesh = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n";
  folder.write("parts/meshes/rock.obj", mesh);
  folder.write("parts/assets.xml", R"(<mujoco><asset><mesh name="rock" file='rock.obj'/></asset></mujoco>)");
  folder.write(
      "arm.xml",
      replaced(replaced(kModel, "<worldbody>",
                        "<compiler meshdir=\"parts/meshes\"/>\n<include file = \"parts/assets.xml\"/>\n<worldbody>"),
               "<geom size=\"0.1\"", "<geom type=\"mesh\" mesh=\"rock\""));
  const TaskFile file = load(kTask);
  EXPECT_THAT(file.files,
              ElementsAre(EndsWith("/arm.xml"), EndsWith("/parts/assets.xml"), EndsWith("/parts/meshes/rock.obj")));
  folder.write("parts/meshes/rock.obj", replaced(mesh, "v 1 0 0", "v 2 0 0"));
  EXPECT_NE(load(kTask).digest, file.digest);
}

TEST_F(TaskFileTest, FilesOutsideOfTheModelsFolderNeedTheKeyModelFolder) {
  folder.write("robot/arm.xml", replaced(kModel, "<worldbody>", "<include file=\"../parts.xml\"/><worldbody>"));
  folder.write("parts.xml", "<mujoco><custom><numeric name=\"n\" data=\"1\"/></custom></mujoco>");
  const std::string text = replaced(kTask, "arm.xml", "robot/arm.xml");
  const auto complaint = [&](const std::string& key) -> std::string {
    try {
      load(replaced(text, "horizon = 10", key + "\nhorizon = 10"));
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  };
  const std::string place = folder.path("task.toml") + ":4:9: model: " + folder.path("robot/arm.xml") +
                            ":4: include \"../parts.xml\": " + folder.path("parts.xml") + ": is outside of ";
  EXPECT_THAT(complaint(""), StartsWith(place));
  EXPECT_THAT(complaint(""), HasSubstr("the key model_folder of a task file allows more: model_folder = "));
  EXPECT_THAT(complaint("model_folder = \"robot\""), StartsWith(place));
  EXPECT_THAT(complaint("model_folder = \"absent\""), HasSubstr(":5:16: model_folder: there is no folder /"));
  EXPECT_THAT(complaint("model_folder = 3"), HasSubstr(":5:16: model_folder: must be a text in quotes"));
  EXPECT_EQ(complaint("model_folder = \".\""), "");
  const TaskFile allowed = load(replaced(text, "horizon = 10", "model_folder = \".\"\nhorizon = 10"));
  EXPECT_THAT(allowed.warnings, ElementsAre("files from outside of the model's folder go into runs and pages: " +
                                            folder.path("parts.xml")));
  const TemporaryFolder elsewhere;
  const TaskFile again = load_task(elsewhere.write("other.toml", resolved_text(allowed)));
  EXPECT_EQ(resolved_text(again), resolved_text(allowed));
  EXPECT_EQ(again.digest, allowed.digest);
  EXPECT_EQ(load(text, {{"model_folder", folder.path("")}}).digest, allowed.digest) << "places do not change the task";
}

// ---- what is bundled ---------------------------------------------------------------------------------------------------

TEST(BundledTasks, LoadAndAreComplete) {
  int count = 0;
  for (const std::string folder : {"/tasks", "/examples"})
    for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() + folder)) {
      const auto file = entry.path() / "task.toml";
      if (!std::filesystem::exists(file)) continue;
      const TaskFile loaded = load_task(file.string());
      EXPECT_EQ(loaded.task.name, entry.path().filename());
      EXPECT_NE(loaded.task.summary, "");
      EXPECT_FALSE(loaded.task.success.empty());
      EXPECT_THAT(loaded.warnings, IsEmpty());
      ++count;
    }
  EXPECT_GE(count, 1);
}

TEST(BundledTasks, DoubleLinkIsTheSwingUpOfThePaper) {
  const Task task = load_task(test::source_dir() + "/tasks/double_link/task.toml").task;
  EXPECT_EQ(task.horizon, 100);
  EXPECT_EQ(task.control_step, 0.05);
  EXPECT_EQ(task.ds(), 4);
  EXPECT_EQ(task.da(), 2);
  EXPECT_THAT(task.action_high, numbers({25, 25}));
  // What hanging still costs: 20 steps of 1e4 pi^2.
  const auto system = task.system->clone();
  system->reset(task.start.mean);
  double cost = 0.0;
  VectorXd x(4);
  const VectorXd zero = VectorXd::Zero(2);
  for (int t = 0; t <= task.horizon; ++t) {
    system->state(x);
    for (const CostTerm& term : task.cost)
      if (term.active[static_cast<std::size_t>(t)]) cost += term_value(term, x, zero, zero, VectorXd());
    if (t < task.horizon) {
      ASSERT_TRUE(system->step(zero));
    }
  }
  EXPECT_NEAR(cost, 20 * 1e4 * 3.141592653589793 * 3.141592653589793, 1.0);
  // Success looks at the links' angles against upright, not at the joints'.
  VectorXd r(2);
  residual(task.success[0].residual, Eigen::Vector4d(0.5, -0.5, 0, 0), zero, zero, VectorXd(), r);
  EXPECT_THAT(r, numbers({0.5, 0.0}));
}

}  // namespace
}  // namespace kedge
