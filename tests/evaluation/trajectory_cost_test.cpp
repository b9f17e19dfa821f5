#include "kedge/evaluation/trajectory_cost.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/evaluation/wave.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using test::term;
using test::vec;
using test::wave_task;

constexpr int kSteps = 4;

/// A trajectory of the wave, with its sensors.
struct Path {
  MatrixXd x{2, kSteps + 1}, a{2, kSteps}, y{2, kSteps + 1};
  explicit Path(const Task& task) {
    Stream random(1, 0, 0, 0);
    const auto system = task.system->clone();
    system->reset(vec({0.7, -0.4}));
    for (int t = 0; t < kSteps; ++t) {
      a.col(t) = 0.5 * random_vector(2, random);
      system->state(x.col(t));
      EXPECT_TRUE(system->step(a.col(t)));
      system->sensors(y.col(t));
    }
    system->state(x.col(kSteps));
    system->settle();
    system->sensors(y.col(kSteps));
  }
};

std::vector<StageCost> expand(const Task& task, const Path& path, int threads = 1) {
  SystemClones clones(*task.system, threads);
  const Linearisation lin = linearise(task, path.x, path.a, {}, clones);
  return trajectory_cost(task, path.x, path.a, path.y, lin, threads);
}

/// The cost of step t at x_t + dx, a_t + du, through the system and its sensors.
double cost_at(const Task& task, const Path& path, int t, const VectorXd& dx, const VectorXd& du) {
  const auto system = task.system->clone();
  system->reset(path.x.col(t) + dx);
  VectorXd a = VectorXd::Zero(2), u = a, y(2);
  if (t < kSteps) {
    a = path.a.col(t) + du;
    u = a.cwiseMax(task.action_low).cwiseMin(task.action_high);
    EXPECT_TRUE(system->step(u));
  } else {
    system->settle();
  }
  system->sensors(y);
  double sum = 0.0;
  for (const CostTerm& item : task.cost)
    if (item.active[static_cast<std::size_t>(t)]) sum += term_value(item, path.x.col(t) + dx, a, u, y);
  return sum;
}

/// First and second derivatives of cost_at by z = [dx; du].
struct Derivatives {
  VectorXd g{4};
  MatrixXd H{4, 4};
};
Derivatives differences(const Task& task, const Path& path, int t, double h) {
  const auto f = [&](const VectorXd& z) { return cost_at(task, path, t, z.head(2), z.tail(2)); };
  const auto e = [&](Index i) { return VectorXd(h * VectorXd::Unit(4, i)); };
  Derivatives d;
  for (Index i = 0; i < 4; ++i) {
    d.g[i] = (f(e(i)) - f(-e(i))) / (2.0 * h);
    for (Index j = 0; j < 4; ++j)
      d.H(i, j) = (f(e(i) + e(j)) - f(e(i) - e(j)) - f(e(j) - e(i)) + f(-e(i) - e(j))) / (4.0 * h * h);
  }
  return d;
}

VectorXd gradient(const StageCost& q) { return (VectorXd(4) << q.gx, q.gu).finished(); }
MatrixXd hessian(const StageCost& q) {
  MatrixXd H(4, 4);
  H << q.Hxx, q.Hux.transpose(), q.Hux, q.Huu;
  return H;
}

Task with_terms(std::vector<CostTerm> terms) {
  Task task = wave_task(kSteps);
  task.cost = std::move(terms);
  return task;
}

/// A term of each source, with matrix, target and weights.
std::vector<CostTerm> terms(Norm norm, std::initializer_list<Source> sources) {
  Stream random(2, 0, 0, 0);
  std::vector<CostTerm> all;
  for (const Source source : sources) {
    CostTerm item = term("term", source, {1, 0}, kSteps);
    item.residual.matrix = random_matrix(3, 2, random);
    item.residual.target = random_vector(3, random);
    item.weight = vec({0.5, 2.0, 1.0});
    item.norm = norm;
    item.width = 0.3;
    all.push_back(item);
  }
  return all;
}

TEST(TrajectoryCost, ValueAndGradientAreThoseOfTheDeclaredCost) {
  for (const Norm norm : {Norm::quadratic, Norm::smooth, Norm::bounded, Norm::distance, Norm::absolute}) {
    const Task task = with_terms(terms(norm, {Source::state, Source::action, Source::control, Source::sensor}));
    const Path path(task);
    const std::vector<StageCost> q = expand(task, path);
    for (int t = 0; t <= kSteps; ++t) {
      const auto i = static_cast<std::size_t>(t);
      EXPECT_NEAR(q[i].c, cost_at(task, path, t, VectorXd::Zero(2), VectorXd::Zero(2)), 1e-12);
      EXPECT_LT((gradient(q[i]) - differences(task, path, t, 1e-5).g).norm(), 1e-7) << t;
      EXPECT_GT(gradient(q[i]).norm(), 0.1);
      EXPECT_EQ(hessian(q[i]).norm() == 0.0, norm == Norm::absolute);
    }
  }
}

TEST(TrajectoryCost, OfAnAttitudeFollowsTheNearerSign) {
  CostTerm attitude =
      term("attitude", Source::state, {1, 0, 0, 1}, kSteps);  // the algorithm does not ask for a norm of 1
  attitude.residual.quaternion = true;
  for (const double sign : {1.0, -1.0}) {
    attitude.residual.target = sign * vec({-0.3, 0.5, 0.7, -0.1});
    for (const Norm norm : {Norm::quadratic, Norm::distance}) {
      attitude.norm = norm;
      const Task task = with_terms({attitude});
      const Path path(task);
      const std::vector<StageCost> q = expand(task, path);
      for (int t = 0; t <= kSteps; ++t) {
        const auto i = static_cast<std::size_t>(t);
        EXPECT_NEAR(q[i].c, cost_at(task, path, t, VectorXd::Zero(2), VectorXd::Zero(2)), 1e-12);
        EXPECT_LT((gradient(q[i]) - differences(task, path, t, 1e-5).g).norm(), 1e-7) << t;
        EXPECT_LT((hessian(q[i]) - differences(task, path, t, 3e-4).H).norm(), 1e-4) << t;
      }
    }
  }
}

TEST(TrajectoryCost, HessianIsExactForStatesAndActions) {
  for (const Norm norm : {Norm::quadratic, Norm::smooth, Norm::distance}) {
    const Task task = with_terms(terms(norm, {Source::state, Source::action, Source::control}));
    const Path path(task);
    const std::vector<StageCost> q = expand(task, path);
    for (int t = 0; t <= kSteps; ++t)
      EXPECT_LT((hessian(q[static_cast<std::size_t>(t)]) - differences(task, path, t, 3e-4).H).norm(), 1e-4) << t;
  }
}

TEST(TrajectoryCost, HessianIsGaussNewtonForSensors) {
  Task task = with_terms(terms(Norm::quadratic, {Source::sensor}));
  const Path path(task);
  const std::vector<StageCost> q = expand(task, path);
  const CostTerm& item = task.cost[0];
  for (int t = 0; t <= kSteps; ++t) {
    MatrixXd J = MatrixXd::Zero(2, 4);  // of y = [x0 x1, u0 x0] by x0, x1, u0, u1; at the end without an action
    J.row(0) << path.x(1, t), path.x(0, t), 0.0, 0.0;
    if (t < kSteps) J.row(1) << path.a(0, t), 0.0, path.x(0, t), 0.0;
    const MatrixXd r_z = item.residual.matrix * J(std::vector<Index>{1, 0}, Eigen::all);
    const MatrixXd expected = 2.0 * r_z.transpose() * item.weight.asDiagonal() * r_z;
    EXPECT_LT((hessian(q[static_cast<std::size_t>(t)]) - expected).norm(), 1e-7 * expected.norm()) << t;
  }
}

TEST(TrajectoryCost, CountsActiveTermsOnly) {
  Task task = with_terms(terms(Norm::quadratic, {Source::state}));
  task.cost[0].active.assign(kSteps + 1, 0);
  task.cost[0].active[2] = 1;
  const Path path(task);
  const std::vector<StageCost> q = expand(task, path);
  for (std::size_t t = 0; t <= kSteps; ++t) EXPECT_EQ(q[t].c > 0.0 && q[t].Hxx.norm() > 0.0, t == 2);
}

TEST(TrajectoryCost, ControlsBeyondTheirLimitsDoNotMove) {
  const Task task = with_terms(terms(Norm::quadratic, {Source::control}));
  Path path(task);
  path.a.col(1) << 2.5, -1.0;  // beyond; at the limit
  const std::vector<StageCost> q = expand(task, path);
  EXPECT_EQ(q[1].gu[0], 0.0);
  EXPECT_EQ(q[1].Huu(0, 0), 0.0);
  EXPECT_GT(q[1].Huu(1, 1), 0.0);
  EXPECT_NEAR(q[1].c, cost_at(task, path, 1, VectorXd::Zero(2), VectorXd::Zero(2)), 1e-12);
}

TEST(TrajectoryCost, IsTheSameForAnyNumberOfThreads) {
  const Task task = with_terms(terms(Norm::smooth, {Source::state, Source::action, Source::sensor}));
  const Path path(task);
  const std::vector<StageCost> one = expand(task, path), many = expand(task, path, 8);
  for (std::size_t t = 0; t <= kSteps; ++t) {
    EXPECT_TRUE(test::same_bits(hessian(one[t]), hessian(many[t])));
    EXPECT_TRUE(test::same_bits(gradient(one[t]), gradient(many[t])));
  }
}

}  // namespace
}  // namespace kedge
