// The world of table tennis: impacts at their instants, the record, the promises of a System.
#include "kedge/worlds/table_tennis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "kedge/core/errors.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/tasks/task_file.h"
#include "tests/support/numbers.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using test::same_bits;
using testing::HasSubstr;

const Task& task() {
  static const Task loaded = load_task(test::source_dir() + "/tasks/table_tennis/task.toml").task;
  return loaded;
}
const TableTennisSystem& world() { return dynamic_cast<const TableTennisSystem&>(*task().system); }

constexpr Index kNoise = 0, kBounces = 2, kCrossed = 3, kOffCentre = 4, kLanding = 5;
/// An entry of the record in a state.
double record(VectorIn x, Index entry) { return x.tail(8)[entry]; }
/// An entry of the world's sensors after the final state's `settle`: landing_error 0, 1; off_centre; landing; ...; hit; illegal.
VectorXd sensors(System& system) {
  VectorXd y(system.nsensor());
  system.settle();
  system.sensors(y);
  return y.tail(8);
}
constexpr Index kHit = 6, kIllegal = 7;

VectorXd state(const System& system) {
  VectorXd x(system.nx());
  system.state(x);
  return x;
}

/// The start of the task with another ball.
VectorXd with_ball(const Ball& ball) {
  VectorXd x = task().start.mean;
  x.segment<3>(world().ball_position()) = ball.p;
  x.segment<3>(world().ball_velocity()) = ball.v;
  return x;
}
Ball ball_of(VectorIn x) { return {x.segment<3>(world().ball_position()), x.segment<3>(world().ball_velocity())}; }

/// Runs the demonstration's actions from a start. @return [nx, T + 1]
MatrixXd run(System& system, VectorIn x0, int steps = 30) {
  MatrixXd x(system.nx(), steps + 1);
  system.reset(x0);
  system.state(x.col(0));
  for (int t = 0; t < steps; ++t) {
    EXPECT_TRUE(system.step(task().demonstration->action.col(t))) << system.trouble();
    system.state(x.col(t + 1));
  }
  return x;
}

TEST(TableTennis, FliesBetweenImpactsAsMujocoFlies) {
  const auto system = world().clone();
  const VectorXd x0 = task().start.mean;
  Ball ball = ball_of(x0);
  const MatrixXd x = run(*system, x0, 10);  // the bounce is at 0.28 s
  for (int i = 0; i < 100; ++i) ball = euler_step(world().court(), ball, world().sub_step());
  EXPECT_LT((ball_of(x.col(10)).p - ball.p).norm(), 1e-12);
  EXPECT_LT((ball_of(x.col(10)).v - ball.v).norm(), 1e-12);
  EXPECT_NEAR(world().court().drag, 0.1414, 5e-5);
}

TEST(TableTennis, BouncesAtTheInstantOfImpact) {
  // From heights that meet the table at all phases of a sub-step, the ball at a fixed later time is a smooth function of the
  // height: linear over 0.3 mm to 10 um, of which Euler's method makes 5. A bounce at the end of the sub-step is off by millimetres.
  const auto system = world().by_sub_steps();
  const Court& c = world().court();
  std::vector<double> later;
  for (int i = 0; i <= 40; ++i) {
    system->reset(with_ball({{0.5, -1.5, c.height() + 0.5 + 3e-4 * i}, {0, 0, 0}}));
    for (int k = 0; k < 250; ++k) ASSERT_TRUE(system->step(VectorXd::Zero(9)));
    const VectorXd x = state(*system);
    EXPECT_EQ(record(x, kBounces), 1.0);
    later.push_back(ball_of(x).p[2]);
  }
  for (std::size_t i = 1; i + 1 < later.size(); ++i) EXPECT_NEAR(later[i - 1] + later[i + 1], 2 * later[i], 1e-5) << i;
}

TEST(TableTennis, AddsTheBounceNoiseOnceOnOurSide) {
  const auto system = world().by_sub_steps();
  const Court& c = world().court();
  for (const double y : {-1.5, -3.0}) {  // our side, the opponent's
    VectorXd x0 = with_ball({{0.5, y, c.height() + 0.05}, {0, 0, 0}});
    x0.tail(8).segment(kNoise, 2) << 0.3, -0.2;
    system->reset(x0);
    for (int k = 0; k < 60; ++k) ASSERT_TRUE(system->step(VectorXd::Zero(9)));
    const Ball once = ball_of(state(*system));
    const bool ours = y == -1.5;
    EXPECT_NEAR(once.v[0], ours ? 0.3 : 0.0, 1e-2);
    EXPECT_NEAR(once.v[1], ours ? -0.2 : 0.0, 1e-2);
    EXPECT_EQ(record(state(*system), kBounces), ours ? 1.0 : 0.0);
    for (int k = 0; k < 90; ++k) ASSERT_TRUE(system->step(VectorXd::Zero(9)));
    const Ball twice = ball_of(state(*system));
    EXPECT_NEAR(twice.v[0], 0.68 * once.v[0], 1e-2);
    EXPECT_EQ(record(state(*system), kBounces), ours ? 2.0 : 0.0);
  }
}

TEST(TableTennis, RestsWhereItNoLongerBounces) {
  const auto system = world().clone();
  const double height = world().court().height();
  system->reset(with_ball({{0.5, -1.5, height}, {0, 0, 0}}));
  for (int t = 0; t < 30; ++t) ASSERT_TRUE(system->step(VectorXd::Zero(9)));
  EXPECT_NEAR(ball_of(state(*system)).p[2], height, 1e-3);
}

TEST(TableTennis, StopsTheBallAtTheNet) {
  const auto system = world().by_sub_steps();
  for (const double z : {0.85, 1.0}) {  // below and above the edge
    system->reset(with_ball({{0.3, -2.3 - 0.1, z}, {0, 4, 0}}));
    for (int k = 0; k < 30; ++k) ASSERT_TRUE(system->step(VectorXd::Zero(9)));
    const Ball ball = ball_of(state(*system));
    if (z < 0.9) {
      EXPECT_NEAR(ball.v[1], -0.05 * 4, 0.02);
      EXPECT_LT(ball.p[1], -2.27 - 0.005 - 0.02 + 1e-12);
    } else {
      EXPECT_GT(ball.p[1], -2.25);
    }
  }
}

TEST(TableTennis, LandsSmoothlyInTheVelocityOfTheBall) {
  // 61 launch speeds within 0.03 m/s: the landing point is a cubic to 0.1 mm.
  const auto system = world().clone();
  const Index n = 61;
  MatrixXd powers(n, 4), at(n, 2);
  for (Index i = 0; i < n; ++i) {
    const double z = static_cast<double>(i - 30) / 30.0;
    VectorXd x0 = task().start.mean;
    x0[world().ball_velocity() + 1] += 0.03 * z;
    run(*system, x0);
    const VectorXd y = sensors(*system);
    ASSERT_EQ(y[kHit], 1.0);
    powers.row(i) << 1, z, z * z, z * z * z;
    at.row(i) << y[3], y[4];
  }
  const MatrixXd rest = at - powers * powers.householderQr().solve(at);
  EXPECT_LT(rest.cwiseAbs().maxCoeff(), 1e-4);
  EXPECT_GT((at.row(0) - at.row(n - 1)).norm(), 1e-2);
}

TEST(TableTennis, LandsAsIfTheRacketHadNoEdge) {
  // A ball further and further beside the blade: the landing point goes on where the hits end.
  const auto system = world().clone();
  bool hit = true;
  Eigen::Vector2d last(0, 0), step(0, 0);
  for (int i = 0; i <= 40; ++i) {
    VectorXd x0 = task().start.mean;
    x0[world().ball_velocity()] += 0.01 * i;
    const MatrixXd x = run(*system, x0);
    const VectorXd y = sensors(*system);
    const Eigen::Vector2d at = y.segment<2>(3);
    EXPECT_EQ(y[kHit] == 1.0, y[2] < world().court().blade);
    if (i > 1) {
      EXPECT_LT((at - last - step).norm(), 0.01) << i;
    }
    step = at - last;
    last = at;
    EXPECT_EQ(record(x.col(30), kCrossed), y[kHit] == 1.0 ? 2.0 : 1.0);
    hit = hit && y[kHit] == 1.0;
  }
  EXPECT_FALSE(hit);
}

TEST(TableTennis, CallsAReturnLegalByTheRules) {
  const auto system = world().clone();
  const VectorXd x = run(*system, task().start.mean).col(30);
  EXPECT_EQ(sensors(*system)[kIllegal], 0.0);
  const auto illegal = [&](const std::function<void(VectorOut)>& change) {
    VectorXd other = x.tail(8);
    change(other);
    VectorXd whole = x;
    whole.tail(8) = other;
    system->reset(whole);
    return sensors(*system)[kIllegal] == 1.0;
  };
  EXPECT_FALSE(illegal([](VectorOut) {}));
  EXPECT_TRUE(illegal([](VectorOut r) { r[kBounces] = 0; }));
  EXPECT_TRUE(illegal([](VectorOut r) { r[kBounces] = 2; }));
  EXPECT_TRUE(illegal([](VectorOut r) { r[kCrossed] = 1; }));
  EXPECT_TRUE(illegal([](VectorOut r) { r[7] = -0.01; }));            // into the net
  EXPECT_TRUE(illegal([](VectorOut r) { r[kLanding] = 0.77; }));      // beside the table
  EXPECT_TRUE(illegal([](VectorOut r) { r[kLanding + 1] = -3.7; }));  // behind it
  EXPECT_TRUE(illegal([](VectorOut r) { r[kLanding + 1] = -2.2; }));  // on our side
}

TEST(TableTennis, MarksThePathOfTheBallAndWhereItLands) {
  const auto system = world().clone();
  const MatrixXd x = run(*system, task().start.mean);
  const MatrixXd path = world().path(x);
  ASSERT_GT(path.cols(), x.cols());
  for (Index t = 0; t < x.cols(); ++t) EXPECT_EQ(path.col(t), ball_of(x.col(t)).p);
  const auto mark = world().mark(x.rightCols<1>());
  ASSERT_TRUE(mark);
  EXPECT_TRUE(mark->good);
  EXPECT_NEAR((path.rightCols<1>() - mark->at).norm(), world().court().radius, 1e-4)
      << "the ball touches the table there";
  EXPECT_FALSE(world().mark(x.col(0))) << "nothing was hit";
  VectorXd missed = x.rightCols<1>();
  missed.tail(8)[kLanding] = 0.77;
  EXPECT_FALSE(world().mark(missed)->good) << "beside the table";
}

TEST(TableTennis, MeasuresHowFarTheRacketIsIfNothingIsCrossed) {
  const auto system = world().clone();
  const MatrixXd x = run(*system, with_ball({{3.0, -1.0, 1.2}, {0, 0, 0}}));
  EXPECT_EQ(record(x.col(0), kOffCentre), 10.0);
  const VectorXd y = sensors(*system);
  EXPECT_EQ(y.head<2>(), Eigen::Vector2d(2, 0));
  EXPECT_GT(y[2], 2.0);
  EXPECT_LT(y[2], 4.0);
  for (int t = 0; t < 30; ++t) EXPECT_LE(record(x.col(t + 1), kOffCentre), record(x.col(t), kOffCentre));
}

TEST(TableTennis, ContinuesFromEveryStateBitForBit) {
  const auto system = world().clone(), other = world().clone();
  VectorXd x0 = task().start.mean;
  x0.tail(8).head(2) << 0.1, -0.05;
  const MatrixXd whole = run(*system, x0);
  const VectorXd end = sensors(*system);
  EXPECT_TRUE(same_bits(whole, run(*other, x0)));
  VectorXd y(other->nsensor()), z(other->nsensor());
  for (int t = 0; t < 30; ++t) {
    other->reset(whole.col(t));
    EXPECT_TRUE(same_bits(state(*other), VectorXd(whole.col(t))));
    other->settle();
    other->sensors(z);
    ASSERT_TRUE(other->step(task().demonstration->action.col(t)));
    other->sensors(y);
    EXPECT_TRUE(same_bits(y, z)) << t;  // those at the beginning of the step
    EXPECT_TRUE(same_bits(state(*other), VectorXd(whole.col(t + 1)))) << t;
  }
  EXPECT_TRUE(same_bits(sensors(*other), end));
}

TEST(TableTennis, DoesNotLetTheBallPushTheRobot) {
  const auto system = world().clone();
  const MatrixXd with = run(*system, task().start.mean), without = run(*system, with_ball({{3, 3, 3}, {0, 0, 0}}));
  EXPECT_EQ(record(with.col(30), kCrossed), 2.0);
  for (const Drive& drive : world().drives()) {
    EXPECT_TRUE(same_bits(MatrixXd(with.row(drive.position)), MatrixXd(without.row(drive.position))));
    EXPECT_TRUE(same_bits(MatrixXd(with.row(drive.velocity)), MatrixXd(without.row(drive.velocity))));
  }
}

TEST(TableTennis, MovesInTheTangentSpace) {
  const System& system = *task().system;
  Stream random(1, 2, 3, 4);
  const VectorXd x = test::random_vector(system.nx(), random), dx = test::random_vector(system.ndx(), random);
  VectorXd moved(system.nx()), back(system.ndx());
  system.integrate(x, dx, moved);
  system.difference(x, moved, back);
  EXPECT_LT((back - dx).norm(), 1e-12);
  MatrixXd G(system.nx(), system.ndx());
  system.tangent(x, G);
  EXPECT_LT((moved - x - G * dx).norm(), 1e-12);  // slides and hinges
}

class BadModel : public testing::Test {
 protected:
  /// What the world says of the bundled model with `from` replaced by `to`.
  std::string complaint(const std::string& from, const std::string& to) {
    std::ifstream file(test::source_dir() + "/tasks/table_tennis/table_tennis.xml");
    std::stringstream text;
    text << file.rdbuf();
    std::string xml = text.str();
    const std::size_t at = xml.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    xml.replace(at, from.size(), to);
    const LoadedModel loaded = load_mujoco_model(folder_.write("model.xml", xml));
    EXPECT_TRUE(loaded.model) << loaded.error;
    try {
      const TableTennisSystem system(loaded.model, 10, {});
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(BadModel, IsRefusedByName) {
  EXPECT_EQ(complaint("integrator=\"Euler\"", "integrator=\"Euler\""), "");
  EXPECT_THAT(complaint("name=\"table\" type", "name=\"desk\" type"), HasSubstr("needs a geom \"table\", a box"));
  EXPECT_THAT(complaint("name=\"net\" type", "name=\"nett\" type"), HasSubstr("needs a geom \"net\", a box"));
  EXPECT_THAT(complaint("name=\"table\" type", "name=\"table\" euler=\"0 0 1\" type"), HasSubstr("along the axes"));
  EXPECT_THAT(complaint("<geom name=\"ball\"", "<geom name=\"sphere\""), HasSubstr("needs a geom \"ball\", a sphere"));
  EXPECT_THAT(complaint("name=\"blade\"", "name=\"face\""), HasSubstr("needs a geom \"blade\", a cylinder"));
  EXPECT_THAT(complaint("site name=\"racket\"", "site name=\"bat\""), HasSubstr("needs a site \"racket\""));
  EXPECT_THAT(complaint("joint name=\"ball_y\" type=\"slide\" axis=\"0 1 0\"",
                        "joint name=\"ball_y\" type=\"slide\" axis=\"1 1 0\""),
              HasSubstr("needs slides ball_x, ball_y and ball_z"));
  EXPECT_THAT(complaint("joint name=\"ball_z\"", "joint name=\"ball_up\""), HasSubstr("needs slides ball_x"));
  EXPECT_THAT(complaint("integrator=\"Euler\"", "integrator=\"RK4\""), HasSubstr("needs the integrator Euler"));
  EXPECT_THAT(complaint("density=\"1.2\"", "density=\"1.2\" viscosity=\"0.001\""), HasSubstr("whose drag is -C |v| v"));
}

}  // namespace
}  // namespace kedge
