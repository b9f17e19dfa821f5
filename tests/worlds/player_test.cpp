// The analytic player: what it plans, and what comes of it.
#include "kedge/worlds/player.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kedge/core/errors.h"
#include "kedge/system/demonstration.h"
#include "kedge/tasks/task_file.h"
#include "tests/support/numbers.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

using testing::HasSubstr;

const Task& task() {
  static const Task loaded = load_task(test::source_dir() + "/tasks/table_tennis/task.toml").task;
  return loaded;
}
const TableTennisSystem& world() { return dynamic_cast<const TableTennisSystem&>(*task().system); }

PlayerOptions options() {
  PlayerOptions o;
  o.posture = test::vec({0, 0.1, 0, -0.4, 0.6, 0, 0.9, 0.5, -0.5});
  o.hitting_plane = -0.45;
  o.aim = {0.0, -2.955};
  return o;
}

VectorXd start(const Eigen::Vector3d& faster) {
  VectorXd x = task().start.mean;
  x.segment<3>(world().ball_velocity()) += faster;
  return x;
}

/// Landing point and legality at the end.
struct Played {
  Eigen::Vector2d landing;
  bool legal;
};
Played judge(VectorIn end) {
  const auto system = world().clone();
  VectorXd y(system->nsensor());
  system->reset(end);
  system->settle();
  system->sensors(y);
  return {y.segment<2>(3), y[7] == 0.0};
}

TEST(Player, ReturnsFortyRandomBallsWhereItAims) {
  int legal = 0;
  double worst = 0.0, torque = 0.0, off = 0.0;
  const VectorXd limit = task().action_high;
  for (std::uint32_t i = 0; i < 40; ++i) {
    Stream random(5, i, 0, 0);
    const auto part = [&](double width) { return width * (2.0 * random.uniform() - 1.0); };
    Eigen::Vector3d faster;
    for (Index k = 0; k < 3; ++k) faster[k] = part(k == 0 ? 0.32 : 0.2);
    const VectorXd x0 = start(faster);
    const StrokePlan plan = plan_stroke(world(), x0, options());
    const int sub_steps = static_cast<int>(plan.hit_time / world().sub_step()) + 25;
    const Stroke stroke = play_stroke(world(), plan, x0, options(), -limit, limit, sub_steps);
    const Played played = judge(stroke.end);
    legal += played.legal ? 1 : 0;
    worst = std::max(worst, (played.landing - options().aim).norm());
    torque = std::max(torque, (stroke.control.cwiseAbs().array().colwise() / limit.array()).maxCoeff());
    off = std::max(off, stroke.error);
  }
  EXPECT_GE(legal, 39);
  EXPECT_LT(worst, 0.01);
  EXPECT_LT(torque, 0.6);
  EXPECT_LT(off, 8e-3);
  RecordProperty("legal", legal);
  RecordProperty("worst_mm", static_cast<int>(1e3 * worst));
}

TEST(Player, PutsTheRacketBehindTheBallWithTheVelocityThatReturnsIt) {
  const StrokePlan plan = plan_stroke(world(), start({0, 0, 0}), options());
  const Court& c = world().court();
  EXPECT_NEAR(plan.ball.p[1], -0.45, 1e-12);
  EXPECT_NEAR(plan.hit_time, 0.5486, 1e-3);
  EXPECT_LT((after_racket(c, plan.ball, plan.racket) - plan.out).norm(), 1e-9);
  EXPECT_LT((landing(c, {plan.ball.p, plan.out}).at - options().aim).norm(), 1e-6);
  EXPECT_LT((plan.ball.p - plan.racket.p - c.radius * plan.racket.n).norm(), 1e-12);
  // The joints at the hit, by the model: place, normal, velocity, and a face that does not turn.
  const auto clone = world().mujoco().clone();
  auto& mujoco = dynamic_cast<MujocoSystem&>(*clone);
  VectorXd x = task().start.mean.head(mujoco.nx());
  const std::vector<Drive> drives = world().drives();
  for (std::size_t j = 0; j < drives.size(); ++j) {
    x[drives[j].position] = plan.hit[static_cast<Index>(j)];
    x[drives[j].velocity] = plan.hit_velocity[static_cast<Index>(j)];
  }
  mujoco.reset(x);
  SiteMotion site;
  ASSERT_TRUE(mujoco.site_motion(world().racket_site(), site));
  EXPECT_LT((site.position - plan.racket.p).norm(), 1e-8);
  EXPECT_LT((site.rotation.col(2) - plan.racket.n).norm(), 1e-8);
  EXPECT_LT((site.velocity - plan.racket.v).norm(), 1e-6);
  EXPECT_LT(site.angular_velocity.cross(plan.racket.n).cross(plan.racket.n).norm(), 1e-6);
}

TEST(Player, MovesOnSmoothlyFromWaitingToWaiting) {
  const StrokePlan plan = plan_stroke(world(), start({0.1, 0, 0}), options());
  const Index n = plan.hit.size();
  VectorXd q(n), qd(n), qdd(n), before(n), after(n), unused(n), vb(n), va(n);
  plan.at(0.0, q, qd, qdd);
  EXPECT_LT((q - plan.waiting).norm() + qd.norm() + qdd.norm(), 1e-12);
  plan.at(plan.preparation, q, qd, qdd);
  EXPECT_LT((q - plan.back).norm() + qd.norm(), 1e-12);
  plan.at(plan.hit_time, q, qd, qdd);
  EXPECT_LT((q - plan.hit).norm() + (qd - plan.hit_velocity).norm(), 1e-12);
  for (const double t : {plan.hit_time + 1.0, plan.hit_time + 2.0}) {
    plan.at(t, q, qd, qdd);
    EXPECT_LT((q - plan.waiting).norm() + qd.norm(), 1e-9);
  }
  for (double t = 0.01; t < 1.5; t += 0.0173) {
    const double h = 1e-5;
    plan.at(t - h, before, vb, unused);
    plan.at(t + h, after, va, unused);
    plan.at(t, q, qd, qdd);
    EXPECT_LT((after - before - 2 * h * qd).norm(), 1e-8) << t;
    EXPECT_LT((va - vb - 2 * h * qdd).norm(), 1e-6) << t;
  }
}

TEST(Player, ShowsTheTaskAStrokeByTorquesOfEachControlStep) {
  const Demonstration& shown = *task().demonstration;
  ASSERT_EQ(shown.steps(), 30);
  EXPECT_EQ(replay_error(task(), shown), 0.0);
  const Played played = judge(shown.state.col(30));
  EXPECT_TRUE(played.legal);
  EXPECT_LT((played.landing - options().aim).norm(), 0.05);
}

/// Why a stroke cannot be planned.
std::string complaint(VectorIn x, const PlayerOptions& o) {
  try {
    (void)plan_stroke(world(), x, o);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(Player, SaysWhyItCannotHit) {
  const VectorXd x = start({0, 0, 0});
  EXPECT_EQ(complaint(x, options()), "");
  PlayerOptions o = options();
  o.posture = test::vec({0});
  EXPECT_THAT(complaint(x, o), HasSubstr("posture has 1 numbers, but the robot has 9"));
  o = options();
  o.preparation = 0.5;
  EXPECT_THAT(complaint(x, o), HasSubstr("too early after a preparation of 0.5 s"));
  o = options();
  o.hitting_plane = 5.0;
  EXPECT_THAT(complaint(x, o), HasSubstr("does not bounce and then cross"));
  EXPECT_THAT(complaint(start({0, -4, 0}), options()), HasSubstr("does not bounce and then cross"));
  VectorXd slow = x;
  slow.segment<3>(world().ball_position()) << -0.03, -1.6, 1.0;
  slow.segment<3>(world().ball_velocity()) << -0.2, 1.0, -1.0;
  o.hitting_plane = -0.92;
  EXPECT_THAT(complaint(slow, o), HasSubstr("bounces more than once"));
  o.hitting_plane = 1.2;
  EXPECT_THAT(complaint(x, o), HasSubstr("the racket does not reach the ball"));
}

}  // namespace
}  // namespace kedge
