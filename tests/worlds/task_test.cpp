// The tasks of table tennis: what their settings do to the demonstration, and what their files may not say. And what worlds
// share with the model inside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kedge/core/errors.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/rollout/rollout.h"
#include "kedge/tasks/task_file.h"
#include "kedge/worlds/outcome.h"
#include "kedge/worlds/table_tennis.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

using testing::HasSubstr;

Task task(const std::string& name) { return load_task(test::source_dir() + "/tasks/" + name + "/task.toml").task; }

/// The share of legal returns of a task's demonstration, open loop, over 200 starts.
double legal(const std::string& name) {
  const Task of = task(name);
  const auto plan = [&](int n, System&) {
    return EpisodePlan{start_of_rollout(of, 7, 0, n),
                       [&](int t, VectorIn, VectorOut a) { a = of.demonstration->action.col(t); }};
  };
  const auto batch = run_episodes(of, 200, plan, Run{});
  return (batch->success.array() < of.success_limit()).cast<double>().mean();
}

TEST(TableTennisTasks, DifferInHowOftenTheDemonstrationReturns) {
  EXPECT_EQ(legal("table_tennis"), 1.0);
  EXPECT_EQ(legal("table_tennis_far"), 0.0);
  EXPECT_NEAR(legal("table_tennis_noisy"), 0.79, 0.09);  // three standard deviations
  EXPECT_NEAR(legal("table_tennis_varying"), 0.56, 0.11);
}

TEST(TableTennisTasks, ShowThePolicyTheJointsAndWhereTheBallIs) {
  for (const char* name : {"table_tennis", "table_tennis_far", "table_tennis_noisy", "table_tennis_varying"}) {
    const Task of = task(name);
    EXPECT_EQ(of.ds(), 21) << name;
    EXPECT_EQ(of.da(), 9) << name;
    EXPECT_EQ(of.nx(), 12 + 12 + 8) << name;
    for (const std::string& seen : of.observation_names) {
      EXPECT_THAT(seen, testing::Not(HasSubstr("qvel:ball")));
      EXPECT_THAT(seen, testing::Not(HasSubstr("world:")));
    }
  }
}

std::string complaint(const std::vector<Override>& overrides) {
  try {
    load_task(test::source_dir() + "/tasks/table_tennis/task.toml", overrides);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(TableTennisTasks, RefuseWhatDoesNotFit) {
  EXPECT_EQ(complaint({}), "");
  EXPECT_EQ(complaint({{"start.world.off_centre", "1.0"}, {"start.world_spread.bounce_noise", "[0.1, 0.1]"}}), "");
  EXPECT_THAT(complaint({{"world.kind", "\"tennis\""}}), HasSubstr("world.kind: \"tennis\" is not known"));
  EXPECT_THAT(complaint({{"world.goal", "[0]"}}), HasSubstr("world.goal"));
  EXPECT_THAT(complaint({{"world.goals", "[0, 0]"}}), HasSubstr("this key is unknown"));
  EXPECT_THAT(complaint({{"world.racket_restitution", "1.5"}}), HasSubstr("must be in [0, 1], but is 1.5"));
  EXPECT_THAT(complaint({{"world", "3"}}), HasSubstr("must be a table"));
  EXPECT_THAT(complaint({{"cost.landing.of", "\"sensor:landings\""}}), HasSubstr("no sensor \"landings\""));
  EXPECT_THAT(complaint({{"cost.landing.of", "\"world:noise\""}}), HasSubstr("no piece of the world \"noise\""));
  EXPECT_THAT(complaint({{"cost.landing.of", "\"after:qpos\""}}), HasSubstr("are for tasks without a [world]"));
  EXPECT_THAT(complaint({{"start.world.noise", "1.0"}}), HasSubstr("start.world.noise"));
  EXPECT_THAT(complaint({{"start.world_spread.bounces", "-1.0"}}), HasSubstr("start.world_spread.bounces"));
  EXPECT_THAT(complaint({{"demonstration.posture", "[0, 0]"}}), HasSubstr("demonstration.posture"));
  EXPECT_THAT(complaint({{"demonstration.hitting_plane", "5.0"}}), HasSubstr("\"player\": the ball does not bounce"));
  EXPECT_THAT(complaint({{"demonstration.flight", "0"}}), HasSubstr("demonstration.flight"));
}

TEST(Worlds, HoldWhatTheirModelHolds) {
  const std::vector<JointLimit> limits = {{1, 1, 1, -0.5, 0.5, 50.0, 5.0, -20.0, 20.0}};
  const LoadedModel links = load_mujoco_model(test::source_dir() + "/tasks/quad_link/quad_link.xml");
  const LoadedModel table = load_mujoco_model(test::source_dir() + "/tasks/table_tennis/table_tennis.xml");
  const OutcomeSystem outcome(links.model, 1, limits);
  const TableTennisSystem tennis(table.model, 10, {}, limits);
  const auto expect_held = [](const System& world, const MujocoSystem& inner) {
    const VectorXd x = VectorXd::Constant(world.nx(), 0.7), asked = VectorXd::Zero(world.nu());
    VectorXd held = asked, expected = asked;
    world.hold(x, held);
    inner.hold(x.head(inner.nx()), expected);
    EXPECT_NE(expected, asked);
    EXPECT_EQ(held, expected);
  };
  expect_held(outcome, outcome.mujoco());
  expect_held(tennis, tennis.mujoco());
}

TEST(TableTennisTasks, NeedTheirWorld) {
  const auto of_double_link = [](const std::vector<Override>& overrides) -> std::string {
    try {
      load_task(test::source_dir() + "/tasks/double_link/task.toml", overrides);
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(of_double_link({{"demonstration", "{ controller = \"player\", posture = 0, hitting_plane = 0 }"}}),
              HasSubstr("needs a [world] of the kind \"table_tennis\""));
  EXPECT_THAT(of_double_link({{"world", "{ kind = \"table_tennis\" }"}}), HasSubstr("needs a geom \"table\", a box"));
  EXPECT_THAT(of_double_link({{"start.world", "0"}}), HasSubstr("this key is unknown"));
}

}  // namespace
}  // namespace kedge
