// The bundled swimmer and walker: their sizes and physics against formulas, their hand-made controllers, and what a fall costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mujoco/mujoco.h>

#include <cmath>
#include <memory>
#include <numbers>
#include <string>

#include "kedge/mujoco/load_model.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/rollout/rollout.h"
#include "kedge/system/demonstration.h"
#include "kedge/tasks/task_file.h"
#include "tests/support/numbers.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

using namespace kedge::test;

Task load(const std::string& name, const std::vector<Override>& overrides = {}) {
  return load_task(test::source_dir() + "/tasks/" + name + "/task.toml", overrides).task;
}

const mjModel& model(const Task& task) { return dynamic_cast<const MujocoSystem&>(*task.system).model(); }

VectorXd acceleration(const Task& task, const VectorXd& x, const VectorXd& u) {
  const auto system = task.system->clone();
  return dynamic_cast<MujocoSystem&>(*system).acceleration(x, u);
}

/// Mean of one entry of the state.
double mean(const Demonstration& shown, Index entry) { return shown.state.row(entry).mean(); }

/// Independent noise of one standard deviation around 0.
struct Noise final : Policy {
  Noise(const Task& task, double deviation) : ds(task.ds()), da(task.da()), sd(deviation) {}
  [[nodiscard]] int horizon() const override { return 1 << 30; }
  [[nodiscard]] Index observation_dim() const override { return ds; }
  [[nodiscard]] Index action_dim() const override { return da; }
  void mean(int, VectorIn, VectorOut a) const override { a.setZero(); }
  void sample(int, VectorIn, Stream& noise, VectorOut a) const override {
    noise.normal(a);
    a *= sd;
  }
  [[nodiscard]] double log_prob(int, VectorIn, VectorIn) const override { return 0.0; }
  Index ds, da;
  double sd;
};

// ---- swimmer ---------------------------------------------------------------------------------------------------------

TEST(Swimmer, HasTheSizesOfThePaper) {
  const Task task = load("swimmer");
  EXPECT_EQ(task.nx(), 10);
  EXPECT_EQ(task.ds(), 9);
  EXPECT_EQ(task.da(), 2);
  const double r = 0.05, l = 0.5;
  const double link = 1000 * std::numbers::pi * (r * r * l + 4.0 / 3.0 * r * r * r);
  EXPECT_NEAR(mj_getTotalmass(&model(task)), 3 * link, 1e-9);
}

// A straight swimmer that moves along its axis: the drag is the same on every link, so that no joint moves. MuJoCo's fluid
// model takes the box of the same inertia: -rho/2 |v| v * area in front, -3 pi beta (mean edge) v.
TEST(Swimmer, IsSlowedByTheMediumAsTheFormulaSays) {
  const Task task = load("swimmer");
  const double pi = std::numbers::pi, r = 0.05, l = 0.5;
  const double cylinder = 1000 * pi * r * r * l, ball = 1000 * pi * 4.0 / 3.0 * r * r * r, mass = cylinder + ball;
  const double along = cylinder * r * r / 2 + ball * 2 * r * r / 5;
  const double across = cylinder * (3 * r * r + l * l) / 12 + ball * (2 * r * r / 5 + l * l / 4 + 3 * l * r / 8);
  const double length = std::sqrt(6 * (2 * across - along) / mass), width = std::sqrt(6 * along / mass);
  for (const double v : {0.1, 0.6, -2.0}) {
    VectorXd x = VectorXd::Zero(10);
    x[5] = v;
    const VectorXd a = acceleration(task, x, VectorXd::Zero(2));
    const double drag = 4000.0 / 2 * std::abs(v) * v * width * width + 3 * pi * 0.1 * (length + 2 * width) / 3 * v;
    EXPECT_NEAR(a[0], -drag / mass, 1e-9 * std::abs(a[0]) + 1e-12) << v;
    EXPECT_LT(a.tail(4).cwiseAbs().maxCoeff(), 1e-9);
  }
}

TEST(Swimmer, MovesTheSameWayWhereverItIsAndWhereverItHeads) {
  const Task task = load("swimmer");
  const auto system = task.system->clone();
  Stream random(1, 0, 0, 0);
  const VectorXd x = 0.5 * random_vector(10, random), u = 5 * random_vector(2, random);
  const double turn = 0.7;
  const Eigen::Rotation2Dd rotate(turn);
  VectorXd moved = x;
  moved.head(2) = rotate * Eigen::Vector2d(x.head(2)) + Eigen::Vector2d(3, -8);
  moved[2] += turn;
  moved.segment(5, 2) = rotate * Eigen::Vector2d(x.segment(5, 2));
  const auto next = [&](const VectorXd& from) {
    system->reset(from);
    EXPECT_TRUE(system->step(u));
    VectorXd to(10);
    system->state(to);
    return to;
  };
  VectorXd expected = next(x);
  expected.head(2) = rotate * Eigen::Vector2d(expected.head(2)) + Eigen::Vector2d(3, -8);
  expected[2] += turn;
  expected.segment(5, 2) = rotate * Eigen::Vector2d(expected.segment(5, 2));
  EXPECT_LT((next(moved) - expected).cwiseAbs().maxCoeff(), 1e-9);
}

TEST(Swimmer, SwimsByAWaveFromHeadToTailAndBackwardsByTheOpposite) {
  const Task task = load("swimmer");
  const Demonstration& shown = *task.demonstration;
  EXPECT_EQ(shown.steps(), 150);
  EXPECT_EQ(shown.state.col(0), VectorXd::Zero(10));
  EXPECT_GT(shown.state(0, 150), 1.5);                                 // m
  EXPECT_LT(shown.state.row(1).cwiseAbs().maxCoeff(), 0.2);            // straight on
  EXPECT_LT(shown.state.middleRows(3, 2).cwiseAbs().maxCoeff(), 1.2);  // clear of the joint limits, 1.75
  EXPECT_LT(load("swimmer", {{"demonstration.lag", "-1.5"}}).demonstration->state(0, 150), -1.0);
  EXPECT_LT(std::abs(load("swimmer", {{"demonstration.lag", "0"}}).demonstration->state(0, 150)), 0.5);
}

TEST(Swimmer, AtRestStaysAndCostsTheWholeSpeed) {
  const Task task = load("swimmer", {{"start.qpos_spread", "0"}, {"start.qvel_spread", "0"}});
  const auto batch = rollout(task, Noise(task, 0), {.explore = false}, kedge::Run{});
  EXPECT_NEAR(-rollout_return(*batch, 0), 150 * 0.36, 1e-9);
  EXPECT_GT(batch->success[0], task.success[0].below);
}

TEST(Swimmer, SurvivesLargeRandomTorques) {
  const Task task = load("swimmer");
  const auto batch = rollout(task, Noise(task, 100), {.rollouts = 20}, kedge::Run{});
  for (int n = 0; n < 20; ++n) EXPECT_TRUE(batch->usable(n)) << n;
}

// ---- walker ----------------------------------------------------------------------------------------------------------

// Entries of the walker's state.
constexpr Index kX = 0, kZ = 1, kPitch = 2, kLeft = 3, kRight = 6, kSpeed = 9;

VectorXd mirrored(const VectorXd& v) {
  VectorXd m = v;
  for (const Index part : {Index{0}, Index{9}})
    if (part < v.size()) {
      m.segment(part + kLeft, 3) = v.segment(part + kRight, 3);
      m.segment(part + kRight, 3) = v.segment(part + kLeft, 3);
    }
  return m;
}

TEST(Walker, HasTheSizesOfThePaper) {
  const Task task = load("walker");
  EXPECT_EQ(task.nx(), 18);
  EXPECT_EQ(task.ds(), 17);
  EXPECT_EQ(task.da(), 6);
  const mjModel& m = model(task);
  EXPECT_NEAR(mj_getTotalmass(&m), 30.0, 1e-9);
  // Inertia about y of rods with rectangular cross-section.
  const std::vector<std::array<double, 3>> rods = {
      {70.0 / 3, 0.48, 0.10}, {5.0 / 3, 0.45, 0.08}, {4.0 / 3, 0.45, 0.06}, {1.0 / 3, 0.185, 0.04}};
  for (int body = 1; body < m.nbody; ++body) {
    const auto& [mass, length, width] = rods[body == 1 ? 0 : static_cast<std::size_t>((body - 2) % 3 + 1)];
    EXPECT_NEAR(m.body_mass[body], mass, 1e-12);
    EXPECT_NEAR(m.body_inertia[3 * body + 1], mass / 12 * (length * length + width * width), 1e-12);
  }
}

TEST(Walker, FallsFreelyInTheAir) {
  const Task task = load("walker");
  VectorXd x = VectorXd::Zero(18);
  x[kZ] = 3.0;
  x[kSpeed] = 1.5;
  const VectorXd a = acceleration(task, x, VectorXd::Zero(6));
  EXPECT_NEAR(a[1], -9.81, 1e-9);
  EXPECT_LT(std::abs(a[0]) + a.tail(7).cwiseAbs().maxCoeff(), 1e-9);
}

TEST(Walker, LeftAndRightAreMirrorImages) {
  const Task task = load("walker");
  Stream random(2, 0, 0, 0);
  for (int trial = 0; trial < 10; ++trial) {
    VectorXd x = 0.3 * random_vector(18, random), u = 30 * random_vector(6, random), swapped(6);
    x[kZ] = 0.8 + 0.1 * x[kZ];
    swapped << u.tail(3), u.head(3);
    const VectorXd a = acceleration(task, x, u), b = acceleration(task, mirrored(x), swapped);
    EXPECT_LT((mirrored(a) - b).cwiseAbs().maxCoeff(), 1e-6 * a.cwiseAbs().maxCoeff()) << trial;
  }
}

TEST(Walker, StepsTheSameWayWhereverItIs) {
  const Task task = load("walker");
  const auto system = task.system->clone();
  const Demonstration& shown = *task.demonstration;
  for (const int t : {0, 20, 57, 140, 299}) {
    VectorXd x = shown.state.col(t), here(18), there(18);
    system->reset(x);
    ASSERT_TRUE(system->step(shown.action.col(t)));
    system->state(here);
    x[kX] += 16.0;
    system->reset(x);
    ASSERT_TRUE(system->step(shown.action.col(t)));
    system->state(there);
    there[kX] -= 16.0;
    EXPECT_LT((here - there).cwiseAbs().maxCoeff(), 1e-9) << t;
  }
}

TEST(Walker, WalksUnderItsControllerForAThousandSteps) {
  const Task task = load("walker", {{"horizon", "1000"}});
  const Demonstration& shown = *task.demonstration;
  ASSERT_EQ(shown.steps(), 1000);
  EXPECT_EQ(shown.state(kX, 0), 0.0);
  EXPECT_GT(shown.state(kX, 1000), 11.0);
  EXPECT_NEAR(mean(shown, kZ), 0.916, 0.005);
  EXPECT_GT(shown.state.row(kZ).minCoeff(), 0.85);
  EXPECT_LT(shown.state.row(kPitch).cwiseAbs().maxCoeff(), 0.2);
  // Over the first 300 steps: speed and 1e-4 u'u.
  EXPECT_NEAR(shown.state.row(kSpeed).head(300).mean(), 1.155, 0.01);
  EXPECT_NEAR(1e-4 * shown.action.leftCols(300).squaredNorm() / 300, 0.56, 0.01);
}

TEST(Walker, TheDemonstrationRepeatsStepByStepAndAsARollout) {
  const Task task = load("walker", {{"start.qpos_spread", "0"}, {"start.qvel_spread", "0"}});
  const Demonstration& shown = *task.demonstration;
  EXPECT_LT(replay_error(task, shown), 1e-9);
  EXPECT_EQ(task.start.mean, shown.state.col(0));
  const Demonstration again = record(
      task,
      [&](int t, VectorIn, VectorOut a) {
        a = shown.action.col(t);
        return true;
      },
      task.start.mean, shown.steps());
  EXPECT_TRUE(same_bits(again.state, shown.state));
}

TEST(Walker, OtherGaitsWalkToo) {
  for (const auto& [gait, damping, low, high] :
       {std::tuple{"crouch", "10", 0.68, 0.74}, {"high_step", "20", 0.8, 0.9}}) {
    const Task task = load("walker", {{"horizon", "1000"},
                                      {"demonstration.gait", gait},
                                      {"demonstration.damping", damping},
                                      {"demonstration.velocity_feedback", "0.2"}});
    const Demonstration& shown = *task.demonstration;
    EXPECT_GT(shown.state(kX, 1000), 10.0) << gait;
    EXPECT_GT(mean(shown, kZ), low) << gait;
    EXPECT_LT(mean(shown, kZ), high) << gait;
    EXPECT_GT(shown.state.row(kZ).minCoeff(), 0.6) << gait;
  }
}

// A body that lies costs (0.91 m)^2 + (1.3 m/s)^2 = 2.5 a step; tumbling down adds to it.
TEST(Walker, AFallCostsAFiniteAmount) {
  const Task task = load("walker", {{"cost.torque.weight", "0"}});
  for (const double deviation : {0.0, 10.0, 60.0}) {
    const auto batch = rollout(task, Noise(task, deviation), {.rollouts = 20}, kedge::Run{});
    for (int n = 0; n < 20; ++n) {
      ASSERT_TRUE(batch->usable(n)) << deviation;
      EXPECT_GT(batch->success[n], task.success[0].below) << deviation;
      EXPECT_GT(-rollout_return(*batch, n), 300) << deviation;
      EXPECT_LT(-rollout_return(*batch, n), 1500) << deviation;
      EXPECT_GT(batch->state.row(kZ).segment(batch->at(n, 0), 301).minCoeff(), -0.05) << "sinks into the ground";
    }
  }
}

// kedge/mujoco/collisions.h
TEST(Walker, RollsOutBitForBitAsItsModelDoes) {
  const Task task = load("walker");
  const LoadedModel own = load_mujoco_model(test::source_dir() + "/tasks/walker/walker.xml");
  ASSERT_TRUE(own.model) << own.error;
  own.model->opt.timestep = 0.005;
  Task plain = task;
  plain.system = std::make_shared<MujocoSystem>(own.model, 2);
  EXPECT_EQ(model(task).opt.disableflags == model(plain).opt.disableflags, mjVERSION_HEADER < 300);
  for (const double deviation : {0.0, 10.0, 60.0}) {
    const auto a = rollout(task, Noise(task, deviation), {.rollouts = 10}, kedge::Run{});
    const auto b = rollout(plain, Noise(plain, deviation), {.rollouts = 10}, kedge::Run{});
    EXPECT_EQ(a->state, b->state) << deviation;
    EXPECT_EQ(a->cost, b->cost) << deviation;
  }
}

}  // namespace
}  // namespace kedge
