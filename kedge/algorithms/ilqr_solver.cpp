#include "kedge/algorithms/ilqr_solver.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/trajectory_cost.h"

namespace kedge {

namespace {

/// Regularisation: what it grows and shrinks by, where it begins when it was 0, what counts as 0, where hope ends.
constexpr double kGrow = 5.0, kShrink = 0.3, kFirst = 1e-3, kZero = 1e-4, kHopeless = 1e10;
/// A step longer than this is a good one. A step is accepted if it brings this share of what the model promised.
constexpr double kGoodStep = 0.4, kLeastShare = 1e-4;

/// The derivatives of a trajectory without contacts and without chaos stay below this, in units of the cost itself.
constexpr double kBlownUp = 1e8;
/// What blows derivatives up, and what helps. @param box  the actions are within their limits already
std::string unstable_text(bool box) {
  return fmt::format(
      "contacts or an unstable motion over a long horizon; what helps: a shorter horizon, {}softer contacts or more "
      "substeps in the model, or an algorithm that needs no derivatives (moto, gps)",
      box ? "" : "box=true, ");
}

double more(double lambda) { return lambda > 0.0 ? kGrow * lambda : kFirst; }
double less(double lambda) { return kShrink * lambda < kZero ? 0.0 : kShrink * lambda; }

/// What misses a limit by rounding is put on it: a + (limit - a) is not always the limit.
void move_within_limits(const Task& task, VectorOut a) {
  for (Index i = 0; i < a.size(); ++i) {
    const double low = task.action_low[i], high = task.action_high[i];
    if (a[i] <= low + 1e-14 * std::abs(low)) a[i] = low;
    if (a[i] >= high - 1e-14 * std::abs(high)) a[i] = high;
  }
}

}  // namespace

Ilqr::Ilqr(const IlqrProblem& problem, const IlqrSolverOptions& options, SystemClones& clones)
    : problem_(problem), options_(options), clones_(clones) {
  require(problem.x0.size() == problem.task.nx() && problem.x0.allFinite(), "x0 size", problem.x0.size(),
          fmt::format("{} finite numbers", problem.task.nx()).c_str());
  require(problem.scale > 0 && std::isfinite(problem.scale), "scale", problem.scale, "> 0");
  require(problem.task.termination.empty(), "task.termination", problem.task.termination.size(), "empty");
}

Trajectory Ilqr::rollout(const ActionLaw& law) {
  const Task& task = problem_.task;
  const auto within = [&](int t, VectorIn x, VectorOut a) {
    law(t, x, a);
    if (options_.box) move_within_limits(task, a);
  };
  Trajectory path = simulate(task, clones_.of(0), problem_.x0, within);
  simulated_steps_ += path.diverged_at < 0 ? task.horizon : std::min(path.diverged_at + 1, task.horizon);
  return path;
}

/// Infinite if the trajectory diverged.
double Ilqr::total(const Trajectory& path) const {
  if (path.diverged_at >= 0) return std::numeric_limits<double>::infinity();
  double sum = problem_.scale * path.cost.sum();
  if (problem_.extra)
    for (int t = 0; t < problem_.task.horizon; ++t) sum += problem_.extra->value(t, path.x.col(t), path.a.col(t));
  return std::isfinite(sum) ? sum : std::numeric_limits<double>::infinity();
}

Linearisation Ilqr::derivatives() {
  return linearise(problem_.task, point_.path.x, point_.path.a, options_.differences, clones_);
}

/// Local models around the present trajectory.
bool Ilqr::expand(Linearisation lin) {
  const Task& task = problem_.task;
  const Trajectory& path = point_.path;
  point_.lin = std::move(lin);
  if (point_.lin.diverged_at >= 0) {
    message_ = fmt::format("a simulation from the neighbourhood of step {} diverged, so there are no derivatives: {}{}",
                           point_.lin.diverged_at, point_.lin.why.empty() ? "" : point_.lin.why + "; ",
                           unstable_text(options_.box));
    return false;
  }
  point_.costs = trajectory_cost(task, path.x, path.a, path.y, point_.lin, clones_.threads());
  parallel_for(task.horizon + 1, clones_.threads(), [&](Index t) {
    StageCost& q = point_.costs[static_cast<std::size_t>(t)];
    q.c *= problem_.scale;
    q.gx *= problem_.scale;
    q.gu *= problem_.scale;
    q.Hxx *= problem_.scale;
    q.Hux *= problem_.scale;
    q.Huu *= problem_.scale;
    if (problem_.extra && t < task.horizon)
      problem_.extra->add_expansion(static_cast<int>(t), path.x.col(t), path.a.col(t), q);
  });

  point_.R = VectorXd::Zero(task.da());
  for (int t = 0; t < task.horizon; ++t) point_.R += point_.costs[static_cast<std::size_t>(t)].Huu.diagonal();
  point_.R /= task.horizon;
  const double largest = point_.R.maxCoeff();
  for (double& r : point_.R)
    if (!(r > 0.0)) r = largest > 0.0 ? largest : 1.0;

  if (options_.damp_states) {
    point_.S = VectorXd::Zero(task.system->ndx());
    for (const StageCost& q : point_.costs) point_.S += q.Hxx.diagonal().cwiseMax(0.0);
    point_.S /= static_cast<double>(point_.costs.size());
  }

  regularised_.R = point_.R;
  regularised_.S = point_.S;
  if (options_.box) {
    regularised_.low = task.action_low.replicate(1, task.horizon) - path.a;
    regularised_.high = task.action_high.replicate(1, task.horizon) - path.a;
  }
  return true;
}

bool Ilqr::start(const ActionLaw& law, double lambda, const Linearisation* known) {
  point_.lambda = lambda;
  point_.path = rollout(law);
  point_.cost = total(point_.path);
  if (!std::isfinite(point_.cost)) {
    message_ = point_.path.diverged_at >= 0
                   ? fmt::format("the first trajectory diverged at step {}{}", point_.path.diverged_at,
                                 point_.path.why.empty() ? "" : ": " + point_.path.why)
                   : "the cost of the first trajectory is not finite";
    return false;
  }
  return expand(known ? *known : derivatives());
}

bool Ilqr::backward(double lambda) {
  regularised_.lambda = lambda;
  return riccati({point_.lin.A, point_.lin.B, point_.costs}, regularised_, riccati_);
}

/// Why the last backward pass failed; an action that its limit cuts off moves nothing, and is named.
std::string Ilqr::failure_text(double lambda) const {
  std::string text = describe_failure(riccati_, lambda);
  if (riccati_.status == RiccatiStatus::not_finite) return fmt::format("{}: {}", text, unstable_text(options_.box));
  if (riccati_.status != RiccatiStatus::not_positive_definite || options_.box || riccati_.step < 0) return text;
  const Task& task = problem_.task;
  for (Index i = 0; i < task.da(); ++i) {
    const double a = point_.path.a(i, riccati_.step), limit = task.limited(i, a);
    if (a != limit)
      text += fmt::format(
          "; the action \"{}\" is {:.3g} there, beyond its limit {:.3g}, and moves nothing: set box=true, "
          "or give it a cost at that step",
          task.action_names[static_cast<std::size_t>(i)], a, limit);
  }
  return text;
}

/// Largest entry of the gradient by the actions, as far as limits let them follow it.
double Ilqr::gradient() const {
  const MatrixXd g = action_gradient({point_.lin.A, point_.lin.B, point_.costs});
  if (!options_.box) return g.lpNorm<Eigen::Infinity>();
  double largest = 0.0;
  for (Index t = 0; t < g.cols(); ++t)
    for (Index i = 0; i < g.rows(); ++i) {
      const bool held = g(i, t) > 0.0 ? regularised_.low(i, t) >= 0.0 : regularised_.high(i, t) <= 0.0;
      if (!held) largest = std::max(largest, std::abs(g(i, t)));
    }
  return largest;
}

double Ilqr::least_improvement() const {
  return std::max(options_.tolerance * std::abs(point_.cost), options_.improvement);
}

/// The longest step along the present gains that brings enough of what it promises; the point moves there.
bool Ilqr::line_search(IlqrIteration& done) {
  const Task& task = problem_.task;
  VectorXd dx(task.system->ndx());
  double step = 1.0;
  for (int i = 0; i <= options_.backtracks; ++i, step *= 0.5) {
    const double predicted = -(step * riccati_.linear + step * step * riccati_.quadratic);
    Trajectory next = rollout([&](int t, VectorIn x, VectorOut a) {
      task.system->difference(point_.path.x.col(t), x, dx);
      a = point_.path.a.col(t) + step * riccati_.k.col(t);
      a.noalias() += riccati_.K[static_cast<std::size_t>(t)] * dx;
    });
    ++done.rollouts;
    const double cost = total(next), realised = point_.cost - cost;
    if (!(realised > kLeastShare * predicted)) continue;
    done.step = step;
    done.predicted = predicted;
    done.realised = realised;
    done.lambda = point_.lambda;
    done.cost = cost;
    point_.path = std::move(next);
    point_.cost = cost;
    return true;
  }
  return false;
}

std::optional<IlqrStop> Ilqr::iterate(IlqrIteration& done) {
  done = {};
  done.gradient = gradient();
  if (backward(0.0)) {
    const double promised = 0.0 - (riccati_.linear + riccati_.quadratic);
    if (promised <= least_improvement()) {
      message_ = fmt::format("converged: cost {:.6g}, the local model promises {:.3g} more, largest derivative {:.3g}",
                             unscaled_cost(), promised / problem_.scale, done.gradient / problem_.scale);
      return IlqrStop::converged;
    }
  }
  for (;; point_.lambda = more(point_.lambda)) {
    const bool hopeless = point_.lambda > kHopeless;
    if (!backward(point_.lambda)) {
      if (!hopeless) continue;
      message_ = failure_text(point_.lambda);
      return IlqrStop::not_positive_definite;
    }
    if (line_search(done)) break;
    if (!hopeless) continue;
    message_ = fmt::format(
        "ended where no better step was found: {} rollouts, regularisation up to {:.0e}, and none lowers the cost "
        "{:.6g}; largest derivative {:.3g}",
        done.rollouts, point_.lambda, point_.cost, done.gradient);
    if (!(done.gradient <= kBlownUp * std::max(1.0, std::abs(point_.cost))))
      message_ += fmt::format(", which is blown up by {}", unstable_text(options_.box));
    return IlqrStop::no_step;
  }
  if (done.step > kGoodStep) point_.lambda = less(point_.lambda);
  if (!expand(derivatives())) return IlqrStop::diverged;
  return std::nullopt;
}

std::optional<TrajectoryPolicy> Ilqr::policy() {
  // Without limits: an action that a limit holds has no feedback within it, so that off the trajectory it would stay there.
  RiccatiOptions free;
  free.R = point_.R;
  if (!riccati({point_.lin.A, point_.lin.B, point_.costs}, free, riccati_)) {
    message_ = failure_text(0.0);
    return std::nullopt;
  }
  return TrajectoryPolicy{point_.path.x, point_.path.a, riccati_.K, policy_covariances(riccati_.Quu)};
}

ActionLaw open_loop(MatrixXd a) {
  return [a = std::move(a)](int t, VectorIn, VectorOut action) { action = a.col(t); };
}

ActionLaw mean_of(const TrajectoryPolicy& policy, const System& system) {
  return [&policy, &system, dx = VectorXd(system.ndx())](int t, VectorIn x, VectorOut a) mutable {
    system.difference(policy.x.col(t), x, dx);
    a = policy.a.col(t) + policy.K[static_cast<std::size_t>(t)] * dx;
  };
}

MatrixXd first_actions(const Task& task) {
  MatrixXd a = task.resting_action().replicate(1, task.horizon);
  if (task.demonstration) a.leftCols(task.demonstration->steps()) = task.demonstration->action;
  return a;
}

std::string Ilqr::settled_text(const IlqrIteration& done) const {
  return fmt::format("converged: cost {:.6g}, the last step improved it by {:.3g}", unscaled_cost(),
                     done.realised / problem_.scale);
}

std::optional<IlqrSolution> ilqr_optimise(const IlqrProblem& problem, const ActionLaw& first,
                                          const IlqrSolverOptions& options, const Run& run,
                                          const Linearisation* known) {
  options.validate();
  require(run.threads >= 1, "threads", run.threads, ">= 1");
  SystemClones clones(*problem.task.system, run.threads);
  Ilqr solver(problem, options, clones);
  IlqrSolution solution;
  const auto finish = [&](IlqrStop stop, std::string message) {
    solution.stop = stop;
    solution.message = std::move(message);
    const Index inputs = problem.task.system->ndx() + problem.task.da();
    const auto expansions = static_cast<std::int64_t>(solution.history.size()) + (known ? 0 : 1);
    solution.simulated_steps =
        solver.simulated_steps() + expansions * problem.task.horizon * inputs * (options.differences.centred ? 2 : 1);
    std::optional<TrajectoryPolicy> q;
    if (stop != IlqrStop::diverged && !(q = solver.policy()) && stop != IlqrStop::not_positive_definite) {
      solution.stop = IlqrStop::not_positive_definite;
      solution.message = solver.message();
    }
    IlqrPoint point = solver.release();
    solution.cost = point.cost;
    solution.task_cost = point.path.cost.sum();
    solution.lambda = point.lambda;
    solution.q = q ? std::move(*q) : TrajectoryPolicy{point.path.x, point.path.a, {}, {}};
    solution.lin = std::move(point.lin);
    return solution;
  };

  if (!solver.start(first, options.lambda, known)) return finish(IlqrStop::diverged, solver.message());
  for (int i = 0; i < options.iterations; ++i) {
    if (run.stop.stop_requested()) return std::nullopt;
    IlqrIteration done;
    const auto stop = solver.iterate(done);
    if (done.step > 0.0) solution.history.push_back(done);
    if (stop) return finish(*stop, solver.message());
    if (solver.settled(done)) return finish(IlqrStop::converged, solver.settled_text(done));
  }
  return finish(IlqrStop::max_iterations,
                fmt::format("{} iterations done: cost {:.6g}", options.iterations, solver.unscaled_cost()));
}

}  // namespace kedge
