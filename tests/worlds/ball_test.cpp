// The ball against integrations in small steps, and its impacts against their laws.
#include "kedge/worlds/ball.h"

#include <gtest/gtest.h>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

Court court() {
  Court c;
  c.low = {-0.7625, -3.64};
  c.high = {0.7625, -0.9};
  c.surface = 0.76;
  c.net = -2.27;
  c.net_top = 0.9125;
  c.net_thickness = 0.005;
  c.net_width = 0.915;
  c.drag = 0.1414;
  return c;
}

Eigen::Vector3d random3(Stream& random) { return test::random_vector(3, random); }

/// The ball after t seconds, by Heun's method in a million steps a second.
Ball slowly(const Court& c, Ball ball, double t) {
  const int steps = static_cast<int>(t * 1e6);
  const double h = t / steps;
  for (int i = 0; i < steps; ++i) {
    const Eigen::Vector3d a = acceleration(c, ball.v), b = acceleration(c, ball.v + h * a);
    ball = {ball.p + h * ball.v + 0.5 * h * h * a, ball.v + 0.5 * h * (a + b)};
  }
  return ball;
}

TEST(Ball, LandsWhereAFineIntegrationLands) {
  const Court c = court();
  for (const double up : {0.5, 2.0, 4.0}) {
    const Ball hit{{-0.3, -0.45, 1.2}, {0.4, -5.0, up}};
    const Landing at = landing(c, hit);
    Ball slow = hit;
    double over_net = -1.0;
    for (double h = 1e-5; slow.p[2] >= c.height();) {
      const Ball next = slowly(c, slow, h);
      if (slow.p[1] > c.net && next.p[1] <= c.net) over_net = next.p[2] - c.radius - c.net_top;
      slow = next;
    }
    EXPECT_LT((at.at - slow.p.head<2>()).norm(), 1e-4) << up;  // the slow one ends within 10 us
    EXPECT_NEAR(at.clearance, over_net, 1e-4) << up;
  }
}

TEST(Ball, FliesByAMethodOfFourthOrder) {
  const Court c = court();
  const Ball from{{0, 0, 1}, {1, -5, 3}}, exact = slowly(c, from, 0.4);
  double last = 0.0;
  for (const int steps : {4, 8}) {
    Ball ball = from;
    for (int i = 0; i < steps; ++i) ball = rk4_step(c, ball, 0.4 / steps);
    const double error = (ball.p - exact.p).norm();
    if (steps == 8) {
      EXPECT_LT(error, last / 12.0);
    }
    last = error;
  }
  EXPECT_LT(last, 1e-6);
}

TEST(Ball, KeepsItsEnergyWithoutDragAndLosesItWith) {
  for (const double drag : {0.0, 0.1414}) {
    Court c = court();
    c.drag = drag;
    const auto energy = [&](const Ball& b) { return 0.5 * b.v.squaredNorm() - c.gravity.dot(b.p); };
    Ball ball{{0, 0, 1}, {1, -5, 3}};
    for (int i = 0; i < 40; ++i) {
      const Ball next = rk4_step(c, ball, 0.01);
      if (drag == 0.0)
        EXPECT_NEAR(energy(next), energy(ball), 1e-12);
      else
        EXPECT_LT(energy(next), energy(ball));
      ball = next;
    }
  }
}

TEST(Ball, ThatNeverPassesTheNetHasNoClearance) {
  const Court c = court();
  EXPECT_EQ(landing(c, {{0, -0.5, 1.2}, {0, 2, 1}}).clearance, -1.0);
  const Landing below = landing(c, {{0.1, -0.5, 0.5}, {0, -3, -1}});
  EXPECT_EQ(below.at, Eigen::Vector2d(0.1, -0.5));
}

TEST(Table, ReversesTheNormalVelocityByItsRestitution) {
  const Court c = court();
  EXPECT_EQ(after_table(c, {1, 2, -3}), Eigen::Vector3d(0.68, 2 * 0.72, 3 * 0.88));
  double f = 0.0;
  const Ball above{{0.1, -1.5, 0.80}, {1, 2, -3}}, below{{0.1, -1.4, 0.76}, {1, 2, -3}};
  const auto at = meets_table(c, above, below, f);
  ASSERT_TRUE(at);
  EXPECT_NEAR(f, 0.5, 1e-12);
  EXPECT_EQ(at->p[2], c.height());
  EXPECT_FALSE(meets_table(c, below, above, f));
  EXPECT_FALSE(meets_table(c, {{0.8, -1.5, 0.80}, {}}, {{0.8, -1.4, 0.76}, {}}, f));  // beside it
}

TEST(Racket, ReversesTheRelativeNormalVelocityOfItsPoint) {
  const Court c = court();
  for (std::uint32_t i = 0; i < 20; ++i) {
    Stream random(1, i, 0, 0);
    const Racket racket{random3(random), random3(random).normalized(), random3(random), random3(random)};
    const Ball ball{racket.p + 0.1 * random3(random), 3.0 * random3(random)};
    const Eigen::Vector3d arm = ball.p - racket.p, in_plane = arm - arm.dot(racket.n) * racket.n;
    const Eigen::Vector3d point = racket.v + racket.w.cross(in_plane);
    const Eigen::Vector3d after = after_racket(c, ball, racket);
    EXPECT_NEAR(racket.n.dot(after - point), -0.78 * racket.n.dot(ball.v - point), 1e-12);
    EXPECT_LT(racket.n.cross(after - ball.v).norm(), 1e-12);  // nothing along the face
  }
}

}  // namespace
}  // namespace kedge
