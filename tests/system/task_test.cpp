// Tasks as data: cost terms against their formulas written out, every rule that `validate` checks, start states, and the
// linear system.
#include "kedge/system/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/system/linear_system.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// ---- cost terms ----------------------------------------------------------------------------------------------------

struct Point {
  VectorXd x, a, u, y;
  [[nodiscard]] const VectorXd& of(Source source) const {
    switch (source) {
      case Source::state: return x;
      case Source::action: return a;
      case Source::control: return u;
      default: return y;
    }
  }
};

/// The formulas of task.h, in plain loops.
double plain_value(const CostTerm& term, const Point& at) {
  const Residual& spec = term.residual;
  double sum = 0.0;
  for (Index row = 0; row < spec.target.size(); ++row) {
    double r = -spec.target[row];
    for (std::size_t j = 0; j < spec.index.size(); ++j) {
      const double entry = at.of(spec.source)[spec.index[j]];
      if (spec.matrix.size() > 0) r += spec.matrix(row, static_cast<Index>(j)) * entry;
      if (spec.matrix.size() == 0 && static_cast<Index>(j) == row) r += entry;
    }
    double norm = 0.0;
    if (spec.angle) r = std::atan2(std::sin(r), std::cos(r));
    if (term.norm == Norm::absolute) norm = std::abs(r);
    if (term.norm == Norm::quadratic || term.norm == Norm::distance) norm = r * r;
    if (term.norm == Norm::smooth) norm = std::sqrt(r * r + term.width * term.width) - term.width;
    if (term.norm == Norm::bounded) norm = 1.0 / (1.0 / (r * r) + 1.0 / (term.width * term.width));
    sum += term.weight[row] * norm;
  }
  if (term.norm == Norm::distance) return std::sqrt(sum + term.width * term.width) - term.width;
  return sum;
}

TEST(ResidualText, IsWhatTheResidualComputes) {
  Residual r{Source::state, {3, 4}, {}, vec({0.5, 0}), false};
  EXPECT_EQ(residual_text(r), "state[3] - 0.5, state[4]");
  r.names = {"qpos:a", "qpos:b"};
  r.matrix = MatrixXd(3, 2);
  r.matrix << 1, -1, 0, 2.5, 0, 0;
  r.target = vec({-2, 0, 0});
  EXPECT_EQ(residual_text(r), "qpos:a - qpos:b + 2, 2.5 qpos:b, 0");
  r.angle = true;
  r.matrix = {};
  r.target = vec({0, 1});
  EXPECT_EQ(residual_text(r), "qpos:a, qpos:b - 1, as angles");
  r.index.assign(9, 0), r.names.assign(9, "x"), r.target = VectorXd::Zero(9), r.angle = false;
  EXPECT_EQ(residual_text(r), "x, x, x, x, x, x, ... (9 in all)");
}

TEST(TermValue, IsItsFormulaForEverySourceNormAndMatrix) {
  std::uint32_t name = 0;
  for (const Source source : {Source::state, Source::action, Source::control, Source::sensor})
    for (const Norm norm : {Norm::quadratic, Norm::absolute, Norm::smooth, Norm::bounded, Norm::distance})
      for (const bool with_matrix : {false, true})
        for (const Index entries : {1, 3, 16, 17, 40}) {  // 16 is where residuals move to the heap
          Stream random(7, 0, name++, 0);
          const Point at{random_vector(50, random), random_vector(50, random), random_vector(50, random),
                         random_vector(50, random)};
          CostTerm term;
          term.residual.source = source;
          term.residual.angle = entries > 3;
          for (Index j = 0; j < entries; ++j) term.residual.index.push_back(static_cast<Index>(random.bits() % 50));
          const Index n = with_matrix ? 1 + static_cast<Index>(random.bits() % 20) : entries;
          if (with_matrix) term.residual.matrix = random_matrix(n, entries, random);
          term.residual.target = random_vector(n, random);
          term.weight = random_vector(n, random).cwiseAbs();
          term.weight[0] = 0.0;
          term.norm = norm;
          term.width = 0.3;
          const double expected = plain_value(term, at);
          EXPECT_NEAR(term_value(term, at.x, at.a, at.u, at.y), expected, 1e-12 * (1.0 + expected));
        }
}

TEST(TermValue, OfTheSmoothNormIsQuadraticNearZeroAndLinearFarAway) {
  CostTerm term{"", {Source::state, {0}, {}, vec({0}), false}, vec({1}), Norm::smooth, 0.5, {}};
  const auto value = [&](double x) { return term_value(term, vec({x}), VectorXd(), VectorXd(), VectorXd()); };
  EXPECT_EQ(value(0.0), 0.0);
  EXPECT_NEAR(value(1e-3), 1e-6 / (2 * 0.5), 1e-11);
  EXPECT_NEAR(value(1e6), 1e6 - 0.5, 1e-6);
  EXPECT_EQ(value(-2.0), value(2.0));
}

TEST(ResidualFunction, WithoutAMatrixSubtractsTheTarget) {
  const Residual spec{Source::sensor, {2, 0}, {}, vec({1, -1}), false};
  VectorXd r(2);
  residual(spec, VectorXd(), VectorXd(), VectorXd(), vec({10, 20, 30}), r);
  EXPECT_EQ(r, vec({29, 11}));
}

/// A task of two states and one control with one term and a success measure.
Task small_task() {
  Task task;
  task.name = "small";
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(2, 2), MatrixXd::Ones(2, 1));
  task.horizon = 3;
  task.control_step = 0.1;
  task.observation = {0, 1};
  task.control_index = {0};
  task.action_low = vec({-1});
  task.action_high = vec({inf});
  task.start.mean = vec({1, 2});
  task.start.spread = vec({0, 1});
  task.cost.push_back(
      {"place", {Source::state, {0}, {}, vec({0}), false}, vec({1}), Norm::quadratic, 0.0, {1, 1, 1, 1}});
  task.cost.push_back({"effort", {Source::action, {0}, {}, vec({0}), true}, vec({1}), Norm::smooth, 0.1, {1, 1, 1, 0}});
  task.success.push_back(
      {{Source::state, {1}, {}, vec({0}), false}, Success::Statistic::max_abs, 0.5, {0, 0, 0, 1}, ""});
  return task;
}

// ---- actions and success -------------------------------------------------------------------------------------------

Eigen::Quaterniond turn(Stream& random) {
  const VectorXd q = random_vector(4, random).normalized();
  return {q[0], q[1], q[2], q[3]};
}
VectorXd numbers(const Eigen::Quaterniond& q) { return vec({q.w(), q.x(), q.y(), q.z()}); }

TEST(ResidualFunction, OfAnAttitudeIsTheChordOfTheAngleWhateverTheSign) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    Stream random(3, 0, i, 0);
    const Eigen::Quaterniond p = turn(random), q = turn(random);
    Residual spec{Source::sensor, {0, 1, 2, 3}, {}, numbers(p), false};
    spec.quaternion = true;
    VectorXd plus(4), minus(4);
    residual(spec, VectorXd(), VectorXd(), VectorXd(), numbers(q), plus);
    residual(spec, VectorXd(), VectorXd(), VectorXd(), -numbers(q), minus);
    EXPECT_EQ(plus, minus) << "one attitude";
    EXPECT_NEAR(plus.norm(), 2.0 * std::sin(p.angularDistance(q) / 4.0), 1e-7);
    const CostTerm term{"", spec, VectorXd::Ones(4), Norm::quadratic, 0, {}};
    EXPECT_NEAR(term_value(term, VectorXd(), VectorXd(), VectorXd(), numbers(q)), plus.squaredNorm(), 1e-14);
  }
}

TEST(TerminationAt, IsTheFirstOfWhichAnEntryIsOutside) {
  Task task = small_task();
  EXPECT_EQ(termination_at(task, vec({0, 0}), VectorXd()), nullptr) << "there is none";
  Termination wide{"wide", {Source::state, std::vector<Index>(20, 0), {}, VectorXd::Zero(20), false}, {}, {}, 1.0, 0.0};
  wide.low = VectorXd::Constant(20, -inf);
  wide.high = VectorXd::Constant(20, 2.0);
  wide.low[19] = -1.0;
  Termination narrow{"narrow", {Source::state, {1}, {}, vec({0.5}), false}, vec({-1}), vec({1}), 1.0, 0.0};
  task.termination = {wide, narrow};
  validate(task);
  const auto at = [&](double x0, double x1) {
    const Termination* end = termination_at(task, vec({x0, x1}), VectorXd());
    return end ? end->name : "none";
  };
  EXPECT_EQ(at(0, 0), "none");
  EXPECT_EQ(at(2.0, 1.5), "none") << "a bound is within";
  EXPECT_EQ(at(2.1, 0), "wide");
  EXPECT_EQ(at(-1.1, 0), "wide") << "by its last entry";
  EXPECT_EQ(at(0, 1.6), "narrow");
  EXPECT_EQ(at(0, -0.6), "narrow");
  EXPECT_EQ(at(3, 3), "wide") << "the first";
  EXPECT_EQ(at(nan, 0), "wide") << "what is no number is in no range";
}

TEST(TaskControl, KeepsActionsWithinTheirLimitsAndOtherControlsAtZero) {
  Task task = small_task();
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(2, 2), MatrixXd::Ones(2, 4));
  task.control_index = {3, 0};
  task.action_low = vec({-1, -inf});
  task.action_high = vec({1, 2});
  VectorXd u = VectorXd::Constant(4, 7.0);
  EXPECT_EQ(task.control(vec({0.5, -9}), u), 0);
  EXPECT_EQ(u, vec({-9, 0, 0, 0.5}));
  EXPECT_EQ(task.control(vec({-1.5, 3}), u), 2);
  EXPECT_EQ(u, vec({2, 0, 0, -1}));
  EXPECT_EQ(task.control(vec({1, 2}), u), 0) << "at a limit is within it";
  EXPECT_EQ(task.control(vec({nan, 2}), u), 1);
  EXPECT_TRUE(std::isnan(u[3]));
}

TEST(TaskControl, TakesTheLaterOfTwoActionsThatDriveOneControl) {
  Task task = small_task();
  task.control_index = {0, 0};
  task.action_low = vec({-1, -1});
  task.action_high = vec({1, 1});
  VectorXd u(1);
  (void)task.control(vec({0.5, 0.25}), u);
  EXPECT_EQ(u, vec({0.25}));
}

TEST(RestingAction, IsTheMiddleOfFiniteLimitsAndZeroOtherwise) {
  Task task = small_task();
  task.control_index = {0, 0, 0, 0};
  task.action_low = vec({-1, 2, -inf, -inf});
  task.action_high = vec({3, inf, 5, inf});
  EXPECT_EQ(task.resting_action(), vec({1, 0, 0, 0}));
}

TEST(SuccessLimit, IsThatOfTheMeasureOrNaN) {
  Task task = small_task();
  EXPECT_EQ(task.success_limit(), 0.5);
  task.success.clear();
  EXPECT_TRUE(std::isnan(task.success_limit()));
}

// ---- validate ------------------------------------------------------------------------------------------------------

struct Mistake {
  const char* name;
  std::function<void(Task&)> make;
  const char* message;
};

/// Gives the task a demonstration of this size.
void demonstrate(Task& task, Index nx, Index da, Index steps, double value = 0.0) {
  task.demonstration = std::make_shared<const Demonstration>(
      Demonstration{MatrixXd::Zero(nx, steps + 1), MatrixXd::Constant(da, steps, value)});
}

TEST(ValidateTask, AcceptsATaskThatFitsTogether) {
  Task task = small_task();
  EXPECT_NO_THROW(validate(task));
  demonstrate(task, 2, 1, 3);
  EXPECT_NO_THROW(validate(task));
}

TEST(Shortened, KeepsTheFinalStateLast) {
  Task task = small_task();
  task.cost[1].active = {1, 0, 1, 0};
  const auto flags = [&](int horizon) {
    const Task other = shortened(task, horizon);
    EXPECT_EQ(other.horizon, horizon);
    EXPECT_NO_THROW(validate(other));
    return std::vector<std::vector<char>>{other.cost[0].active, other.cost[1].active, other.success[0].active};
  };
  using Flags = std::vector<std::vector<char>>;
  EXPECT_EQ(flags(3), (Flags{{1, 1, 1, 1}, {1, 0, 1, 0}, {0, 0, 0, 1}}));
  EXPECT_EQ(flags(2), (Flags{{1, 1, 1}, {1, 0, 0}, {0, 0, 1}}));
  EXPECT_EQ(flags(1), (Flags{{1, 1}, {1, 0}, {0, 1}}));
  EXPECT_THROW((void)shortened(task, 0), InputError);
  EXPECT_THROW((void)shortened(task, 4), InputError);
}

TEST(ValidateTask, RefusesEveryMistakeAndNamesIt) {
  const std::vector<Mistake> mistakes = {
      {"no system", [](Task& t) { t.system = nullptr; }, "task.system is missing"},
      {"attitude of two numbers", [](Task& t) { t.cost[0].residual.quaternion = true; },
       "task.cost.place.quaternion = 1, but must be 4 entries without a matrix"},
      {"attitude of actions",
       [](Task& t) {
         t.cost[1].residual = {Source::action, {0, 0, 0, 0}, {}, vec({1, 0, 0, 0}), true};
         t.cost[1].residual.quaternion = true;
       },
       "task.cost.effort.quaternion = true, but must be of a state"},
      {"end that needs an action",
       [](Task& t) {
         t.termination = {{"fell", {Source::action, {0}, {}, vec({0}), true}, vec({-1}), vec({1}), 0, 0}};
       },
       "task.termination.fell.active = final"},
      {"end of no range",
       [](Task& t) {
         t.termination = {{"fell", {Source::state, {0}, {}, vec({0}), false}, vec({1}), vec({1}), 0, 0}};
       },
       "task.termination.fell.low, high = 1, but must be 1 ranges, low < high"},
      {"end that pays",
       [](Task& t) {
         t.termination = {{"fell", {Source::state, {0}, {}, vec({0}), false}, vec({-1}), vec({1}), -2, 0}};
       },
       "task.termination.fell.cost = -2, but must be >= 0"},
      {"end that pays for each step",
       [](Task& t) {
         t.termination = {{"fell", {Source::state, {0}, {}, vec({0}), false}, vec({-1}), vec({1}), 0, nan}};
       },
       "task.termination.fell.missing_step = nan, but must be >= 0"},
      {"no horizon", [](Task& t) { t.horizon = 0; }, "task.horizon = 0, but must be >= 1"},
      {"control step 0", [](Task& t) { t.control_step = 0; }, "task.control_step = 0, but must be > 0"},
      {"control step infinite", [](Task& t) { t.control_step = inf; }, "task.control_step = inf"},
      {"control step NaN", [](Task& t) { t.control_step = nan; }, "task.control_step = nan"},
      {"sees nothing", [](Task& t) { t.observation = {}; }, "task.observation = [], but must be not empty"},
      {"sees beyond the state",
       [](Task& t) {
         t.observation = {0, 2};
       },
       "task.observation = 2, but must be in [0, 2)"},
      {"sees a negative entry", [](Task& t) { t.observation = {-1}; }, "task.observation = -1"},
      {"drives nothing", [](Task& t) { t.control_index = {}; }, "task.control_index = [], but must be not empty"},
      {"drives beyond the controls", [](Task& t) { t.control_index = {1}; },
       "task.control_index = 1, but must be in [0, 1)"},
      {"too few limits", [](Task& t) { t.action_low = VectorXd(0); }, "task.action_low size = 0, but must be 1"},
      {"too many limits",
       [](Task& t) {
         t.action_high = vec({1, 1});
       },
       "task.action_high size = 2, but must be 1"},
      {"limits equal", [](Task& t) { t.action_high = vec({-1}); },
       "task.action limits [-1, -1], but low must be < high"},
      {"limit NaN", [](Task& t) { t.action_high = vec({nan}); }, "low must be < high"},
      {"start of another size", [](Task& t) { t.start.mean = vec({1}); }, "task.start.mean size = 1"},
      {"start NaN",
       [](Task& t) {
         t.start.mean = vec({1, nan});
       },
       "2 finite numbers"},
      {"spread negative",
       [](Task& t) {
         t.start.spread = vec({0, -1});
       },
       "2 numbers >= 0"},
      {"spread infinite",
       [](Task& t) {
         t.start.spread = vec({0, inf});
       },
       "2 numbers >= 0"},
      {"spread of another size", [](Task& t) { t.start.spread = vec({0}); }, "task.start.spread size = 1"},
      {"no cost", [](Task& t) { t.cost.clear(); }, "task.cost = [], but must be not empty"},
      {"term of nothing", [](Task& t) { t.cost[0].residual.index = {}; },
       "task.cost.place.index = [], but must be not empty"},
      {"term beyond the state", [](Task& t) { t.cost[0].residual.index = {2}; },
       "task.cost.place.index = 2, but must be in [0, 2)"},
      {"term of a sensor that is not there", [](Task& t) { t.cost[0].residual.source = Source::sensor; },
       "task.cost.place.index = 0, but must be in [0, 0)"},
      {"term beyond the actions", [](Task& t) { t.cost[1].residual.index = {1}; },
       "task.cost.effort.index = 1, but must be in [0, 1)"},
      {"term beyond the controls",
       [](Task& t) {
         t.cost[1].residual = {Source::control, {1}, {}, vec({0}), true};
       },
       "task.cost.effort.index = 1, but must be in [0, 1)"},
      {"matrix of other columns", [](Task& t) { t.cost[0].residual.matrix = MatrixXd::Ones(1, 2); },
       "task.cost.place.matrix columns = 2, but must be 1"},
      {"matrix of other rows", [](Task& t) { t.cost[0].residual.matrix = MatrixXd::Ones(2, 1); },
       "task.cost.place.target size = 1, but must be 2"},
      {"matrix NaN", [](Task& t) { t.cost[0].residual.matrix = MatrixXd::Constant(1, 1, nan); }, "not finite"},
      {"target of another size",
       [](Task& t) {
         t.cost[0].residual.target = vec({0, 0});
       },
       "task.cost.place.target size = 2, but must be 1"},
      {"target infinite", [](Task& t) { t.cost[0].residual.target = vec({inf}); }, "not finite"},
      {"active at too few steps", [](Task& t) { t.cost[0].active = {1}; },
       "task.cost.place.active size = 1, but must be horizon + 1"},
      {"action at the final state", [](Task& t) { t.cost[1].active.back() = 1; }, "task.cost.effort.active = final"},
      {"an action that needs no action", [](Task& t) { t.cost[1].residual.needs_action = false; },
       "task.cost.effort.needs_action = false"},
      {"weight negative", [](Task& t) { t.cost[0].weight = vec({-1}); }, "task.cost.place.weight"},
      {"weight NaN", [](Task& t) { t.cost[0].weight = vec({nan}); }, "task.cost.place.weight"},
      {"weight of another size",
       [](Task& t) {
         t.cost[0].weight = vec({1, 1});
       },
       "task.cost.place.weight size = 2"},
      {"width 0", [](Task& t) { t.cost[1].width = 0; }, "task.cost.effort.width = 0, but must be > 0"},
      {"width infinite", [](Task& t) { t.cost[1].width = inf; }, "task.cost.effort.width = inf"},
      {"success beyond the state", [](Task& t) { t.success[0].residual.index = {5}; }, "task.success.index = 5"},
      {"success below 0", [](Task& t) { t.success[0].below = 0; }, "task.success.below = 0, but must be > 0"},
      {"success at no step", [](Task& t) { t.success[0].active = {}; }, "task.success.active size = 0"},
      {"demonstration of no step", [](Task& t) { demonstrate(t, 2, 1, 0); },
       "task.demonstration steps = 0, but must be in [1, 3]"},
      {"demonstration beyond the horizon", [](Task& t) { demonstrate(t, 2, 1, 4); }, "task.demonstration steps = 4"},
      {"demonstration of other states", [](Task& t) { demonstrate(t, 3, 1, 3); },
       "task.demonstration.state shape = [3, 4], but must be [2, 4]"},
      {"demonstration of other actions", [](Task& t) { demonstrate(t, 2, 2, 3); },
       "task.demonstration.action rows = 2, but must be 1"},
      {"demonstration NaN", [](Task& t) { demonstrate(t, 2, 1, 3, nan); },
       "task.demonstration = not finite, but must be finite"},
  };
  for (const Mistake& mistake : mistakes) {
    SCOPED_TRACE(mistake.name);
    Task task = small_task();
    mistake.make(task);
    try {
      validate(task);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(mistake.message));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

// ---- start states --------------------------------------------------------------------------------------------------

TEST(SampleStart, HasTheDeclaredMoments) {
  const int N = 40000;
  for (const auto kind : {StartDistribution::Kind::gaussian, StartDistribution::Kind::uniform}) {
    const StartDistribution start{kind, vec({1, -2, 3}), vec({0.5, 2, 0})};
    const double deviation = kind == StartDistribution::Kind::gaussian ? 1.0 : 1.0 / std::sqrt(3.0);
    VectorXd sum = VectorXd::Zero(3), square = VectorXd::Zero(3);
    double product = 0.0;
    for (int n = 0; n < N; ++n) {
      Stream noise(11, 3, static_cast<std::uint32_t>(n), 0);
      const VectorXd d = sample_start(start, noise) - start.mean;
      sum += d;
      square += d.cwiseAbs2();
      product += d[0] * d[1];
      EXPECT_EQ(d[2], 0.0);
      EXPECT_LE(std::abs(d[1]), kind == StartDistribution::Kind::uniform ? 2.0 : inf);
    }
    const double root = std::sqrt(static_cast<double>(N));
    for (const Index i : {0, 1}) {
      const double sigma = deviation * start.spread[i];
      EXPECT_LT(std::abs(sum[i] / N), 5 * sigma / root);
      EXPECT_LT(std::abs(square[i] / N / (sigma * sigma) - 1), 5 * std::sqrt(2.0) / root);
    }
    EXPECT_LT(std::abs(product / N), 5 * deviation * deviation / root);  // entries are independent
  }
}

TEST(SampleStart, DependsOnTheNameOfTheStreamAlone) {
  const StartDistribution start{StartDistribution::Kind::gaussian, vec({0, 0}), vec({1, 1})};
  const auto draw = [&](std::uint64_t seed, std::uint32_t iteration, std::uint32_t rollout) {
    Stream noise(seed, iteration, rollout, 0);
    return sample_start(start, noise);
  };
  EXPECT_EQ(draw(1, 2, 3), draw(1, 2, 3));
  EXPECT_NE(draw(1, 2, 3), draw(2, 2, 3));
  EXPECT_NE(draw(1, 2, 3), draw(1, 3, 3));
  EXPECT_NE(draw(1, 2, 3), draw(1, 2, 4));
}

// ---- linear system -------------------------------------------------------------------------------------------------

VectorXd state(const System& system) {
  VectorXd x(system.nx());
  system.state(x);
  return x;
}

TEST(LinearSystem, IsItsEquation) {
  Stream random(5, 0, 0, 0);
  const MatrixXd A = random_matrix(3, 3, random), B = random_matrix(3, 2, random);
  LinearSystem system(A, B);
  EXPECT_EQ(system.nx(), 3);
  EXPECT_EQ(system.nu(), 2);
  EXPECT_EQ(system.nsensor(), 0);
  VectorXd x = random_vector(3, random);
  system.reset(x);
  EXPECT_EQ(state(system), x);
  for (int t = 0; t < 5; ++t) {
    const VectorXd u = random_vector(2, random);
    x = A * x + B * u;
    ASSERT_TRUE(system.step(u));
    EXPECT_LT((state(system) - x).norm(), 1e-12 * (1 + x.norm()));
  }
}

TEST(LinearSystem, ForgetsEverythingAtResetAndLeavesItsClonesAlone) {
  LinearSystem system(2.0 * MatrixXd::Identity(1, 1), MatrixXd::Ones(1, 1));
  system.reset(vec({3}));
  const auto clone = system.clone();
  ASSERT_TRUE(system.step(vec({1})));
  EXPECT_EQ(state(*clone), vec({3}));
  ASSERT_TRUE(clone->step(vec({0})));
  EXPECT_EQ(state(*clone), vec({6}));
  system.reset(vec({3}));
  ASSERT_TRUE(system.step(vec({0})));
  EXPECT_EQ(state(system), vec({6}));
}

TEST(LinearSystem, SaysWhenItIsNoLongerFinite) {
  LinearSystem system(1e200 * MatrixXd::Identity(1, 1), MatrixXd::Ones(1, 1));
  system.reset(vec({1}));
  EXPECT_TRUE(system.step(vec({0})));
  EXPECT_FALSE(system.step(vec({0})));
  system.reset(vec({1}));
  EXPECT_TRUE(system.step(vec({0})));
  EXPECT_FALSE(system.step(vec({nan})));
}

TEST(LinearSystem, RefusesMatricesThatDoNotFit) {
  EXPECT_THROW(LinearSystem(MatrixXd::Zero(2, 3), MatrixXd::Zero(2, 1)), InputError);
  EXPECT_THROW(LinearSystem(MatrixXd::Zero(2, 2), MatrixXd::Zero(3, 1)), InputError);
}

}  // namespace
}  // namespace kedge
