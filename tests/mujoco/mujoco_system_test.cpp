#include "kedge/mujoco/mujoco_system.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mujoco/mujoco.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "kedge/core/random.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/rollout/rollout.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::HasSubstr;

const std::string kDoubleLink = test::source_dir() + "/tasks/double_link/double_link.xml";
const std::string kQuadLink = test::source_dir() + "/tasks/quad_link/quad_link.xml";

MujocoSystem load(const std::string& path, int substeps = 1) {
  LoadedModel loaded = load_mujoco_model(path);
  EXPECT_TRUE(loaded.model) << loaded.error;
  return {loaded.model, substeps};
}

MujocoSystem compile(const std::string& xml, int substeps = 1) {
  const TemporaryFolder folder;
  return load(folder.write("model.xml", xml), substeps);
}

VectorXd random_vector(Index n, double scale, Stream& noise) {
  VectorXd v(n);
  for (Index i = 0; i < n; ++i) v[i] = scale * (2.0 * noise.uniform() - 1.0);
  return v;
}

/// Bit for bit.
testing::AssertionResult same(const VectorXd& a, const VectorXd& b) {
  if (a.size() == b.size() && std::memcmp(a.data(), b.data(), sizeof(double) * static_cast<std::size_t>(a.size())) == 0)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << a.transpose() << " is not " << b.transpose();
}

VectorXd state(const System& system) {
  VectorXd x(system.nx());
  system.state(x);
  return x;
}

VectorXd sensors(const System& system) {
  VectorXd y(system.nsensor());
  system.sensors(y);
  return y;
}

// ---- physics -------------------------------------------------------------------------------------------------------

/// Accelerations of an n-link chain from Lagrange's equations in absolute angles phi = cumsum(theta):
///   (B o cos(phi_j - phi_k) + I) phidd = tau_j - tau_{j+1} + g c_j sin phi_j - sum_k B_jk sin(phi_j - phi_k) phid_k^2
/// with B_jk = sum_i m a_ij a_ik, c_j = sum_i m a_ij; a_ij = 1 for j < i, 1/2 for j = i (links of 1 m and 1 kg), inertia
/// (1 + 1e-4) / 3 about the centre, viscous friction 0.025 in each joint.
VectorXd chain_acceleration(const VectorXd& theta, const VectorXd& thetad, const VectorXd& u) {
  const Index n = theta.size();
  const double g = 9.81, inertia = (1.0 + 1e-4) / 3.0, friction = 0.025;
  MatrixXd a = MatrixXd::Zero(n, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j) a(i, j) = j < i ? 1.0 : 0.5;
  const MatrixXd B = a.transpose() * a;
  const VectorXd c = a.colwise().sum();

  VectorXd phi(n), phid(n), tau = VectorXd::Zero(n + 1);
  for (Index j = 0; j < n; ++j) {
    phi[j] = theta.head(j + 1).sum();
    phid[j] = thetad.head(j + 1).sum();
    tau[j] = u[j] - friction * thetad[j];
  }
  MatrixXd M = inertia * MatrixXd::Identity(n, n);
  VectorXd f(n);
  for (Index j = 0; j < n; ++j) {
    f[j] = tau[j] - tau[j + 1] + g * c[j] * std::sin(phi[j]);
    for (Index k = 0; k < n; ++k) {
      M(j, k) += B(j, k) * std::cos(phi[j] - phi[k]);
      f[j] -= B(j, k) * std::sin(phi[j] - phi[k]) * phid[k] * phid[k];
    }
  }
  VectorXd phidd = M.llt().solve(f);
  for (Index j = n - 1; j > 0; --j) phidd[j] -= phidd[j - 1];
  return phidd;
}

void expect_closed_form(const std::string& path) {
  MujocoSystem system = load(path);
  const Index n = system.nu();
  Stream noise(1, 0, 0, 0);
  double worst = 0.0;
  for (int i = 0; i < 1000; ++i) {
    VectorXd x(2 * n);
    x << random_vector(n, std::numbers::pi, noise), random_vector(n, 10.0, noise);
    const VectorXd u = random_vector(n, 25.0, noise);
    const VectorXd expected = chain_acceleration(x.head(n), x.tail(n), u);
    const double error = (system.acceleration(x, u) - expected).lpNorm<Eigen::Infinity>();
    worst = std::max(worst, error / expected.lpNorm<Eigen::Infinity>());
  }
  EXPECT_LE(worst, 1e-9);
}

TEST(DoubleLink, AcceleratesAsTheClosedForm) { expect_closed_form(kDoubleLink); }
TEST(QuadLink, AcceleratesAsTheClosedForm) { expect_closed_form(kQuadLink); }

TEST(MujocoSystem, InverseDynamicsUndoesForwardDynamics) {
  for (const std::string& path : {kDoubleLink, kQuadLink}) {
    MujocoSystem system = load(path);
    const Index n = system.nu();
    ASSERT_EQ(static_cast<Index>(system.drives().size()), n);
    Stream noise(3, 0, 0, 0);
    for (int i = 0; i < 50; ++i) {
      VectorXd x(2 * n), u(n), other(n);
      x << random_vector(n, std::numbers::pi, noise), random_vector(n, 10.0, noise);
      const VectorXd qdd = random_vector(n, 30.0, noise), more = random_vector(n, 1.0, noise);
      MatrixXd inertia(n, n), same_inertia(n, n);
      ASSERT_TRUE(system.inverse_dynamics(x, qdd, u, inertia));
      EXPECT_LT((system.acceleration(x, u) - qdd).norm(), 1e-9 * (1.0 + x.tail(n).squaredNorm()));
      ASSERT_TRUE(system.inverse_dynamics(x, qdd + more, other, same_inertia));
      EXPECT_LT((other - u - inertia * more).norm(), 1e-9 * u.norm()) << "linear in the acceleration";
    }
  }
}

/// A geared arm with a ball beside it that nothing drives, damped, with MuJoCo's semi-implicit Euler integrator.
TEST(MujocoSystem, InverseDynamicsIsThatOfTheSubStep) {
  MujocoSystem system = compile(R"(<mujoco><option timestep="0.01" integrator="Euler"/><worldbody>
    <body name="ball" pos="3 0 0"><joint name="fall" type="slide" axis="0 0 1"/><geom size="0.1"/></body>
    <body name="arm"><joint name="turn" axis="0 1 0" damping="0.7" armature="0.2"/><geom size="0.1" pos="0 0 -0.5"/>
    <body pos="0 0 -1"><joint name="reach" type="slide" axis="0 0 1" damping="2"/><geom size="0.1" pos="0.2 0 0"/></body>
    </body></worldbody><actuator><motor joint="reach" gear="3"/><motor joint="turn" gear="-0.5"/></actuator></mujoco>)");
  const std::vector<Drive> drives = system.drives();
  ASSERT_EQ(drives.size(), 2U);
  EXPECT_EQ(drives[0].control, 0);
  EXPECT_EQ(drives[0].position, 2);
  EXPECT_EQ(drives[0].velocity, 5);
  EXPECT_EQ(drives[1].position, 1);
  const VectorXd x{{0.5, 0.3, 0.1, -1.0, 2.0, -0.4}}, qdd{{1.5, -7.0}};
  VectorXd u(2);
  MatrixXd inertia(2, 2);
  ASSERT_TRUE(system.inverse_dynamics(x, qdd, u, inertia));
  system.reset(x);
  ASSERT_TRUE(system.step(u));
  EXPECT_NEAR(state(system)[5], x[5] + 0.01 * 1.5, 1e-12);
  EXPECT_NEAR(state(system)[4], x[4] - 0.01 * 7.0, 1e-12);
  const VectorXd bad{{1.5, std::numeric_limits<double>::quiet_NaN()}};
  EXPECT_FALSE(system.inverse_dynamics(x, bad, u, inertia));
}

/// An arm in a soft contact with a bench, without and with a heavy ball pressed into its hand that nothing drives.
TEST(MujocoSystem, InverseDynamicsKnowsTheBenchButNotTheBallInTheHand) {
  const auto arm = [](const std::string& more, const std::string& bench = "0.3") {
    return compile(R"(<mujoco><option timestep="0.002"/><worldbody>
      <body name="arm"><joint name="turn" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02"/>
      <body pos="0 0 -0.5"><joint name="bend" axis="0 1 0"/><geom size="0.1"/></body></body>
      <body name="bench"><geom type="box" pos=")" +
                   bench + R"( 0 -0.5" size="0.205 1 1"/></body>)" + more + R"(</worldbody>
      <actuator><motor joint="turn"/><motor joint="bend"/></actuator></mujoco>)");
  };
  const std::string ball = R"(<body name="ball" pos="-0.15 0 -0.5"><joint name="ball_x" type="slide" axis="1 0 0"/>
      <geom size="0.1" mass="5"/></body>)";
  MujocoSystem alone = arm(""), with_ball = arm(ball), without_bench = arm("", "9");
  const VectorXd x{{-0.05, 0.02, 0.3, -0.1}}, x_ball{{-0.05, 0.02, 0.0, 0.3, -0.1, 0.0}}, qdd{{2.0, -1.0}};
  VectorXd u(2), u_ball(2), u_free(2);
  MatrixXd M(2, 2), M_ball(2, 2), M_free(2, 2);
  ASSERT_TRUE(alone.inverse_dynamics(x, qdd, u, M));
  ASSERT_TRUE(with_ball.inverse_dynamics(x_ball, qdd, u_ball, M_ball));
  ASSERT_TRUE(without_bench.inverse_dynamics(x, qdd, u_free, M_free));
  EXPECT_LT((u_ball - u).norm(), 1e-12 * u.norm());
  EXPECT_LT((M_ball - M).norm(), 1e-12 * M.norm());
  EXPECT_GT((u_free - u).norm(), 1.0) << "the bench pushes back";
  EXPECT_LT((alone.acceleration(x, u) - qdd).norm(), 1e-6) << "as it does in the simulation";
  EXPECT_GT((with_ball.acceleration(x_ball, u).head(2) - qdd).norm(), 1.0) << "the ball is in contact";
}

TEST(MujocoSystem, OnlyMotorsDriveACoordinate) {
  const MujocoSystem system = compile(R"(<mujoco><worldbody><body><joint name="a"/><geom size="0.1"/><body>
    <joint name="b" axis="1 0 0"/><geom size="0.1"/></body></body></worldbody><actuator><position joint="a"/>
    <motor joint="b"/><motor joint="b" gear="2"/></actuator></mujoco>)");
  ASSERT_EQ(system.drives().size(), 1U) << "no servo, and of two motors on a joint the first";
  EXPECT_EQ(system.drives()[0].control, 1);
}

TEST(DoubleLink, ConservesEnergyAsAccuratelyAsItsTimeStepAllows) {
  // Without torque the power is that of friction: E(5 s) - E(0) = -0.025 integral |thetad|^2.
  LoadedModel loaded = load_mujoco_model(kDoubleLink);
  const auto energy = [](const VectorXd& x) {
    const double I = (1.0 + 1e-4) / 3.0, a = x[0], b = x[0] + x[1], ad = x[2], bd = x[2] + x[3];
    const double potential = 9.81 * (0.5 * std::cos(a) + std::cos(a) + 0.5 * std::cos(b));
    const double kinetic =
        0.5 * (I + 0.25 + 1.0) * ad * ad + 0.5 * (I + 0.25) * bd * bd + 0.5 * ad * bd * std::cos(a - b);
    return potential + kinetic;
  };
  MujocoSystem system(loaded.model, 1);  // the model's own time step: 2 ms
  VectorXd x(4), u = VectorXd::Zero(2);
  x << 2.0, 0.5, 3.0, -1.0;
  system.reset(x);
  const double before = energy(x);
  double lost = 0.0;
  for (int i = 0; i < 2500; ++i) {
    const double power = 0.025 * state(system).tail(2).squaredNorm();
    ASSERT_TRUE(system.step(u));
    lost += 0.002 * 0.5 * (power + 0.025 * state(system).tail(2).squaredNorm());
  }
  EXPECT_GT(lost, 0.1);
  EXPECT_NEAR(before - energy(state(system)), lost, 1e-4 * lost);
}

// ---- one simulation does not leak into the next ------------------------------------------------------------------------

/// Everything that carries memory: contacts and limits (warm start), friction, an activation, a mocap body, sensors.
const std::string kMessy = R"(
<mujoco>
  <option timestep="0.005" iterations="3"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body name="target" mocap="true" pos="1 0 1"><geom size="0.1" contype="0" conaffinity="0"/></body>
    <body pos="0 0 0.3"><freejoint/><geom type="box" size="0.1 0.1 0.1"/>
      <body pos="0 0 0.1"><joint name="arm" axis="0 1 0" limited="true" range="-60 60" frictionloss="0.1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0.1" size="0.03"/><site name="hand" pos="0.3 0 0.1"/></body></body>
  </worldbody>
  <actuator><general joint="arm" dyntype="filter" dynprm="0.05" gainprm="5" ctrllimited="true" ctrlrange="-2 2"/></actuator>
  <sensor><touch site="hand"/><framepos objtype="site" objname="hand"/><clock/></sensor>
</mujoco>)";

/// States and sensors of some control steps from x under controls named by `seed`, one column a step.
MatrixXd simulate(System& system, const VectorXd& x, std::uint32_t seed, int steps = 60) {
  Stream noise(seed, 0, 0, 0);
  system.reset(x);
  MatrixXd path(system.nx() + system.nsensor(), steps + 1);
  path.col(0) << state(system), sensors(system);
  for (int t = 1; t <= steps; ++t) {
    EXPECT_TRUE(system.step(random_vector(system.nu(), 2.0, noise)));
    path.col(t) << state(system), sensors(system);
  }
  return path;
}

VectorXd messy_start(double height) {
  VectorXd x = VectorXd::Zero(8 + 7 + 1);
  x[2] = height;
  x[3] = 1.0;
  x[8 + 2] = -1.0;
  return x;
}

TEST(MujocoSystem, ForgetsEarlierUseBitForBit) {
  MujocoSystem fresh = compile(kMessy, 4), used = compile(kMessy, 4);
  const MatrixXd expected = simulate(fresh, messy_start(0.3), 1);
  simulate(used, messy_start(0.11), 2);
  used.settle();
  const MatrixXd again = simulate(used, messy_start(0.3), 1);
  EXPECT_TRUE(same(expected.reshaped(), again.reshaped()));
  EXPECT_GT(expected.row(expected.rows() - 4).maxCoeff(), -1.0);
  EXPECT_FALSE(same(expected.col(60), expected.col(59)));
}

TEST(MujocoSystem, ForgetsDivergence) {
  MujocoSystem fresh = compile(kMessy), used = compile(kMessy);
  const MatrixXd expected = simulate(fresh, messy_start(0.3), 1);
  VectorXd bad = messy_start(0.3);
  bad[8] = 9.99e9;
  used.reset(bad);
  int steps = 0;
  while (used.step(VectorXd::Zero(1)) && steps < 1000) ++steps;
  ASSERT_LT(steps, 1000);
  EXPECT_TRUE(same(expected.reshaped(), simulate(used, messy_start(0.3), 1).reshaped()));
}

TEST(MujocoSystem, ClonesAreEqualAndIndependent) {
  MujocoSystem system = compile(kMessy, 2);
  const auto clone = system.clone();
  simulate(system, messy_start(0.2), 3);
  const VectorXd before = state(system);
  const MatrixXd path = simulate(*clone, messy_start(0.3), 1);
  EXPECT_TRUE(same(before, state(system)));
  EXPECT_TRUE(same(path.reshaped(), simulate(system, messy_start(0.3), 1).reshaped()));
}

TEST(MujocoSystem, SettlingDoesNotDisturbTheSimulation) {
  MujocoSystem plain = compile(kMessy, 2), settled = compile(kMessy, 2);
  plain.reset(messy_start(0.15));
  settled.reset(messy_start(0.15));
  Stream a(4, 0, 0, 0), b(4, 0, 0, 0);
  for (int t = 0; t < 60; ++t) {
    ASSERT_TRUE(plain.step(random_vector(1, 2.0, a)));
    ASSERT_TRUE(settled.step(random_vector(1, 2.0, b)));
    settled.settle();
  }
  EXPECT_TRUE(same(state(plain), state(settled)));
}

TEST(MujocoSystem, ResetSetsTheWholeState) {
  MujocoSystem system = compile(kMessy);
  Stream noise(5, 0, 0, 0);
  VectorXd x = random_vector(system.nx(), 1.0, noise);
  x.segment(3, 4).normalize();
  system.reset(x);
  EXPECT_TRUE(same(x, state(system)));
}

/// kMessy with another integrator, solver and friction cone.
std::string messy(const std::string& integrator, const std::string& solver, const std::string& cone) {
  return std::string(kMessy).replace(
      std::string(kMessy).find("iterations=\"3\""), 14,
      fmt::format(R"(iterations="3" integrator="{}" solver="{}" cone="{}")", integrator, solver, cone));
}
const std::vector<std::string> kIntegrators = {"Euler", "RK4", "implicit"};

TEST(MujocoSystem, NextStateIsAFunctionOfStateAndControlBitForBit) {
  for (const std::string& integrator : kIntegrators)
    for (const std::string solver : {"Newton", "CG", "PGS"})
      for (const std::string cone : {"pyramidal", "elliptic"}) {
        const std::string xml = messy(integrator, solver, cone);
        MujocoSystem going = compile(xml, 2), restarted = compile(xml, 2);
        const Index clock = going.nsensor() - 1;  // sees the time since the reset, which is not of the state
        going.reset(messy_start(0.11));
        Stream noise(6, 0, 0, 0);
        for (int t = 0; t < 60; ++t) {
          const VectorXd u = random_vector(1, 2.0, noise);
          simulate(restarted, messy_start(0.12), 7, 3);  // leaves another warm start behind
          restarted.reset(state(going));
          ASSERT_TRUE(going.step(u));
          ASSERT_TRUE(restarted.step(u));
          ASSERT_TRUE(same(state(going), state(restarted))) << integrator << ' ' << solver << ' ' << cone << ' ' << t;
          EXPECT_TRUE(same(sensors(going).head(clock), sensors(restarted).head(clock)));
          if (t % 7 == 0) {
            restarted.reset(state(going));
            going.settle();
            restarted.settle();
            EXPECT_TRUE(same(sensors(going).head(clock), sensors(restarted).head(clock)));
          }
        }
        EXPECT_GT(sensors(going)[clock], 0.1);
      }
}

TEST(MujocoSystem, ForgetsAnythingThatHappenedBeforeAReset) {
  for (const std::string& integrator : kIntegrators) {
    MujocoSystem used = compile(messy(integrator, "Newton", "elliptic"), 2);
    VectorXd bad = messy_start(0.3);
    bad[8] = 9.99e9;
    Stream choice(8, 0, 0, 0);
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < 5; ++i) switch (choice.bits() % 6) {
          case 0: simulate(used, messy_start(0.1 + 0.2 * choice.uniform()), 10); break;
          case 1: used.settle(); break;
          case 2: (void)used.acceleration(messy_start(0.1), VectorXd::Constant(1, 2.0)); break;
          case 3:
            used.reset(bad);
            for (int t = 0; t < 1000 && used.step(VectorXd::Zero(1)); ++t) {
            }
            break;
          case 4:
            used.reset(messy_start(0.1));
            EXPECT_FALSE(used.step(VectorXd::Constant(1, std::numeric_limits<double>::quiet_NaN())));
            break;
          case 5: {
            const auto n = static_cast<Index>(used.drives().size());
            VectorXd u(n);
            MatrixXd inertia(n, n);
            (void)used.inverse_dynamics(messy_start(0.1), VectorXd::Constant(n, 3.0), u, inertia);
            break;
          }
        }
      const auto fresh = used.clone();
      const double height = 0.1 + 0.2 * choice.uniform();
      EXPECT_TRUE(
          same(simulate(*fresh, messy_start(height), 1).reshaped(), simulate(used, messy_start(height), 1).reshaped()));
    }
  }
}

// ---- tangent space -----------------------------------------------------------------------------------------------------

/// Free, ball, hinge and slide joints, and an activation.
const std::string kJoints = R"(
<mujoco><worldbody>
    <body><joint type="slide" axis="1 0 0"/><geom size="0.1"/>
      <body><joint type="ball"/><geom size="0.1"/>
        <body><joint name="h"/><geom size="0.1"/></body></body></body>
    <body><freejoint/><geom size="0.1"/></body></worldbody>
  <actuator><general joint="h" dyntype="integrator"/></actuator></mujoco>)";

VectorXd random_joints(Stream& noise) {
  VectorXd x = random_vector(13 + 11 + 1, 1.0, noise);
  x.segment(1, 4).normalize();
  x.segment(9, 4).normalize();
  return x;
}

TEST(MujocoSystem, DifferenceUndoesIntegrate) {
  const MujocoSystem system = compile(kJoints);
  ASSERT_EQ(system.nx(), 25);
  ASSERT_EQ(system.ndx(), 23);
  Stream noise(9, 0, 0, 0);
  for (int i = 0; i < 50; ++i) {
    const VectorXd x = random_joints(noise), dx = random_vector(23, 1.0, noise), to = random_joints(noise);
    VectorXd moved(25), back(23), there(25);
    system.integrate(x, dx, moved);
    system.difference(x, moved, back);
    EXPECT_LT((back - dx).norm(), 1e-12);
    system.difference(x, to, back);
    system.integrate(x, back, there);
    if (there.segment(1, 4).dot(to.segment(1, 4)) < 0) there.segment(1, 4) *= -1.0;  // the same rotation
    if (there.segment(9, 4).dot(to.segment(9, 4)) < 0) there.segment(9, 4) *= -1.0;
    EXPECT_LT((there - to).norm(), 1e-12);
    system.difference(x, x, back);
    EXPECT_LT(back.norm(), 1e-14);
  }
}

TEST(MujocoSystem, TangentIsTheDerivativeOfIntegrate) {
  const MujocoSystem system = compile(kJoints);
  Stream noise(10, 0, 0, 0);
  const VectorXd x = random_joints(noise);
  MatrixXd G(25, 23), differences(25, 23);
  system.tangent(x, G);
  VectorXd plus(25), minus(25);
  const double h = 1e-5;
  for (Index j = 0; j < 23; ++j) {
    system.integrate(x, h * VectorXd::Unit(23, j), plus);
    system.integrate(x, -h * VectorXd::Unit(23, j), minus);
    differences.col(j) = (plus - minus) / (2.0 * h);
  }
  EXPECT_LT((G - differences).norm(), 1e-9);
}

TEST(MujocoSystem, TangentSpaceOfHingesIsTheStateItself) {
  const MujocoSystem system = load(kDoubleLink);
  MatrixXd G(4, 4);
  system.tangent(VectorXd::Ones(4), G);
  EXPECT_EQ(G, MatrixXd(MatrixXd::Identity(4, 4)));
  VectorXd dx(4);
  system.difference(VectorXd::Ones(4), VectorXd::Constant(4, 7.0), dx);  // angles are not wrapped
  EXPECT_EQ(dx, VectorXd::Constant(4, 6.0));
}

// ---- sensors ---------------------------------------------------------------------------------------------------------

TEST(MujocoSystem, SensorsDescribeTheStateAndControlOfTheStep) {
  for (const std::string integrator : {"Euler", "RK4"}) {
    MujocoSystem system = compile(R"(<mujoco><option timestep="0.01" integrator=")" + integrator + R"("/>
      <worldbody><body><joint name="j" axis="0 1 0" damping="0.3"/><geom type="capsule" fromto="0 0 0 0 0 1" size="0.05"/>
      <site name="s"/></body></worldbody><actuator><motor name="m" joint="j" gear="3"/></actuator>
      <sensor><jointpos joint="j"/><jointvel joint="j"/><actuatorfrc actuator="m"/><frameangacc objtype="site" objname="s"/></sensor>
      </mujoco>)",
                                  3);
    VectorXd x(2), u(1), y(6);
    x << 0.4, -1.0;
    for (int t = 0; t < 3; ++t) {
      u << 0.5 + t;
      const VectorXd acceleration = system.acceleration(x, u);
      system.reset(x);
      ASSERT_TRUE(system.step(u));
      system.sensors(y);
      EXPECT_EQ(y[0], x[0]);
      EXPECT_EQ(y[1], x[1]);
      EXPECT_DOUBLE_EQ(y[2], u[0]);
      EXPECT_NEAR(y[4], acceleration[0], 1e-12);
      x = state(system);
    }
    system.settle();
    system.sensors(y);
    EXPECT_EQ(y[0], x[0]);
    EXPECT_EQ(y[1], x[1]);
    EXPECT_EQ(y[2], 0.0);
    EXPECT_TRUE(same(x, state(system)));
  }
}

TEST(MujocoSystem, OneControlStepIsItsSubstepsWithOneControl) {
  MujocoSystem fine = load(kDoubleLink, 1), coarse = load(kDoubleLink, 7);
  VectorXd x(4), u(2);
  x << 1.0, -0.5, 4.0, 2.0;
  u << 3.0, -2.0;
  fine.reset(x);
  coarse.reset(x);
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(fine.step(u));
  ASSERT_TRUE(coarse.step(u));
  EXPECT_TRUE(same(state(fine), state(coarse)));
}

// ---- divergence ------------------------------------------------------------------------------------------------------

/// A mass that coasts: position 9e8 (t + 1) after step t, beyond MuJoCo's 1e10 after step 11.
const std::string kCoasting =
    R"(<mujoco><option timestep="0.1" gravity="0 0 0"/><worldbody><body><joint name="j" type="slide"/>
  <geom size="0.1"/></body></worldbody><actuator><motor joint="j"/></actuator></mujoco>)";

TEST(JointLimit, ReplacesTheControlOfItsJointAtEverySubstep) {
  const LoadedModel loaded = load_mujoco_model(kQuadLink);
  const std::vector<JointLimit> limits = {{1, 1, 1, -1.5, 1.0, 50.0, 5.0, -20.0, 15.0},
                                          {3, 3, 3, -2.0, 2.0, 8.0, 0.0, -1e3, 1e3}};
  MujocoSystem limited(loaded.model, 3, limits), plain(loaded.model, 1);
  const auto law = [&](const JointLimit& limit, const VectorXd& x, VectorXd& u) {
    const double q = x[limit.qpos], speed = x[4 + limit.qvel];
    if (q > limit.high)
      u[limit.control] = std::min(
          limit.control_high, std::max(limit.control_low, -limit.stiffness * (q - limit.high) - limit.damping * speed));
    if (q < limit.low)
      u[limit.control] = std::min(
          limit.control_high, std::max(limit.control_low, -limit.stiffness * (q - limit.low) - limit.damping * speed));
  };
  Stream noise(7, 0, 0, 0);
  int replaced = 0, free = 0, clamped = 0;
  for (int k = 0; k < 200; ++k) {
    const VectorXd x = random_vector(8, 3.0, noise), u = random_vector(4, 10.0, noise);
    limited.reset(x);
    plain.reset(x);
    ASSERT_TRUE(limited.step(u));
    for (int i = 0; i < 3; ++i) {
      VectorXd applied = u;
      const VectorXd now = state(plain);
      VectorXd held = u;
      for (const JointLimit& limit : limits) law(limit, now, applied);
      limited.hold(now, held);
      EXPECT_LT((held - applied).norm(), 1e-12 * applied.norm());
      ASSERT_TRUE(plain.step(applied));
      (applied == u ? free : replaced) += 1;
      clamped += applied[1] == -20.0 || applied[1] == 15.0;
    }
    EXPECT_LT((state(limited) - state(plain)).norm(), 1e-12 * state(plain).norm());  // a - b c rounds once or twice
    const auto clone = limited.clone();
    clone->reset(x);
    ASSERT_TRUE(clone->step(u));
    EXPECT_TRUE(same(state(*clone), state(limited)));
  }
  // A law whose joint is not known holds nothing.
  VectorXd x = VectorXd::Constant(8, 3.0), u = VectorXd::Zero(4);
  x[1] = std::numeric_limits<double>::quiet_NaN();
  limited.hold(x, u);
  EXPECT_EQ(u[1], 0.0);
  EXPECT_NE(u[3], 0.0);
  x[1] = 3.0;
  x[4 + 3] = std::numeric_limits<double>::quiet_NaN();
  u.setZero();
  limited.hold(x, u);
  EXPECT_NE(u[1], 0.0);
  EXPECT_EQ(u[3], 0.0);
  EXPECT_GT(free, 50);
  EXPECT_GT(replaced, 50);
  EXPECT_GT(clamped, 20);
}

TEST(MujocoSystem, ReportsDivergenceAtTheStepThatCausesIt) {
  for (const int substeps : {1, 5}) {
    MujocoSystem system = compile(kCoasting, substeps);
    VectorXd x(2);
    x << 0.0, 9e8 * 10 / substeps;
    system.reset(x);
    for (int t = 0; t < 11; ++t) ASSERT_TRUE(system.step(VectorXd::Zero(1))) << t;
    EXPECT_FALSE(system.step(VectorXd::Zero(1)));
    system.reset(VectorXd::Zero(2));
    EXPECT_TRUE(system.step(VectorXd::Zero(1)));
  }
}

TEST(MujocoSystem, ReportsBadControls) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e11}) {
    MujocoSystem system = load(kDoubleLink, 3);
    system.reset(VectorXd::Zero(4));
    EXPECT_FALSE(system.step(VectorXd::Constant(2, bad))) << bad;
  }
}

TEST(MujocoSystem, ReportsAnExplosionInsideAStep) {
  // MuJoCo resets itself in the middle of the control step; the state afterwards looks perfectly sane.
  MujocoSystem system = load(kDoubleLink, 200);
  VectorXd x = VectorXd::Zero(4);
  x << 1.0, 1.0, 1e6, -1e6;
  system.reset(x);
  EXPECT_FALSE(system.step(VectorXd::Zero(2)));
}

TEST(MujocoSystem, ReportsContactsThatExceedTheMemory) {
  if (mj_version() >= 230)
    GTEST_SKIP() << "newer versions have no njmax; SurvivesAFatalErrorOfMujoco runs out of memory";
  std::string xml = kMessy;
  const std::string timestep = "<option timestep";
  xml.insert(xml.find(timestep), "<size njmax=\"2\" nconmax=\"1\"/>");
  MujocoSystem system = compile(xml);
  system.reset(messy_start(0.1));
  bool fine = true;
  for (int t = 0; t < 50 && fine; ++t) fine = system.step(VectorXd::Zero(1));
  EXPECT_FALSE(fine);
}

TEST(MujocoSystem, SurvivesAFatalErrorOfMujoco) {
  // With too little memory for its solver MuJoCo would end the process: some sizes are enough to compile the model, but
  // not for a step. (nstack counts numbers; since 2.3 `memory` counts bytes.)
  const TemporaryFolder folder;
  int failures = 0;
  for (int size = 50; size < 1000; size += 10)
    for (const std::string& memory : {fmt::format("nstack=\"{}\"", size), fmt::format("memory=\"{}\"", 32 * size)}) {
      const std::string xml = std::string(kMessy).insert(9, "<size " + memory + "/>");
      const LoadedModel loaded = load_mujoco_model(folder.write("small.xml", xml));
      if (!loaded.model) continue;
      MujocoSystem system(loaded.model, 2);
      system.reset(messy_start(0.08));
      if (system.step(VectorXd::Zero(1))) continue;
      system.settle();
      system.reset(messy_start(0.08));
      EXPECT_FALSE(system.step(VectorXd::Zero(1)));
      ++failures;
    }
  EXPECT_GT(failures, 0);
}

TEST(MujocoSystem, DivergenceReachesTheBatch) {
  Task task;
  task.name = "coasting";
  task.system = std::make_shared<MujocoSystem>(compile(kCoasting));
  task.horizon = 20;
  task.control_step = 0.1;
  task.observation = {0, 1};
  task.observation_names = {"x", "v"};
  task.control_index = {0};
  task.action_names = {"f"};
  task.action_low = VectorXd::Constant(1, -1.0);
  task.action_high = VectorXd::Constant(1, 1.0);
  task.start.mean = Eigen::Vector2d(0.0, 9e9);
  task.start.spread = VectorXd::Zero(2);
  CostTerm term;
  term.name = "x";
  term.residual.index = {0};
  term.residual.target = VectorXd::Zero(1);
  term.weight = VectorXd::Ones(1);
  term.active.assign(21, 1);
  task.cost = {term};
  const auto policy = TvLinearGaussian::constant(20, 2, VectorXd::Zero(1), VectorXd::Ones(1));
  const auto batch = rollout(task, policy, {.rollouts = 3}, kedge::Run{});
  ASSERT_TRUE(batch);
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(batch->diverged_at[static_cast<std::size_t>(n)], 11);
    EXPECT_NEAR(batch->state(0, batch->at(n, 11)), 9.9e9, 1e3);
  }
}

}  // namespace
}  // namespace kedge
