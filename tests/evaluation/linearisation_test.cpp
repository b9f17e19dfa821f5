#include "kedge/evaluation/linearisation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "kedge/mujoco/load_model.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/system/linear_system.h"
#include "kedge/tasks/task_file.h"
#include "tests/evaluation/wave.h"
#include "tests/support/numbers.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using test::vec;
using test::Wave;
using test::wave_task;

Linearisation linearise(const Task& task, MatrixIn x, MatrixIn a, const LinearisationOptions& options = {},
                        int threads = 1) {
  SystemClones clones(*task.system, threads);
  return kedge::linearise(task, x, a, options, clones);
}

// ---- derivatives that are known ----------------------------------------------------------------------------------------

TEST(Linearise, FindsTheMatricesOfALinearSystem) {
  Stream random(1, 0, 0, 0);
  const MatrixXd A = random_matrix(4, 4, random), B = random_matrix(4, 2, random);
  Task task = wave_task(3);
  task.system = std::make_shared<LinearSystem>(A, B);
  task.cost = {};
  const MatrixXd x = random_matrix(4, 4, random), a = 0.3 * random_matrix(2, 3, random);
  for (const bool centred : {true, false}) {
    const Linearisation lin = linearise(task, x, a, {centred, 1e-5, 1e-3});
    EXPECT_EQ(lin.diverged_at, -1);
    for (std::size_t t = 0; t < 3; ++t) {
      EXPECT_LT((lin.A[t] - A).norm(), 1e-9);
      EXPECT_LT((lin.B[t] - B).norm(), 1e-11);
      EXPECT_EQ(lin.C[t].size(), 0);
      EXPECT_EQ(lin.D[t].size(), 0);
    }
  }
}

/// One step of the wave from x under a.
void expect_wave(const VectorXd& x, const VectorXd& a, const MatrixXd& B, const MatrixXd& D) {
  const Task task = wave_task(1);
  MatrixXd states(2, 2);
  states << x, vec({0.5, -0.25});
  const Linearisation lin = linearise(task, states, a);
  ASSERT_EQ(lin.diverged_at, -1);
  const double u0 = std::clamp(a[0], -1.0, 2.0), h = Wave::h;
  MatrixXd A(2, 2), C(2, 2), C_final(2, 2);
  A << 1.0, h, h * std::cos(x[0]), 1.0;
  C << x[1], x[0], u0, 0.0;
  C_final << -0.25, 0.5, 0.0, 0.0;
  EXPECT_LT((lin.A[0] - A).norm(), 1e-9);
  EXPECT_LT((lin.B[0] - B).norm(), 1e-10) << lin.B[0];
  EXPECT_LT((lin.C[0] - C).norm(), 1e-9);
  EXPECT_LT((lin.D[0] - D).norm(), 1e-10);
  EXPECT_LT((lin.C[1] - C_final).norm(), 1e-9);
}

MatrixXd mat2(double a, double b, double c, double d) { return (MatrixXd(2, 2) << a, b, c, d).finished(); }

TEST(Linearise, FindsDerivativesOfStatesAndSensors) {
  expect_wave(vec({0.7, -0.4}), vec({0.6, 0.3}), mat2(0.0, 0.0, 0.12, 0.2), mat2(0.0, 0.0, 0.7, 0.0));
}

TEST(Linearise, TakesTheDerivativeFromInsideAtALimit) {
  for (const double a0 : {-1.0, 2.0, 2.0 - 1e-4, -1.0 + 1e-4})
    expect_wave(vec({0.7, -0.4}), vec({a0, 2.0}), mat2(0.0, 0.0, 0.2 * a0, 0.2), mat2(0.0, 0.0, 0.7, 0.0));
}

TEST(Linearise, DoesNotMoveControlsBeyondTheirLimits) {
  expect_wave(vec({0.7, -0.4}), vec({2.0 + 1e-12, 0.0}), mat2(0.0, 0.0, 0.0, 0.2), MatrixXd::Zero(2, 2));
  expect_wave(vec({0.7, -0.4}), vec({-5.0, -5.0}), MatrixXd::Zero(2, 2), MatrixXd::Zero(2, 2));
}

TEST(Linearise, CountsOnlyTheLastActionThatDrivesAControl) {
  Task task = wave_task(1);
  task.control_index = {1, 1};
  const Linearisation lin = linearise(task, MatrixXd::Zero(2, 2), MatrixXd::Zero(2, 1));
  EXPECT_EQ(lin.B[0].col(0).norm(), 0.0);
  EXPECT_NEAR(lin.B[0](1, 1), 0.2, 1e-12);
}

TEST(Linearise, OneSidedDifferencesErrByTheirStep) {
  Task task = wave_task(1);
  const MatrixXd x = vec({1.0, 0.0}).replicate(1, 2), a = vec({0.5, 0.0});
  const double exact = Wave::h * std::cos(1.0);
  for (const double step : {1e-2, 1e-3}) {
    const double error = linearise(task, x, a, {false, step, step}).A[0](1, 0) - exact;
    EXPECT_NEAR(error, -0.5 * step * Wave::h * std::sin(1.0), 0.01 * step * Wave::h);
    EXPECT_LT(std::abs(linearise(task, x, a, {true, step, step}).A[0](1, 0) - exact), 0.5 * step * step * Wave::h);
  }
}

TEST(Linearise, IsTheSameForAnyNumberOfThreads) {
  Stream random(2, 0, 0, 0);
  const Task task = wave_task(50);
  const MatrixXd x = random_matrix(2, 51, random), a = random_matrix(2, 50, random);
  const Linearisation one = linearise(task, x, a);
  for (const int threads : {2, 8}) {
    const Linearisation many = linearise(task, x, a, {}, threads);
    for (std::size_t t = 0; t < 50; ++t) {
      EXPECT_TRUE(test::same_bits(one.A[t], many.A[t]));
      EXPECT_TRUE(test::same_bits(one.B[t], many.B[t]));
      EXPECT_TRUE(test::same_bits(one.C[t], many.C[t]));
      EXPECT_TRUE(test::same_bits(one.D[t], many.D[t]));
    }
    EXPECT_TRUE(test::same_bits(one.C[50], many.C[50]));
  }
}

TEST(Linearise, NamesTheFirstStepThatDiverges) {
  const Task task = wave_task(6, 1.0);
  MatrixXd x = MatrixXd::Zero(2, 7);
  x(0, 2) = x(0, 4) = 1.0 - 1e-6;  // itself within the edge, its neighbour not
  for (const bool centred : {true, false})
    EXPECT_EQ(linearise(task, x, MatrixXd::Zero(2, 6), {centred, 1e-5, 1e-3}, 2).diverged_at, 2);
}

// ---- MuJoCo: differences of higher order, through contacts, for every integrator ----------------------------------------

/// Derivatives of the next state by finite differences of sixth order, with an error estimate from the fourth.
struct Reference {
  MatrixXd value, error;  ///< [ndx, ndx + da]
};

class HighOrder {
 public:
  explicit HighOrder(const Task& task) : task_(task), system_(task.system->clone()) {}

  Reference at(const VectorXd& x, const VectorXd& a, double state_step, double action_step) {
    const Index ndx = system_->ndx(), da = task_.da();
    Reference r{MatrixXd(ndx, ndx + da), MatrixXd(ndx, ndx + da)};
    for (Index j = 0; j < ndx + da; ++j) {
      const double h = j < ndx ? state_step : action_step;
      const VectorXd coarse = slope(x, a, j, 4.0 * h), medium = slope(x, a, j, 2.0 * h), fine = slope(x, a, j, h);
      const VectorXd fourth_coarse = (4.0 * medium - coarse) / 3.0, fourth = (4.0 * fine - medium) / 3.0;
      r.value.col(j) = (16.0 * fourth - fourth_coarse) / 15.0;
      r.error.col(j) = (r.value.col(j) - fourth).cwiseAbs();
    }
    return r;
  }

  VectorXd next(const VectorXd& x, const VectorXd& a) {
    VectorXd u = VectorXd::Zero(system_->nu()), to(system_->nx());
    for (std::size_t i = 0; i < task_.control_index.size(); ++i) u[task_.control_index[i]] = a[static_cast<Index>(i)];
    system_->reset(x);
    EXPECT_TRUE(system_->step(u));
    system_->state(to);
    return to;
  }
  VectorXd moved(const VectorXd& x, const VectorXd& dx) const {
    VectorXd to(system_->nx());
    system_->integrate(x, dx, to);
    return to;
  }
  VectorXd difference(const VectorXd& from, const VectorXd& to) const {
    VectorXd dx(system_->ndx());
    system_->difference(from, to, dx);
    return dx;
  }

 private:
  VectorXd slope(const VectorXd& x, const VectorXd& a, Index j, double h) {
    const Index ndx = system_->ndx();
    const auto shifted = [&](double by) {
      if (j < ndx) return next(moved(x, by * VectorXd::Unit(ndx, j)), a);
      return next(x, a + by * VectorXd::Unit(a.size(), j - ndx));
    };
    return difference(shifted(-h), shifted(h)) / (2.0 * h);
  }

  const Task& task_;
  std::unique_ptr<System> system_;
};

/// Compares at one state. @return share of the columns where the reference knows its value: no contact opens, closes, sticks
/// or slips within its steps
double expect_agreement(const Task& task, const VectorXd& x, const VectorXd& a, const std::string& where) {
  const LinearisationOptions options;
  HighOrder high_order(task);
  MatrixXd states(x.size(), 2);
  states << x, x;
  const Linearisation lin = linearise(task, states, a, options);
  EXPECT_EQ(lin.diverged_at, -1) << where;
  const Reference ref = high_order.at(x, a, 3e-5, 3e-3);
  MatrixXd found(ref.value.rows(), ref.value.cols());
  found << lin.A[0], lin.B[0];
  const double scale = 1.0 + ref.value.cwiseAbs().maxCoeff();
  int known = 0;
  for (Index j = 0; j < found.cols(); ++j) {
    if (ref.error.col(j).maxCoeff() > 1e-5 * scale) continue;
    ++known;
    EXPECT_LT((found.col(j) - ref.value.col(j)).cwiseAbs().maxCoeff(), 1e-5 * scale) << where << ", column " << j;
  }
  return static_cast<double>(known) / static_cast<double>(found.cols());
}

/// A state that the task comes through: from near its start, some steps of random actions.
VectorXd visited_state(const Task& task, double spread, double push, int steps, Stream& random) {
  const auto system = task.system->clone();
  VectorXd x(system->nx()), u = VectorXd::Zero(system->nu());
  system->integrate(task.start.mean, spread * random_vector(system->ndx(), random), x);
  system->reset(x);
  for (int t = 0; t < steps; ++t) {
    for (const Index i : task.control_index) u[i] = push * random.normal();
    if (!system->step(u)) break;
    system->state(x);
  }
  return x;
}

TEST(Linearise, AgreesWithDifferencesOfHigherOrderOnEveryBundledTask) {
  int tasks = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() + "/tasks")) {
    const std::string file = entry.path() / "task.toml";
    if (!std::filesystem::exists(file)) continue;
    const Task task = load_task(file).task;
    if (task.name.starts_with("table_tennis")) continue;  // has no derivatives where the ball is hit
    ++tasks;
    Stream random(3, 0, 0, 0);
    double known = 0.0;
    const int states = 12;
    for (int n = 0; n < states; ++n) {
      const VectorXd x = visited_state(task, 0.1, 5.0, 3 * n, random);
      known += expect_agreement(task, x, random_vector(task.da(), random), fmt::format("{} state {}", task.name, n));
    }
    EXPECT_GT(known / states, 0.9) << task.name;
  }
  EXPECT_GE(tasks, 4);
}

/// A box on the ground with an arm: free, ball and hinge joints, contacts, a joint limit, friction, an activation.
Task arm_task(const std::string& integrator, int substeps, const std::string& cone) {
  const auto file = std::filesystem::temp_directory_path() / fmt::format("kedge_arm_{}.xml", ::getpid());
  std::ofstream(file) << R"(<mujoco><option timestep="0.004" tolerance="1e-12" iterations="100" integrator=")"
                      << integrator << R"(" cone=")" << cone << R"("/>
  <default><geom solref="0.05 1" solimp="0 0.9 0.04"/></default>
  <worldbody><geom type="plane" size="5 5 1"/>
    <body pos="0 0 0.3"><freejoint/><geom type="box" size="0.1 0.12 0.1"/>
      <body pos="0 0 0.1"><joint type="ball" damping="0.1"/><geom type="capsule" fromto="0 0 0 0.2 0 0.1" size="0.03"/>
        <body pos="0.2 0 0.1"><joint name="arm" axis="0 1 0" limited="true" range="-60 60" damping="0.05"/>
        <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02"/></body></body></body>
  </worldbody>
  <actuator><motor name="motor" joint="arm"/><general joint="arm" dyntype="filter" dynprm="0.05" gainprm="3"/></actuator></mujoco>)";
  const LoadedModel loaded = load_mujoco_model(file);
  std::filesystem::remove(file);
  EXPECT_TRUE(loaded.model) << loaded.error;
  Task task;
  task.name = "arm";
  task.system = std::make_shared<MujocoSystem>(loaded.model, substeps);
  task.horizon = 1;
  task.control_index = {0, 1};
  task.action_low = VectorXd::Constant(2, -std::numeric_limits<double>::infinity());
  task.action_high = -task.action_low;
  task.start.mean = VectorXd::Zero(task.nx());
  task.start.mean[2] = 0.1;
  task.start.mean[3] = task.start.mean[7] = 1.0;
  return task;
}

TEST(Linearise, AgreesWithDifferencesOfHigherOrderForEveryIntegratorWithContactsAndQuaternions) {
  for (const std::string integrator : {"Euler", "RK4", "implicit"})
    for (const std::string cone : {"pyramidal", "elliptic"})
      for (const int substeps : {1, 3}) {
        const Task task = arm_task(integrator, substeps, cone);
        Stream random(4, 0, 0, 0);
        double known = 0.0;
        const int states = 4;
        for (int n = 0; n < states; ++n) {
          const VectorXd x = visited_state(task, 0.02, 1.0, 20 + 5 * n, random);
          known += expect_agreement(task, x, random_vector(2, random),
                                    fmt::format("{} {} {} state {}", integrator, cone, substeps, n));
        }
        EXPECT_GT(known / states, 0.8) << integrator << ' ' << cone << ' ' << substeps;
      }
}

TEST(Linearise, PredictsNextStatesToSecondOrder) {
  const Task task = arm_task("implicit", 2, "elliptic");
  HighOrder high_order(task);
  Stream random(5, 0, 0, 0);
  const VectorXd x = visited_state(task, 0.02, 1.0, 30, random), a = random_vector(2, random);
  MatrixXd states(x.size(), 2);
  states << x, x;
  const Linearisation lin = linearise(task, states, a);
  const VectorXd dx = random_vector(task.system->ndx(), random).normalized(),
                 du = random_vector(2, random).normalized();
  const auto error = [&](double h) {
    const VectorXd there = high_order.next(high_order.moved(x, h * dx), a + h * du);
    return (high_order.difference(high_order.next(x, a), there) - h * (lin.A[0] * dx + lin.B[0] * du)).norm();
  };
  EXPECT_LT(error(1e-3), 0.1 * 1e-3 * lin.A[0].norm());
  EXPECT_NEAR(error(1e-3) / error(5e-4), 4.0, 0.5);
}

/// The same dynamics without a quick way to their derivatives.
class WholeSteps final : public System {
 public:
  explicit WholeSteps(std::unique_ptr<System> system) : system_(std::move(system)) {}
  [[nodiscard]] Index nx() const override { return system_->nx(); }
  [[nodiscard]] Index nu() const override { return system_->nu(); }
  [[nodiscard]] Index nsensor() const override { return system_->nsensor(); }
  [[nodiscard]] std::unique_ptr<System> clone() const override {
    return std::make_unique<WholeSteps>(system_->clone());
  }
  void reset(VectorIn x) override { system_->reset(x); }
  [[nodiscard]] bool step(VectorIn u) override { return system_->step(u); }
  void settle() override { system_->settle(); }
  void state(VectorOut x) const override { system_->state(x); }
  void sensors(VectorOut y) const override { system_->sensors(y); }

 private:
  std::unique_ptr<System> system_;
};

/// Two links with sensors of all three stages, and soft limits that hold both joints: one follows, one is cut off.
Task limited_task(const std::string& integrator, int substeps) {
  const auto file = std::filesystem::temp_directory_path() / fmt::format("kedge_limits_{}.xml", ::getpid());
  std::ofstream(file) << R"(<mujoco><option timestep="0.01" integrator=")" << integrator << R"("/>
  <worldbody><body><joint name="a" axis="0 1 0" damping="0.1"/><geom type="capsule" fromto="0 0 0 0 0 1" size="0.05"/>
    <body pos="0 0 1"><joint name="b" axis="0 1 0" damping="0.1"/><geom type="capsule" fromto="0 0 0 0 0 1" size="0.05"/>
    <site name="tip" pos="0 0 1"/></body></body></worldbody>
  <actuator><motor joint="a"/><motor joint="b"/></actuator>
  <sensor><framepos objtype="site" objname="tip"/><velocimeter site="tip"/><accelerometer site="tip"/></sensor></mujoco>)";
  const LoadedModel loaded = load_mujoco_model(file);
  std::filesystem::remove(file);
  EXPECT_TRUE(loaded.model) << loaded.error;
  Task task;
  task.name = "limits";
  task.system = std::make_shared<MujocoSystem>(loaded.model, substeps,
                                               std::vector<JointLimit>{{0, 0, 0, -1.0, 1.0, 20.0, 2.0, -100.0, 100.0},
                                                                       {1, 1, 1, -1.0, 1.0, 50.0, 1.0, -3.0, 3.0}});
  task.horizon = 1;
  task.control_index = {0, 1};
  task.action_low = VectorXd::Constant(2, -5.0);
  task.action_high = -task.action_low;
  CostTerm cost;
  cost.residual.source = Source::sensor;
  task.cost = {cost};
  return task;
}

TEST(Linearise, AgreesWithDifferencesOfWholeStepsOnSensorsAndJointLimits) {
  Eigen::Matrix4Xd states(4, 4);  // no limit passed; the first; the second, whose control is cut off; both
  states << 0.3, 1.4, 0.2, -1.3,  //
      -0.2, 0.3, 1.5, -1.6,       //
      0.5, -0.3, 0.7, 0.2,        //
      -1.0, 0.4, 0.6, 0.3;
  for (const std::string integrator : {"Euler", "RK4"})
    for (const int substeps : {1, 3}) {
      const Task task = limited_task(integrator, substeps);
      Task whole = task;
      whole.system = std::make_shared<WholeSteps>(task.system->clone());
      for (const bool centred : {true, false})
        for (Index n = 0; n < states.cols(); ++n)
          for (const double second : {0.7, 5.0}) {  // the second action is at its limit
            SCOPED_TRACE(fmt::format("{} {} {} state {} action {}", integrator, substeps, centred, n, second));
            const MatrixXd x = states.col(n).replicate(1, 2), a = (VectorXd(2) << -0.4, second).finished();
            const LinearisationOptions options{centred, centred ? 1e-5 : 1e-7, centred ? 1e-3 : 1e-5};
            const Linearisation found = linearise(task, x, a, options), expected = linearise(whole, x, a, options);
            const auto expect_near = [&](const MatrixXd& one, const MatrixXd& other) {
              ASSERT_EQ(one.size(), other.size());
              EXPECT_LT((one - other).cwiseAbs().maxCoeff(), 2e-5 * (1.0 + other.cwiseAbs().maxCoeff()));
            };
            expect_near(found.A[0], expected.A[0]);
            expect_near(found.B[0], expected.B[0]);
            expect_near(found.C[0], expected.C[0]);
            expect_near(found.D[0], expected.D[0]);
            EXPECT_GT(found.C[0].cwiseAbs().maxCoeff(), 0.1);
          }
    }
}

}  // namespace
}  // namespace kedge
