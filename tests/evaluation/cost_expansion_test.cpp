// Quadratic models of declared costs, against finite differences of the task's own cost.
#include "kedge/evaluation/cost_expansion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data.h"
#include "kedge/core/errors.h"
#include "kedge/system/linear_system.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr int T = 4;
const std::vector<char> decisions = {1, 1, 1, 1, 0}, everywhere = {1, 1, 1, 1, 1}, end = {0, 0, 0, 0, 1};

/// Three states, of which 2 and 0 are observed in this order; two actions that drive controls 2 and 0 of three.
Task task_with(std::vector<CostTerm> cost) {
  Task task;
  task.name = "invented";
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(3, 3), MatrixXd::Ones(3, 3));
  task.horizon = T;
  task.control_step = 0.1;
  task.observation = {2, 0};
  task.observation_names = {"z", "x"};
  task.control_index = {2, 0};
  task.action_names = {"a", "b"};
  task.action_low = vec({-1, -2});
  task.action_high = vec({1, 2});
  task.start = {StartDistribution::Kind::gaussian, VectorXd::Zero(3), VectorXd::Ones(3)};
  task.cost = std::move(cost);
  validate(task);
  return task;
}

MatrixXd mix() {
  MatrixXd m(2, 2);
  m << 1, -0.5, 0.3, 2;
  return m;
}

/// Cost terms of every source and norm that can be expanded; in turn.
std::vector<CostTerm> terms(Norm norm) {
  const double width = norm == Norm::smooth ? 0.3 : 0.0;
  return {
      {"state", {Source::state, {0, 2}, mix(), vec({0.2, -1}), false}, vec({1, 3}), norm, width, everywhere},
      {"action", {Source::action, {1, 0}, {}, vec({0.5, 0}), true}, vec({0.1, 2}), norm, width, decisions},
      {"control", {Source::control, {2, 1}, mix(), vec({0, 0.1}), true}, vec({0.7, 0.9}), norm, width, decisions},
      {"arrival", {Source::state, {2}, {}, vec({1}), false}, vec({10}), norm, width, end},
  };
}

/// The task's cost at z = [s; a], by its own functions.
double true_cost(const Task& task, int t, const VectorXd& z) {
  VectorXd x = VectorXd::Zero(3), u = VectorXd::Zero(3), a;
  x[2] = z[0], x[0] = z[1];
  if (t < T) {
    a = z.tail(2);
    u[2] = std::clamp(a[0], -1.0, 1.0), u[0] = std::clamp(a[1], -2.0, 2.0);
  }
  double sum = 0.0;
  for (const CostTerm& term : task.cost)
    if (term.active[static_cast<std::size_t>(t)]) sum += term_value(term, x, a, u, VectorXd());
  return sum;
}

/// Gradient and Hessian by central differences.
template <class Function>
Quadratic differences(Function f, const VectorXd& z, double h) {
  const Index n = z.size();
  Quadratic q{f(z), VectorXd(n), MatrixXd(n, n)};
  const auto at = [&](Index i, double a, Index j, double b) {
    VectorXd y = z;
    y[i] += a, y[j] += b;
    return f(y);
  };
  for (Index i = 0; i < n; ++i) {
    q.g[i] = (at(i, h, i, 0) - at(i, -h, i, 0)) / (2 * h);
    for (Index j = 0; j < n; ++j)
      q.H(i, j) = (at(i, h, j, h) - at(i, h, j, -h) - at(i, -h, j, h) + at(i, -h, j, -h)) / (4 * h * h);
  }
  return q;
}

/// Value, gradient and Hessian of a quadratic at z.
void expect_same_at(const Quadratic& q, const VectorXd& z, const Quadratic& local, double tolerance) {
  EXPECT_NEAR(q(z), local.c, tolerance);
  EXPECT_LT((q.g + q.H * z - local.g).cwiseAbs().maxCoeff(), tolerance);
  EXPECT_LT((q.H - local.H).cwiseAbs().maxCoeff(), 100 * tolerance);
}

Moments random_moments(Index n, Stream& random) {
  const Gaussian g = random_gaussian(n, 0.5, random);
  return {g.mean, g.cov};
}

TEST(CostExpansion, HasValueGradientAndHessianOfTheTasksCost) {
  for (const Norm norm : {Norm::quadratic, Norm::smooth}) {
    const Task task = task_with(terms(norm));
    Stream random(61, 0, 0, 0);
    for (int sample = 0; sample < 20; ++sample)
      for (const int t : {0, T - 1, T}) {
        Moments z = random_moments(t < T ? 4 : 2, random);
        if (t < T) z.mean[2] = std::clamp(z.mean[2], -0.9, 0.9), z.mean[3] = std::clamp(z.mean[3], -1.9, 1.9);
        const Quadratic q = cost_expansion(task, t, z);
        const auto cost = [&](const VectorXd& y) { return true_cost(task, t, y); };
        expect_same_at(q, z.mean, differences(cost, z.mean, 1e-4), 2e-5);
        EXPECT_GE(Eigen::SelfAdjointEigenSolver<MatrixXd>(q.H).eigenvalues()[0], -1e-12);
      }
  }
}

TEST(CostExpansion, IsExactEverywhereForQuadraticCosts) {
  const Task task = task_with(terms(Norm::quadratic));
  Stream random(62, 0, 0, 0);
  Moments z = random_moments(4, random);
  z.mean *= 0.1;
  const Quadratic q = cost_expansion(task, 0, z);
  for (int i = 0; i < 20; ++i) {
    const VectorXd y = 0.5 * random_vector(4, random).cwiseMax(-1.9).cwiseMin(1.9);  // inside the limits
    EXPECT_NEAR(q(y), true_cost(task, 0, y), 1e-12 * (1 + std::abs(q(y))));
  }
}

/// E cost(mean + z), z ~ N(0, cov), by a fine grid over the only two entries that it depends on.
TEST(CostExpansion, HasTheExpectedDerivativesOfAbsoluteValues) {
  const Task task =
      task_with({{"x", {Source::state, {0}, {}, vec({0.2}), false}, vec({3}), Norm::absolute, 0, everywhere}});
  Stream random(63, 0, 0, 0);
  for (int sample = 0; sample < 10; ++sample) {
    const Moments z = random_moments(4, random);
    const double std = std::sqrt(z.cov(1, 1));
    const auto expected = [&](const VectorXd& mean) {
      double sum = 0.0;
      for (int k = -4000; k <= 4000; ++k) {
        const double d = 2e-3 * k;
        sum += 2e-3 * std::exp(-0.5 * d * d) / std::sqrt(2 * M_PI) * 3 * std::abs(mean[1] + std * d - 0.2);
      }
      return sum;
    };
    const Quadratic q = cost_expansion(task, 0, z), local = differences(expected, z.mean, 0.02 * std);
    EXPECT_LT((q.g + q.H * z.mean - local.g).cwiseAbs().maxCoeff(), 1e-3);
    EXPECT_NEAR(q.H(1, 1), local.H(1, 1), 0.02 * q.H(1, 1) + 1e-3);
    EXPECT_NEAR(q(z.mean) + 0.5 * q.H(1, 1) * z.cov(1, 1), local.c, 1e-5);  // E q = E cost
  }
  const Moments fixed{vec({0, 1, 0, 0}), MatrixXd::Zero(4, 4)};
  const Quadratic q = cost_expansion(task, 0, fixed);
  EXPECT_DOUBLE_EQ(q(fixed.mean), 3 * 0.8);
  EXPECT_EQ(q.g[1], 3.0);
  EXPECT_TRUE(q.H.isZero(0));
}

TEST(CostExpansion, IsConstantForAControlBeyondItsLimits) {
  const Task task =
      task_with({{"u", {Source::control, {2}, {}, vec({0}), true}, vec({5}), Norm::quadratic, 0, decisions}});
  const Moments beyond{vec({0, 0, 1.5, 0}), MatrixXd::Identity(4, 4)};
  const Quadratic q = cost_expansion(task, 0, beyond);
  EXPECT_EQ(q(beyond.mean), 5.0);
  EXPECT_TRUE(q.g.isZero(0) && q.H.isZero(0));
}

TEST(CostExpansion, RejectsCostsOfUnobservedStatesAndSensorsWithoutAModel) {
  const auto refusal = [](CostTerm term) {
    try {
      Task task = task_with(terms(Norm::quadratic));
      require_expandable(task);
      task.cost.push_back(std::move(term));
      require_expandable(task);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal({"hidden", {Source::state, {0, 1}, {}, vec({0, 0}), false}, vec({1, 1}), {}, 0, everywhere}),
              HasSubstr("task invented: cost hidden reads state entry 1, which is not observed"));
  EXPECT_THAT(refusal({"tip", {Source::sensor, {0}, {}, vec({0}), false}, vec({1}), {}, 0, everywhere}),
              HasSubstr("cost tip reads sensors, and state entry 1 is not observed"));
  EXPECT_THAT(refusal({"push", {Source::sensor, {0}, {}, vec({0}), true}, vec({1}), {}, 0, decisions}),
              HasSubstr("cost push reads sensors that depend on forces"));
}

/// A system that shows its states.
class Shown final : public System {
 public:
  [[nodiscard]] Index nx() const override { return 3; }
  [[nodiscard]] Index nu() const override { return 3; }
  [[nodiscard]] Index nsensor() const override { return 3; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Shown>(*this); }
  void reset(VectorIn x) override { x_ = x; }
  [[nodiscard]] bool step(VectorIn) override { return true; }
  void settle() override {}
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut y) const override { y = x_; }

 private:
  VectorXd x_ = VectorXd::Zero(3);
};

TEST(CostExpansion, OfAnObservedSensorIsThatOfTheStateItShows) {
  const std::vector<CostTerm> by_state = {
      {"state", {Source::state, {0, 2}, mix(), vec({0.2, -1}), false}, vec({1, 3}), Norm::smooth, 0.3, everywhere}};
  std::vector<CostTerm> by_sensor = by_state;
  by_sensor[0].residual.source = Source::sensor;
  const Task of_state = task_with(by_state);
  Task of_sensor = of_state;
  of_sensor.system = std::make_shared<Shown>();
  of_sensor.cost = by_sensor;
  of_sensor.observation = {3 + 2, 3 + 0};
  validate(of_sensor);
  EXPECT_FALSE(reads_unobserved(of_sensor));
  Stream random(64, 0, 0, 0);
  const Moments z = random_moments(4, random);
  const Quadratic a = cost_expansion(of_state, 0, z), b = cost_expansion(of_sensor, 0, z);
  EXPECT_EQ(a.c, b.c);
  EXPECT_EQ(a.g, b.g);
  EXPECT_EQ(a.H, b.H);
  of_sensor.observation = {3 + 2, 0};
  EXPECT_TRUE(reads_unobserved(of_sensor)) << "sensor 0 is not seen";
}

TEST(CostExpansion, OfAnAttitudeFollowsTheNearerSign) {
  Task task = task_with({{"q",
                          {Source::state, {0, 2, 2, 0}, {}, vec({0.5, -0.5, 0.5, -0.5}), false},
                          vec({1, 2, 3, 4}),
                          {},
                          0,
                          everywhere}});
  task.cost[0].residual.quaternion = true;
  Stream random(65, 0, 0, 0);
  for (int i = 0; i < 20; ++i) {
    const Moments z = random_moments(4, random);
    const Quadratic q = cost_expansion(task, 0, z);
    expect_same_at(q, z.mean, differences([&](const VectorXd& y) { return true_cost(task, 0, y); }, z.mean, 1e-4),
                   2e-5);
  }
  task.cost[0].residual.target = vec({0.9, 0.1, 0.1, 0.9});  // -q = [1, 0.2, 0.2, 1] is near
  const Moments behind{vec({-0.2, -1, 0, 0}), MatrixXd::Zero(4, 4)};
  EXPECT_NEAR(cost_expansion(task, 0, behind)(behind.mean), 0.01 + 2 * 0.01 + 3 * 0.01 + 4 * 0.01, 1e-12);
}

TEST(CostExpansion, TakesWhatIsNotObservedFromItsModel) {
  const Task task =
      task_with({{"hidden", {Source::state, {1}, {}, vec({0.5}), false}, vec({3}), Norm::quadratic, 0, everywhere}});
  EXPECT_TRUE(reads_unobserved(task));
  EXPECT_FALSE(reads_unobserved(task_with(terms(Norm::quadratic))));
  Task sensed = task;
  sensed.cost = {{"tip", {Source::sensor, {0}, {}, vec({0}), false}, vec({1}), Norm::quadratic, 0, everywhere}};
  EXPECT_TRUE(reads_unobserved(sensed));
  Stream random(63, 0, 0, 0);
  const Index row = task.system->nsensor() + 1;
  const LinearDynamics model{random_matrix(task.system->nsensor() + 3, 4, random), random_vector(row + 2, random), {}};
  const Quadratic q = cost_expansion(task, 0, random_moments(4, random), &model);
  for (int i = 0; i < 10; ++i) {
    const VectorXd z = random_vector(4, random);
    const double r = model.F.row(row).dot(z) + model.f[row] - 0.5;
    EXPECT_NEAR(q(z), 3.0 * r * r, 1e-10);
  }
}

}  // namespace
}  // namespace kedge
