// Policies and trajectories that learning starts from: matched by name, or refused.
#include "kedge/run/origin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kedge/core/errors.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/rollout/rollout.h"
#include "kedge/system/linear_system.h"
#include "tests/support/numbers.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr int T = 5;

/// Three observations x, v, w and two actions push, twist.
Task named_task() {
  Task task;
  task.name = "named";
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(3, 3), MatrixXd::Ones(3, 2));
  task.horizon = T;
  task.control_step = 0.1;
  task.observation = {0, 1, 2};
  task.observation_names = {"x", "v", "w"};
  task.control_index = {0, 1};
  task.action_names = {"push", "twist"};
  task.action_low = vec({-1, -2});
  task.action_high = vec({1, 4});
  task.start = {StartDistribution::Kind::gaussian, VectorXd::Ones(3), VectorXd::Ones(3)};
  task.cost.push_back({"a", {Source::action, {0, 1}, {}, vec({0, 0}), true}, vec({1, 1}), {}, 0, {1, 1, 1, 1, 1, 0}});
  task.cost.push_back({"s", {Source::state, {0}, {}, vec({0}), false}, vec({1}), {}, 0, {1, 1, 1, 1, 1, 1}});
  validate(task);
  return task;
}

TvLinearGaussian random_policy(Index da, Index ds, int horizon = T) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < horizon; ++t) {
    Stream random(9, 0, 0, static_cast<std::uint32_t>(t));
    steps.push_back(make_linear_gaussian(random_matrix(da, ds, random), random_vector(da, random),
                                         0.3 * MatrixXd::Identity(da, da)));
  }
  return TvLinearGaussian(std::move(steps));
}

PolicyFile file_of(AnyPolicy policy, std::vector<std::string> observations, std::vector<std::string> actions) {
  PolicyFile file{std::move(policy), {}};
  file.info.observation_names = std::move(observations);
  file.info.action_names = std::move(actions);
  return file;
}

TEST(Matched, PolicyActsAsTheFileDoesOnTheSameNumbers) {
  const Task task = named_task();
  const TvLinearGaussian given = random_policy(2, 2);
  const TvLinearGaussian policy = matched(task, file_of(given, {"w", "x"}, {"twist", "push"}), "p.h5");
  Stream random(1, 0, 0, 0);
  for (int t = 0; t < T; ++t) {
    const VectorXd s = random_vector(3, random);
    VectorXd a(2), expected(2);
    policy.mean(t, s, a);
    given.mean(t, vec({s[2], s[0]}), expected);
    EXPECT_NEAR(a[0], expected[1], 1e-14);
    EXPECT_NEAR(a[1], expected[0], 1e-14);
    EXPECT_EQ(policy[t].K.col(1), VectorXd::Zero(2)) << "it does not see v";
  }
  EXPECT_EQ(means_digest(policy),
            means_digest(matched(task, file_of(policy, {"x", "v", "w"}, {"push", "twist"}), "q.h5")));
  EXPECT_NE(means_digest(policy),
            means_digest(matched(task, file_of(policy, {"v", "x", "w"}, {"push", "twist"}), "q.h5")));
}

TEST(Matched, RefusesWhatTheTaskDoesNotHave) {
  const Task task = named_task();
  const std::vector<std::string> s = {"x", "v", "w"}, a = {"push", "twist"};
  const auto expect_refused = [&](const PolicyFile& file, const std::string& text) {
    EXPECT_THAT([&] { (void)matched(task, file, "p.h5"); }, ThrowsMessage<InputError>(HasSubstr(text)));
  };
  expect_refused(file_of(random_policy(2, 3), {"x", "v", "vv"}, a),
                 "p.h5: has the observations x, v, vv, but task named has x, v, w: \"vv\" is none of the task's");
  expect_refused(file_of(random_policy(2, 3), {"x", "v", "x"}, a),
                 "has the observations x, v, x, but task named has x, v, w: \"x\" is there twice");
  expect_refused(file_of(random_policy(2, 3), s, {"push", "twits"}),
                 "has the actions push, twits, but task named has push, twist: \"twits\" is none of");
  expect_refused(file_of(random_policy(1, 3), s, {"push"}),
                 "the actions push, but task named has push, twist: \"twist\" is missing");
  expect_refused(file_of(random_policy(2, 3, T + 1), s, a), "6 steps, but task named has 5");
  expect_refused(file_of(random_policy(2, 2), {}, {}), "there are no names to match them by");
  NetworkShape shape{
      .hidden = {2}, .input_mean = vec({0, 0, 0}), .input_scale = vec({1, 1, 1}), .output_scale = vec({1, 1})};
  const VectorXd theta = VectorXd::Zero(parameter_count(shape));
  expect_refused(file_of(MlpGaussian(shape, theta), s, a), "kind mlp_gaussian, but learning starts from linear gains");
  EXPECT_NO_THROW((void)matched(task, file_of(random_policy(2, 3), {}, {}), "p.h5")) << "as another program wrote it";
}

TEST(StartingPolicy, OfATrajectoryIsItsActionsThenRest) {
  const Task task = named_task();
  const TemporaryFolder folder;
  Task shorter = shortened(task, 3);
  const Batch batch = *rollout(shorter, random_policy(2, 3, 3), {.rollouts = 2}, kedge::Run{.seed = 4});
  const FileName file(folder.path("walk.h5"));
  save_trajectories(file, batch, "named", 0.1);
  const Origin origin = find_origin(file.string());
  EXPECT_EQ(origin.kind, Origin::Kind::trajectory);
  const TvLinearGaussian policy = starting_policy(task, origin);
  for (int t = 0; t < T; ++t) {
    EXPECT_EQ(policy[t].K, MatrixXd::Zero(2, 3));
    EXPECT_EQ(policy[t].k, t < 3 ? VectorXd(batch.action.col(t)) : vec({0, 1})) << "the middle of the limits";
  }
  EXPECT_THAT([&] { (void)starting_policy(shortened(task, 2), origin); },
              ThrowsMessage<InputError>(HasSubstr("2 actions at 3 steps, but task named has 2 at 2")));
}

TEST(FindOrigin, RefusesWhatIsNeither) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { (void)find_origin(folder.path("absent.h5")); },
              ThrowsMessage<InputError>(HasSubstr("there is no such run or file")));
  EXPECT_THROW((void)find_origin(folder.write("text.h5", "not HDF5")), InputError);
  EXPECT_THROW((void)find_origin(folder.path("")), InputError) << "a folder that is no run";
}

TEST(BecomesDemonstration, SaysWhatEachAlgorithmCanStartFrom) {
  const Origin policy{FileName("p.h5"), Origin::Kind::policy}, trajectory{FileName("t.h5"), Origin::Kind::trajectory};
  for (const char* name : {"moto", "gps", "reckon", "trpo"})
    for (const Origin& origin : {policy, trajectory}) EXPECT_FALSE(becomes_demonstration(origin, find_algorithm(name)));
  for (const char* name : {"ilqr", "vgps", "dagger", "gps_is", "cost_weighted"}) {
    EXPECT_TRUE(becomes_demonstration(trajectory, find_algorithm(name)));
    EXPECT_THAT(
        [&] { (void)becomes_demonstration(policy, find_algorithm(name)); },
        ThrowsMessage<InputError>(HasSubstr("starts from a trajectory, not from a policy; `kedge evaluate p.h5")));
  }
  for (const char* name : {"reps", "more", "random_search"})
    EXPECT_THAT(
        [&] { (void)becomes_demonstration(policy, find_algorithm(name)); },
        ThrowsMessage<InputError>(HasSubstr("has a start of its own; these can start elsewhere: moto, gps, ilqr")));
}

TEST(StartFrom, TakesTheMeansAndKeepsItsOwnNoise) {
  const Task task = named_task();
  const TvLinearGaussian from = random_policy(2, 3);
  for (const Algorithm& algorithm : algorithms()) {
    if (!algorithm.start_from) continue;
    SCOPED_TRACE(algorithm.name);
    Options options = algorithm.options();
    for (Option& option : options) {
      if (option.name == "policy") option.value = std::string("linear");
      if (option.name == "rollouts") option.value = std::int64_t{20};
    }
    const auto own = std::get<TvLinearGaussian>(algorithm.start(task, options).policy);
    const auto started = std::get<TvLinearGaussian>(algorithm.start_from(task, options, from).policy);
    for (int t = 0; t < T; ++t) {
      EXPECT_EQ(started[t].K, from[t].K);
      EXPECT_EQ(started[t].k, from[t].k);
      EXPECT_EQ(started[t].C, own[t].C);
    }
    EXPECT_THROW((void)algorithm.start_from(task, options, random_policy(2, 2)), InputError);
    EXPECT_THROW((void)algorithm.start_from(task, options, random_policy(2, 3, T - 1)), InputError);
  }
  EXPECT_THAT([&] { (void)find_algorithm("trpo").start_from(task, find_algorithm("trpo").options(), from); },
              ThrowsMessage<InputError>(HasSubstr("set policy=linear")));
}

}  // namespace
}  // namespace kedge
