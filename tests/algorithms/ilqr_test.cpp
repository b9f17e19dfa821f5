#include "kedge/algorithms/ilqr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/evaluation/trajectory_cost.h"
#include "kedge/tasks/task_file.h"
#include "small_tasks.h"
#include "tests/evaluation/wave.h"
#include "tests/support/numbers.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using test::random_matrix;
using test::vec;
using testing::HasSubstr;

Trajectory roll_out(const Task& task, const MatrixXd& a, const VectorXd& x0) {
  return simulate(task, *task.system->clone(), x0, open_loop(a));
}

/// The derivative of the task's total cost by every action, by central differences of whole rollouts.
MatrixXd true_gradient(const Task& task, const MatrixXd& a, const VectorXd& x0, double h = 1e-5) {
  MatrixXd g(a.rows(), a.cols());
  for (Index t = 0; t < a.cols(); ++t)
    for (Index i = 0; i < a.rows(); ++i) {
      MatrixXd plus = a, minus = a;
      plus(i, t) += h;
      minus(i, t) -= h;
      g(i, t) = (roll_out(task, plus, x0).cost.sum() - roll_out(task, minus, x0).cost.sum()) / (2.0 * h);
    }
  return g;
}

/// The wave with costs of every source and curvature, within limits of [-L, L].
Task wave(double limit, int horizon = 20) {
  Task task = test::wave_task(horizon);
  task.action_low = VectorXd::Constant(2, -limit);
  task.action_high = VectorXd::Constant(2, limit);
  task.start.mean = vec({1.0, -0.5});
  task.cost = {test::term("state", Source::state, {0, 1}, horizon),
               test::term("action", Source::action, {0, 1}, horizon),
               test::term("sensor", Source::sensor, {1}, horizon)};
  task.cost[0].norm = Norm::smooth;
  task.cost[0].width = 0.5;
  task.cost[0].residual.target = vec({2.0, 0.0});
  task.cost[1].weight = vec({0.1, 0.2});
  task.cost[2].weight = vec({0.05});
  return task;
}

/// One trajectory, and its simulation cuts off what is beyond the limits.
IlqrOptions plain() {
  IlqrOptions options;
  options.starts = 1;
  options.box = false;
  return options;
}

IlqrOptions precise() {
  IlqrOptions options = plain();
  options.tolerance = 1e-12;
  return options;
}

IlqrSolution optimise(const Task& task, const IlqrOptions& options, const Run& run = {}) {
  const IlqrProblem problem{task, 1.0, nullptr, task.start.mean};
  return *ilqr_optimise(problem, open_loop(MatrixXd::Zero(task.da(), task.horizon)), options, run);
}

// ---- optima that are known ---------------------------------------------------------------------------------------------

TEST(Ilqr, SolvesALinearQuadraticProblemByOneFullStep) {
  const DoubleIntegrator di;
  const Task task = di.task();
  IlqrOptions options = precise();
  options.lambda = 0.0;
  const IlqrSolution s = optimise(task, options);
  ASSERT_EQ(s.stop, IlqrStop::converged) << s.message;
  ASSERT_EQ(s.history.size(), 1u);
  EXPECT_EQ(s.history[0].step, 1.0);
  EXPECT_NEAR(s.history[0].realised, s.history[0].predicted, 1e-8);

  MatrixXd P = di.Qf;
  for (int t = di.T - 1; t >= 0; --t) {
    const auto i = static_cast<std::size_t>(t);
    const MatrixXd H = di.R + di.B.transpose() * P * di.B, K = -H.inverse() * di.B.transpose() * P * di.A;
    EXPECT_LT((s.q.K[i] - K).norm(), 1e-7);
    EXPECT_LT((s.q.Sigma[i] - 0.5 * H.inverse()).norm(), 1e-7 * H.inverse().norm());
    EXPECT_LT((s.q.a.col(t) - K * s.q.x.col(t)).norm(), 1e-7);
    P = (di.Q + di.A.transpose() * P * (di.A + di.B * K)).eval();
  }
  EXPECT_NEAR(s.cost, task.start.mean.dot(P * task.start.mean), 1e-9);
}

TEST(Ilqr, FindsTheFeedbackAtAnEquilibriumWithoutCost) {
  Task task = DoubleIntegrator().task();
  const IlqrSolution moved = optimise(task, precise());
  task.start.mean.setZero();
  const IlqrSolution rest = optimise(task, precise());
  EXPECT_EQ(rest.stop, IlqrStop::converged) << rest.message;
  EXPECT_TRUE(rest.history.empty());
  EXPECT_EQ(rest.cost, 0.0);
  ASSERT_EQ(rest.q.K.size(), moved.q.K.size());
  for (std::size_t t = 0; t < rest.q.K.size(); ++t) {
    EXPECT_LT((rest.q.K[t] - moved.q.K[t]).norm(), 1e-7);
    EXPECT_GT(rest.q.K[t].norm(), 0.1);
  }
}

TEST(Ilqr, ConvergesToAStationaryPointOfTheTrueCost) {
  const Task task = wave(100.0);
  const IlqrSolution s = optimise(task, precise());
  ASSERT_EQ(s.stop, IlqrStop::converged) << s.message;
  EXPECT_LT(true_gradient(task, s.q.a, task.start.mean).lpNorm<Eigen::Infinity>(), 1e-5);
  EXPECT_NEAR(s.cost, roll_out(task, s.q.a, task.start.mean).cost.sum(), 1e-12);
  EXPECT_LT(s.cost, 0.9 * roll_out(task, MatrixXd::Zero(2, 20), task.start.mean).cost.sum());
}

TEST(Ilqr, ReportsTheGradientOfTheTrueCost) {
  const Task task = wave(100.0);
  IlqrOptions options;
  options.iterations = 1;
  const IlqrSolution s = optimise(task, options);
  const MatrixXd g = true_gradient(task, MatrixXd::Zero(2, 20), task.start.mean);
  EXPECT_NEAR(s.history.at(0).gradient, g.lpNorm<Eigen::Infinity>(), 1e-6);
}

TEST(Ilqr, DampsTheStateByTheMeanCurvatureOfItsCostAndReachesTheSameOptimum) {
  const Task task = wave(100.0);
  IlqrOptions options = precise();
  const IlqrSolution free = optimise(task, options);
  options.damp_states = true;
  const IlqrSolution damped = optimise(task, options);
  EXPECT_NEAR(damped.cost, free.cost, 1e-8 * free.cost);
  EXPECT_NE(damped.history.at(0).cost, free.history.at(0).cost);  // on another way

  const IlqrProblem problem{task, 1.0, nullptr, task.start.mean};
  SystemClones clones(*task.system, 1);
  Ilqr solver(problem, options, clones);
  ASSERT_TRUE(solver.start(open_loop(MatrixXd::Zero(2, 20)), 1.0));
  VectorXd mean = VectorXd::Zero(2);
  for (const StageCost& q : solver.point().costs) mean += q.Hxx.diagonal() / 21.0;
  ASSERT_GT(mean.minCoeff(), 0.0);
  EXPECT_LT((solver.point().S - mean).norm(), 1e-12);
}

TEST(Ilqr, KeepsLimitsAndMeetsTheirOptimalityConditions) {
  const Task task = wave(0.8);
  IlqrOptions options = precise();
  options.box = true;
  const IlqrSolution s = optimise(task, options);
  ASSERT_EQ(s.stop, IlqrStop::converged) << s.message;
  const MatrixXd g = true_gradient(wave(100.0), s.q.a, task.start.mean);
  int low = 0, high = 0, free = 0;
  for (Index t = 0; t < 20; ++t)
    for (Index i = 0; i < 2; ++i) {
      const double a = s.q.a(i, t);
      EXPECT_LE(std::abs(a), 0.8);
      if (a == -0.8) {
        EXPECT_GE(g(i, t), -1e-5);
        ++low;
      } else if (a == 0.8) {
        EXPECT_LE(g(i, t), 1e-5);
        ++high;
      } else {
        EXPECT_NEAR(g(i, t), 0.0, 1e-5);
        ++free;
      }
    }
  EXPECT_GT(low + high, 2);
  EXPECT_GT(free, 5);

  // The gradient that is reported leaves out what the limits hold.
  const IlqrProblem problem{task, 1.0, nullptr, task.start.mean};
  SystemClones clones(*task.system, 1);
  Ilqr solver(problem, options, clones);
  IlqrIteration done;
  ASSERT_TRUE(solver.start(open_loop(s.q.a), 0.0));
  EXPECT_EQ(solver.iterate(done), IlqrStop::converged);
  EXPECT_LT(done.gradient, 1e-5);
}

/// The least cost within limits, by trying every set of limits that may hold.
double brute_force(const Task& task, double limit) {
  const Index T = task.horizon;
  const auto f = [&](const VectorXd& a) { return roll_out(task, a.transpose(), task.start.mean).cost.sum(); };
  const double f0 = f(VectorXd::Zero(T));
  VectorXd g(T);
  MatrixXd H(T, T);
  for (Index i = 0; i < T; ++i) g[i] = 0.5 * (f(VectorXd::Unit(T, i)) - f(-VectorXd::Unit(T, i)));
  for (Index i = 0; i < T; ++i)
    for (Index j = 0; j < T; ++j)
      H(i, j) = f(VectorXd::Unit(T, i) + VectorXd::Unit(T, j)) - f(VectorXd::Unit(T, i)) - f(VectorXd::Unit(T, j)) + f0;
  double least = std::numeric_limits<double>::infinity();
  for (int set = 0; set < static_cast<int>(std::pow(3, T)); ++set) {
    VectorXd a = VectorXd::Zero(T);
    std::vector<Index> free;
    for (Index i = 0, digits = set; i < T; ++i, digits /= 3) {
      if (digits % 3 == 0) free.push_back(i);
      if (digits % 3 != 0) a[i] = digits % 3 == 1 ? limit : -limit;
    }
    const VectorXd rest = g + H * a;
    if (!free.empty()) a(free) = -H(free, free).llt().solve(rest(free));
    if (a.lpNorm<Eigen::Infinity>() <= limit + 1e-12) least = std::min(least, f(a));
  }
  return least;
}

TEST(Ilqr, FindsTheBestOfAllSetsOfLimits) {
  DoubleIntegrator di;
  di.T = 6;
  di.start.mean << 1.0, 0.3;
  const double limit = 2.0;
  const double least = brute_force(di.task(), limit);
  IlqrOptions options = precise();
  options.box = true;
  const IlqrSolution s = optimise(di.task(1e100, limit), options);
  ASSERT_EQ(s.stop, IlqrStop::converged) << s.message;
  EXPECT_NEAR(s.cost, least, 1e-9);
  EXPECT_EQ(s.q.a.lpNorm<Eigen::Infinity>(), limit);
}

/// b |a|^2, as a cost of the task would be; or with a slope that it does not have; or concave.
struct ActionCost final : ExtraCost {
  double weight, told_slope, told_curvature;
  explicit ActionCost(double w) : weight(w), told_slope(2.0 * w), told_curvature(2.0 * w) {}
  [[nodiscard]] double value(int, VectorIn, VectorIn a) const override { return weight * a.squaredNorm(); }
  void add_expansion(int, VectorIn, VectorIn a, StageCost& q) const override {
    q.c += weight * a.squaredNorm();
    q.gu += told_slope * a;
    q.Huu.diagonal().array() += told_curvature;
  }
};

TEST(Ilqr, AnExtraCostActsLikeACostTermOfTheTask) {
  Task heavy = wave(100.0);
  heavy.cost[1].weight += VectorXd::Constant(2, 0.3);
  const ActionCost extra(0.3);
  const Task task = wave(100.0);
  const auto start = open_loop(MatrixXd::Zero(2, 20));
  const IlqrSolution one = *ilqr_optimise({task, 1.0, &extra, task.start.mean}, start, precise(), {});
  const IlqrSolution other = optimise(heavy, precise());
  EXPECT_NEAR(one.cost, other.cost, 1e-9);
  EXPECT_LT((one.q.a - other.q.a).norm(), 1e-5);
  EXPECT_LT((one.q.Sigma[3] - other.q.Sigma[3]).norm(), 1e-5);
}

TEST(Ilqr, ScaleDividesTheCovariance) {
  const Task task = wave(100.0);
  const auto start = open_loop(MatrixXd::Zero(2, 20));
  const IlqrSolution one = optimise(task, precise());
  const IlqrSolution ten = *ilqr_optimise({task, 10.0, nullptr, task.start.mean}, start, precise(), {});
  EXPECT_NEAR(ten.cost, 10.0 * one.cost, 1e-8);
  EXPECT_LT((ten.q.a - one.q.a).norm(), 1e-5);
  EXPECT_LT((10.0 * ten.q.Sigma[3] - one.q.Sigma[3]).norm(), 1e-5);
}

TEST(Ilqr, StartsFromAFeedbackLaw) {
  const Task task = wave(100.0);
  const IlqrSolution s = optimise(task, precise());
  const Trajectory again = simulate(task, *task.system->clone(), task.start.mean, mean_of(s.q, *task.system));
  EXPECT_TRUE(test::same_bits(again.a, s.q.a));
  const VectorXd x0 = task.start.mean + vec({0.1, -0.1});
  const IlqrSolution near = *ilqr_optimise({task, 1.0, nullptr, x0}, mean_of(s.q, *task.system), precise(), {});
  EXPECT_EQ(near.stop, IlqrStop::converged);
  EXPECT_LT(true_gradient(task, near.q.a, x0).lpNorm<Eigen::Infinity>(), 1e-5);
}

TEST(Ilqr, KnownDerivativesSaveTheFirstLinearisationAndChangeNothingElse) {
  const Task task = wave(100.0);
  const auto law = open_loop(MatrixXd::Constant(2, 20, 0.1));
  IlqrOptions options = precise();
  options.iterations = 0;
  const IlqrSolution first = *ilqr_optimise({task, 1.0, nullptr, task.start.mean}, law, options, {});
  options.iterations = 2;
  const IlqrSolution anew = *ilqr_optimise({task, 1.0, nullptr, task.start.mean}, law, options, {});
  const IlqrSolution known = *ilqr_optimise({task, 1.0, nullptr, task.start.mean}, law, options, {}, &first.lin);
  ASSERT_EQ(known.history.size(), 2);
  EXPECT_TRUE(test::same_bits(known.q.a, anew.q.a));
  EXPECT_TRUE(test::same_bits(known.q.K[3], anew.q.K[3]));
  EXPECT_EQ(anew.simulated_steps - known.simulated_steps, 20 * 2 * (task.system->ndx() + task.da()));
  Linearisation wrong = first.lin;
  for (MatrixXd& B : wrong.B) B *= 2.0;
  EXPECT_NE(ilqr_optimise({task, 1.0, nullptr, task.start.mean}, law, options, {}, &wrong)->q.a, known.q.a);
}

TEST(Ilqr, IsTheSameForAnyNumberOfThreads) {
  Task task = wave(0.8);
  IlqrOptions options;
  options.box = true;
  const IlqrSolution one = optimise(task, options);
  for (const int threads : {2, 8}) {
    const IlqrSolution many = optimise(task, options, {0, threads, {}});
    EXPECT_TRUE(test::same_bits(one.q.a, many.q.a));
    EXPECT_TRUE(test::same_bits(one.q.x, many.q.x));
    for (std::size_t t = 0; t < 20; ++t) {
      EXPECT_TRUE(test::same_bits(one.q.K[t], many.q.K[t]));
      EXPECT_TRUE(test::same_bits(one.q.Sigma[t], many.q.Sigma[t]));
    }
    EXPECT_EQ(one.history.size(), many.history.size());
  }
}

// ---- failures, each typed ----------------------------------------------------------------------------------------------

TEST(Ilqr, ActionsWithoutAnyCostHaveNoQuu) {
  Task task = DoubleIntegrator().task();
  task.cost.resize(2);
  task.cost[0].weight.setZero();
  task.cost[1].weight.setZero();
  const IlqrSolution s = optimise(task, plain());
  EXPECT_EQ(s.stop, IlqrStop::not_positive_definite);
  EXPECT_THAT(s.message, HasSubstr("step 14"));
  EXPECT_TRUE(s.q.K.empty());
}

TEST(Ilqr, RegularisationCannotRepairEveryQuu) {
  const Task task = DoubleIntegrator().task();
  ActionCost concave(0.0);
  concave.told_curvature = -1e30;
  const auto start = open_loop(MatrixXd::Zero(1, 15));
  const IlqrSolution s = *ilqr_optimise({task, 1.0, &concave, task.start.mean}, start, plain(), {});
  EXPECT_EQ(s.stop, IlqrStop::not_positive_definite);
  EXPECT_THAT(s.message, HasSubstr("-1e+30"));
}

TEST(Ilqr, StopsWhereNoStepIsAcceptable) {
  const Task task = DoubleIntegrator().task();
  ActionCost lie(1.0);
  lie.told_slope = -200.0;  // promises to gain by what costs
  const auto start = open_loop(MatrixXd::Ones(1, 15));
  const IlqrSolution s = *ilqr_optimise({task, 1.0, &lie, task.start.mean}, start, plain(), {});
  EXPECT_EQ(s.stop, IlqrStop::no_step);
  EXPECT_THAT(s.message, HasSubstr("no better step was found"));
  EXPECT_EQ(s.q.K.size(), 15u);  // the last trajectory and its gains are there
}

TEST(Ilqr, ReportsAFirstTrajectoryThatDiverges) {
  Task task = DoubleIntegrator().task(1.55);
  const IlqrProblem problem{task, 1.0, nullptr, vec({1.0, 1.0})};
  const IlqrSolution s = *ilqr_optimise(problem, open_loop(MatrixXd::Zero(1, 15)), plain(), {});
  EXPECT_EQ(s.stop, IlqrStop::diverged);
  EXPECT_THAT(s.message, HasSubstr("first trajectory diverged at step 5"));
}

TEST(Ilqr, ReportsANeighbourThatDiverges) {
  Task task = DoubleIntegrator().task(1.0 + 1e-6);
  const IlqrProblem problem{task, 1.0, nullptr, vec({1.0, 0.0})};
  const IlqrSolution s = *ilqr_optimise(problem, open_loop(MatrixXd::Zero(1, 15)), plain(), {});
  EXPECT_EQ(s.stop, IlqrStop::diverged);
  EXPECT_THAT(s.message, HasSubstr("neighbourhood of step 0"));
}

TEST(Ilqr, ARolloutThatDivergesIsAnInfiniteCost) {
  Task task = DoubleIntegrator().task(2.0);
  for (CostTerm& term : task.cost)
    if (term.residual.source == Source::state) term.residual.target[0] = 3.0;  // beyond the edge
  const IlqrSolution s = optimise(task, plain());
  EXPECT_GE(s.history.size(), 1u);
  EXPECT_LT(s.cost, roll_out(task, MatrixXd::Zero(1, 15), task.start.mean).cost.sum());
  EXPECT_LE(s.q.x.row(0).maxCoeff(), 2.0);
  bool shortened = false;
  for (const IlqrIteration& it : s.history) shortened = shortened || it.rollouts > 1;
  EXPECT_TRUE(shortened);
}

TEST(Ilqr, AStopRequestLeavesNoSolution) {
  std::stop_source stop;
  stop.request_stop();
  const Task task = wave(100.0);
  const IlqrProblem problem{task, 1.0, nullptr, task.start.mean};
  EXPECT_FALSE(ilqr_optimise(problem, open_loop(MatrixXd::Zero(2, 20)), {}, {0, 1, stop.get_token()}));
}

TEST(Ilqr, RefusesOptionsOutOfRange) {
  const auto refused = [](auto change) {
    IlqrOptions options;
    change(options);
    EXPECT_THROW(options.validate(), InputError);
  };
  refused([](IlqrOptions& o) { o.iterations = -1; });
  refused([](IlqrOptions& o) { o.tolerance = 0.0; });
  refused([](IlqrOptions& o) { o.improvement = -1.0; });
  refused([](IlqrOptions& o) { o.lambda = -1.0; });
  refused([](IlqrOptions& o) { o.backtracks = -1; });
  refused([](IlqrOptions& o) { o.differences.state_step = 0.0; });
  refused([](IlqrOptions& o) { o.differences.action_step = 0.0; });
  refused([](IlqrOptions& o) { o.cost_scale = 0.0; });
  refused([](IlqrOptions& o) { o.initial_noise = -1.0; });
  const Task task = wave(1.0);
  EXPECT_THROW((void)ilqr_optimise({task, 1.0, nullptr, VectorXd::Zero(3)}, open_loop(MatrixXd::Zero(2, 20)), {}, {}),
               InputError);
}

// ---- the training loop -------------------------------------------------------------------------------------------------

struct Recorded {
  std::vector<Iteration> iterations;
  std::vector<IlqrState> states;
  IlqrResult result;
};
Recorded train(const Task& task, IlqrState state, const IlqrOptions& options, const Run& run = {}) {
  Recorded r;
  r.result = ilqr(task, std::move(state), options, run, [&](const Iteration& it, const IlqrState& s, auto*) {
    r.iterations.push_back(it);
    r.states.push_back(s);
  });
  return r;
}

TEST(IlqrTraining, EqualsTheSolver) {
  const Task task = wave(0.8);
  IlqrOptions options = precise();
  options.box = true;
  const IlqrSolution s = optimise(task, options);
  const Recorded r = train(task, ilqr_start(task, options), options);
  EXPECT_EQ(r.result.stop, Stop::converged) << r.result.message;
  ASSERT_EQ(r.iterations.size(), s.history.size());
  EXPECT_DOUBLE_EQ(test::metric(r.iterations.back(), "return_mean"), -s.cost);
  const TvLinearGaussian& policy = r.result.state.policy;
  VectorXd a(2);
  for (int t = 0; t < 20; ++t) {
    policy.mean(t, s.q.x.col(t), a);
    EXPECT_LT((a - s.q.a.col(t)).norm(), 1e-12);
    EXPECT_LT((policy[t].K - s.q.K[static_cast<std::size_t>(t)]).norm(), 1e-12);
    EXPECT_TRUE(test::same_bits(policy[t].Sigma, s.q.Sigma[static_cast<std::size_t>(t)]));
  }
}

TEST(IlqrTraining, ConvergesAtOnceAtAnEquilibriumWithoutCost) {
  Task task = DoubleIntegrator().task();
  task.start.mean.setZero();
  const Recorded r = train(task, ilqr_start(task, precise()), precise());
  EXPECT_EQ(r.result.stop, Stop::converged) << r.result.message;
  EXPECT_TRUE(r.iterations.empty());
  const IlqrSolution s = optimise(task, precise());
  for (int t = 0; t < task.horizon; ++t) {
    EXPECT_EQ(r.result.state.policy[t].K, s.q.K[static_cast<std::size_t>(t)]);
    EXPECT_GT(s.q.K[static_cast<std::size_t>(t)].norm(), 0.1);
  }
}

// ---- the race ------------------------------------------------------------------------------------------------------------

/// The actions of every trajectory after one iteration that changes them as little as a step can.
std::vector<MatrixXd> first_trajectories(const Task& task, IlqrOptions options, std::uint64_t seed) {
  options.iterations = 1;
  options.lambda = 1e10;
  std::vector<MatrixXd> actions;
  for (const IlqrRacer& racer : train(task, ilqr_start(task, options), options, {seed, 1, {}}).result.state.race)
    actions.push_back(racer.action);
  return actions;
}

TEST(IlqrRace, NoiseIsNoneThenWholeThenAThirdAndComesFromTheSeed) {
  const Task task = wave(100.0, 400);
  IlqrOptions options = plain();
  options.starts = 5;
  options.initial_noise = 0.3;
  const std::vector<MatrixXd> a = first_trajectories(task, options, 1);
  ASSERT_EQ(a.size(), 5u);
  EXPECT_LT(a[0].lpNorm<Eigen::Infinity>(), 1e-3);
  const double expected[] = {0.3, 0.1, 0.3, 0.1};
  for (std::size_t i = 1; i < 5; ++i) {
    const double n = static_cast<double>(a[i].size());
    EXPECT_NEAR(std::sqrt(a[i].squaredNorm() / n), expected[i - 1], 5.0 * expected[i - 1] / std::sqrt(2.0 * n)) << i;
    EXPECT_LT(std::abs(a[i].row(0).dot(a[i].row(1))), 0.2 * a[i].row(0).norm() * a[i].row(1).norm());
    for (std::size_t j = 1; j < i; ++j)
      EXPECT_LT(std::abs((a[i].array() * a[j].array()).sum()), 0.2 * a[i].norm() * a[j].norm());
  }
  EXPECT_TRUE(test::same_bits(a[3], first_trajectories(task, options, 1)[3]));
  EXPECT_GT((a[3] - first_trajectories(task, options, 2)[3]).norm(), 1.0);
  options.initial_noise = 0.0;
  EXPECT_EQ(first_trajectories(task, options, 1).size(), 1u);
}

TEST(IlqrRace, LeavesTheWorseHalfBehindAfterTenIterations) {
  Task task = wave(0.8);
  IlqrOptions options = precise();
  options.starts = 7;
  options.initial_noise = 0.5;
  options.iterations = 25;
  options.lambda = 1e4;  // slow, so that none converges meanwhile
  const Recorded r = train(task, ilqr_start(task, options), options);
  ASSERT_EQ(r.states.size(), 25u);
  const auto cost = [&](const IlqrRacer& racer) { return roll_out(task, racer.action, task.start.mean).cost.sum(); };
  for (std::size_t i = 0; i < 25; ++i) {
    const std::size_t before = i < 10 ? 7 : i < 20 ? 4 : 2;
    EXPECT_EQ(test::metric(r.iterations[i], "trajectories"), static_cast<double>(before));
    EXPECT_EQ(r.states[i].race.size(), (i + 1) % 10 == 0 ? (before + 1) / 2 : before);
    double least = std::numeric_limits<double>::infinity();
    for (const IlqrRacer& racer : r.states[i].race) least = std::min(least, cost(racer));
    EXPECT_DOUBLE_EQ(test::metric(r.iterations[i], "return_mean"), -least);
    if (i > 0) {
      EXPECT_GE(test::metric(r.iterations[i], "return_mean"), test::metric(r.iterations[i - 1], "return_mean"));
    }
  }
  // The four that are left after ten iterations are the best of the seven, in their order.
  IlqrOptions nine = options;
  nine.iterations = 9;
  const IlqrState state = train(task, ilqr_start(task, nine), nine).result.state;
  IlqrOptions alone = options;
  alone.iterations = 1;
  std::vector<double> all;
  for (const IlqrRacer& racer : state.race) {
    IlqrState one;
    one.policy = state.policy;
    one.iteration = 0;
    one.race = {racer};
    alone.starts = 1;
    all.push_back(-test::metric(train(task, one, alone).iterations.at(0), "return_mean"));
  }
  std::vector<double> kept;
  for (const IlqrRacer& racer : r.states[9].race) kept.push_back(cost(racer));
  std::vector<double> expected = all;
  std::ranges::sort(expected);
  std::erase_if(all, [&](double c) { return c > expected[3]; });
  EXPECT_EQ(kept, all);
}

TEST(IlqrRace, ContinuesTheSameFromAnyOfItsStates) {
  const Task task = wave(0.8);
  IlqrOptions options;
  options.starts = 5;
  options.initial_noise = 0.5;
  const Recorded whole = train(task, ilqr_start(task, options), options);
  ASSERT_GT(whole.states.size(), 3u);
  for (std::size_t i = 0; i + 1 < whole.states.size(); ++i) {
    const Recorded rest = train(task, whole.states[i], options, {0, 2, {}});
    ASSERT_EQ(rest.iterations.size(), whole.iterations.size() - i - 1);
    EXPECT_TRUE(test::same_bits(rest.result.state.policy, whole.result.state.policy));
    EXPECT_EQ(rest.result.state.steps_total, whole.result.state.steps_total);
    EXPECT_EQ(rest.result.state.rollouts_total, whole.result.state.rollouts_total);
  }
}

/// The double integrator, which counts its steps and asks to stop after some.
class StopsAfter final : public System {
 public:
  StopsAfter(std::unique_ptr<System> inner, std::shared_ptr<int> left, std::stop_source stop)
      : inner_(std::move(inner)), left_(std::move(left)), stop_(std::move(stop)) {}
  [[nodiscard]] Index nx() const override { return inner_->nx(); }
  [[nodiscard]] Index nu() const override { return inner_->nu(); }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override {
    return std::make_unique<StopsAfter>(inner_->clone(), left_, stop_);
  }
  void reset(VectorIn x) override { inner_->reset(x); }
  [[nodiscard]] bool step(VectorIn u) override {
    if (--*left_ == 0) stop_.request_stop();
    return inner_->step(u);
  }
  void settle() override { inner_->settle(); }
  void state(VectorOut x) const override { inner_->state(x); }
  void sensors(VectorOut) const override {}

 private:
  std::unique_ptr<System> inner_;
  std::shared_ptr<int> left_;
  std::stop_source stop_;
};

TEST(IlqrRace, ObeysAStopRequestBetweenFirstTrajectories) {
  Task task = DoubleIntegrator().task();
  const auto left = std::make_shared<int>(1);  // within the first trajectory
  std::stop_source stop;
  task.system = std::make_shared<StopsAfter>(task.system->clone(), left, stop);
  const Recorded r = train(task, ilqr_start(task, {}), {}, {0, 1, stop.get_token()});
  EXPECT_EQ(r.result.stop, Stop::cancelled);
  const int one_trajectory = task.horizon * (1 + 2 * 3);  // it and its derivatives, 2 (ndx + da) a step
  EXPECT_EQ(1 - *left, one_trajectory);
}

TEST(IlqrRace, LeavesOutWhatDiverges) {
  Task task = DoubleIntegrator().task(3.0);
  task.start.mean = vec({2.9, 0.0});
  IlqrOptions options = plain();
  options.starts = 9;
  options.initial_noise = 100.0;  // most are thrown over the edge
  options.iterations = 3;
  const Recorded r = train(task, ilqr_start(task, options), options);
  ASSERT_FALSE(r.iterations.empty()) << r.result.message;
  EXPECT_LT(test::metric(r.iterations[0], "trajectories"), 9.0);
  EXPECT_GE(r.result.state.rollouts_total, 9);
}

TEST(IlqrRace, FailsWithTheReasonOfTheFirstWhereAllDiverge) {
  Task task = DoubleIntegrator().task(1.0001);
  task.start.mean = vec({1.0, 1.0});
  const Recorded r = train(task, ilqr_start(task, {}), {});
  EXPECT_EQ(r.result.stop, Stop::numerical_failure);
  EXPECT_THAT(r.result.message, HasSubstr("the first trajectory diverged at step"));
}

TEST(IlqrRace, SaysThatNoActionChangesTheCost) {
  Task task = DoubleIntegrator().task();
  for (CostTerm& term : task.cost)
    if (term.residual.source == Source::state) term.active.assign(term.active.size(), 0), term.active[0] = 1;
  task.start.mean = vec({1.0, 0.0});  // what costs is over before the first action moves it
  IlqrOptions options = precise();
  options.starts = 3;
  options.initial_noise = 1.0;
  const Recorded r = train(task, ilqr_start(task, options), options);
  EXPECT_EQ(r.result.stop, Stop::converged);
  EXPECT_THAT(r.result.message, HasSubstr("no action changes the cost there"));
}

TEST(IlqrTraining, FeedsBackAlsoWhereALimitHoldsTheAction) {
  const Task task = wave(0.8);
  IlqrOptions options = precise();
  options.box = true;
  const IlqrSolution s = optimise(task, options);
  // The gains of the same local models without limits.
  const Trajectory path = roll_out(task, s.q.a, task.start.mean);
  Riccati free;
  RiccatiOptions none;
  none.R = VectorXd::Ones(2);
  ASSERT_TRUE(riccati({s.lin.A, s.lin.B, trajectory_cost(task, path.x, path.a, path.y, s.lin, 1)}, none, free));
  int held = 0;
  for (Index t = 0; t < 20; ++t) {
    const auto i = static_cast<std::size_t>(t);
    EXPECT_LT((s.q.K[i] - free.K[i]).norm(), 1e-9 * std::max(1.0, free.K[i].norm()));
    for (Index j = 0; j < 2; ++j)
      if (std::abs(s.q.a(j, t)) == 0.8) {
        ++held;
        EXPECT_GT(s.q.K[i].row(j).norm(), 0.0);
      }
  }
  EXPECT_GT(held, 2);
}

TEST(IlqrTraining, KeepsTheLastPolicyWhenItFails) {
  Task task = DoubleIntegrator().task(1.0 + 1e-6);
  task.start.mean = vec({1.0, 0.0});
  const IlqrState start = ilqr_start(task, plain());
  const Recorded r = train(task, start, plain());
  EXPECT_EQ(r.result.stop, Stop::numerical_failure);
  EXPECT_THAT(r.result.message, HasSubstr("iteration 0: a simulation from the neighbourhood of step 0 diverged"));
  EXPECT_TRUE(test::same_bits(r.result.state.policy, start.policy));
}

TEST(IlqrTraining, StopsAtItsNumberOfIterationsAndWhenAsked) {
  const Task task = wave(100.0);
  IlqrOptions options = plain();
  options.iterations = 2;
  const Recorded r = train(task, ilqr_start(task, options), options);
  EXPECT_EQ(r.result.stop, Stop::max_iterations);
  EXPECT_EQ(r.iterations.size(), 2u);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(train(task, ilqr_start(task, options), options, {0, 1, stop.get_token()}).result.stop, Stop::cancelled);
  options.iterations = 0;
  EXPECT_EQ(train(task, ilqr_start(task, options), options).result.stop, Stop::max_iterations);
}

TEST(IlqrTraining, RequiresTheWholeStateAsObservation) {
  Task task = DoubleIntegrator().task();
  for (const std::vector<Index>& seen : {std::vector<Index>{0}, std::vector<Index>{1, 0}}) {
    task.observation = seen;
    EXPECT_THROW((void)ilqr_start(task, {}), InputError);
  }
}

TEST(IlqrTraining, BeginsWithTheDemonstration) {
  Task task = wave(0.8);
  task.action_low[0] = 0.2;
  EXPECT_EQ(first_actions(task).col(7), vec({0.5, 0.0}));
  Demonstration shown;
  shown.state = MatrixXd::Zero(2, 6);
  shown.action = MatrixXd::Constant(2, 5, 0.3);
  task.demonstration = std::make_shared<Demonstration>(shown);
  const IlqrState state = ilqr_start(task, {});
  ASSERT_EQ(state.race.size(), 1u);
  EXPECT_EQ(state.race[0].action.leftCols(5), shown.action);
  EXPECT_EQ(state.race[0].action.col(7), vec({0.5, 0.0}));
  VectorXd a(2);
  state.policy.mean(2, vec({4.0, 5.0}), a);
  EXPECT_EQ(a, vec({0.3, 0.3}));
}

// ---- MuJoCo --------------------------------------------------------------------------------------------------------------

TEST(IlqrTraining, SwingsTheDoubleLinkUp) {
  for (const double limit : {25.0, 10.0}) {
    const Task task =
        load_task(test::source_dir() + "/tasks/double_link/task.toml", {{"actions.limit", fmt::format("{}", limit)}})
            .task;
    const IlqrOptions options;
    const Recorded r = train(task, ilqr_start(task, options), options, {1, 2, {}});
    EXPECT_NE(r.result.stop, Stop::numerical_failure) << r.result.message;
    EXPECT_EQ(test::metric(r.iterations.back(), "success_rate"), 1.0);
    for (const IlqrRacer& racer : r.result.state.race) EXPECT_LE(racer.action.lpNorm<Eigen::Infinity>(), limit);
  }
}

}  // namespace
}  // namespace kedge
