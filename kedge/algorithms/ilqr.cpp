#include "kedge/algorithms/ilqr.h"

#include <cmath>

#include "kedge/algorithms/requirements.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/errors.h"
#include "kedge/evaluation/trajectory_cost.h"

namespace kedge {

namespace {

/// An open-loop policy of these actions, of unit variance.
TvLinearGaussian without_feedback(const Task& task, const MatrixXd& a) {
  TvLinearGaussian policy =
      TvLinearGaussian::constant(task.horizon, task.ds(), VectorXd::Zero(task.da()), VectorXd::Ones(task.da()));
  for (int t = 0; t < task.horizon; ++t) policy[t].k = a.col(t);
  return policy;
}

/// @param std [da]
MatrixXd with_noise(MatrixXd a, const VectorXd& std, std::uint64_t seed) {
  VectorXd noise(a.rows());
  for (Index t = 0; t < a.cols() && (std.array() > 0.0).any(); ++t) {
    Stream(seed, 0, streams::first_actions.rollout(0), static_cast<std::uint32_t>(t)).normal(noise);
    a.col(t).array() += std.array() * noise.array();
  }
  return a;
}

/// Share of action entries beyond their limits.
double saturated(const Task& task, const MatrixXd& a) {
  Index count = 0;
  for (Index t = 0; t < a.cols(); ++t)
    count += ((a.col(t).array() < task.action_low.array()) || (a.col(t).array() > task.action_high.array())).count();
  return static_cast<double>(count) / static_cast<double>(a.size());
}

/// @param number of the iteration  @param after state of the loop after it
Iteration report(const Task& task, const Trajectory& path, const IlqrIteration& done, double scale, int number,
                 const IlqrState& after) {
  const double value = -path.cost.sum();
  const bool success = path.success < task.success_limit();
  Iteration it;
  it.metrics = {
      {"iteration", static_cast<double>(number)},
      {"rollouts_total", static_cast<double>(after.rollouts_total)},
      {"steps_total", static_cast<double>(after.steps_total)},
      {"return_mean", value},
      {"return_std", 0.0},
      {"return_min", value},
      {"return_max", value},
      {"improvement_predicted", done.predicted / scale},
      {"improvement_realised", done.realised / scale},
      {"return_median", value},
      {"success_rate", success ? 1.0 : 0.0},
      {"lambda", done.lambda},
      {"step_size", done.step},
      {"gradient_max", done.gradient / scale},
      {"line_search_rollouts", static_cast<double>(done.rollouts)},
      {"saturated_share", saturated(task, path.a)},
  };
  return it;
}

/// The end of a run whose first trajectory already is stationary.
std::string stationary_text(const std::string& message) {
  return message +
         "; the first trajectory is stationary, and nothing pushes it off. If it does not do the task, set "
         "initial_noise='\"10 %\"', or give a demonstration";
}

}  // namespace

void require_full_state(const Task& task) {
  bool whole = task.ds() == task.nx();
  for (Index i = 0; whole && i < task.nx(); ++i) whole = task.observation[static_cast<std::size_t>(i)] == i;
  if (!whole)
    throw InputError(fmt::format(
        "task {}: the policy sees {} of the {} entries of the state, but ilqr needs the whole state, in order",
        task.name, task.ds(), task.nx()));
}

IlqrState ilqr_start(const Task& task, const IlqrOptions& options) {
  options.validate();
  validate(task);
  require_whole_episodes(task, "ilqr");
  require_full_state(task);
  require_action_costs(task, options.box);
  static_cast<void>(action_numbers(task, options.initial_noise, "initial_noise"));
  IlqrState state;
  state.action = first_actions(task);
  state.policy = without_feedback(task, state.action);
  state.lambda = options.lambda;
  return state;
}

IlqrResult ilqr(const Task& task, IlqrState state, const IlqrOptions& options, const Run& run,
                const IlqrObserver& observe) {
  options.validate();
  require_fit(task, state, state.policy, {});
  require_whole_episodes(task, "ilqr");
  require_full_state(task);
  MatrixXd a = state.action;
  require(a.rows() == task.da() && a.cols() == task.horizon, "state actions", fmt::format("{}x{}", a.rows(), a.cols()),
          fmt::format("{}x{}", task.da(), task.horizon).c_str());
  if (state.iteration == 0)
    a = with_noise(std::move(a), action_numbers(task, options.initial_noise, "initial_noise"), run.seed);
  const IlqrProblem problem{task, options.cost_scale, nullptr, task.start.mean};
  Ilqr solver(problem, options, run.threads);

  Loop<IlqrState> loop(std::move(state), options.iterations, run, observe);
  // The trajectory is a function of its actions: a resumed run rolls it out again.
  if (loop.iteration() < options.iterations && !solver.start(open_loop(a), loop.state().lambda))
    return loop.end(failure(solver.message()));
  std::int64_t counted = loop.iteration() == 0 ? 0 : solver.simulated_steps();

  while (loop.next()) {
    // Improve the trajectory by one step, or find that it has converged
    IlqrIteration done;
    const std::optional<IlqrStop> stop = solver.iterate(done);
    // Where nothing better is found, what was found is the result; where nothing was, the run has failed.
    if (stop == IlqrStop::no_step && loop.iteration() > 0) return loop.converged(loop.state(), solver.message());
    if (stop && *stop != IlqrStop::converged) return loop.end(failure(solver.message()));
    std::optional<TrajectoryPolicy> policy = solver.policy();
    if (!policy) return loop.end(failure(solver.message()));
    IlqrState next = loop.state();
    next.policy = to_tv_linear_gaussian(*policy, tangent_maps(*task.system, policy->x));
    if (stop) {
      const bool at_start = loop.iteration() == 0 && solver.point().cost > 0.0 &&
                            action_numbers(task, options.initial_noise, "initial_noise").isZero(0.0) &&
                            !task.demonstration;
      return loop.converged(std::move(next), at_start ? stationary_text(solver.message()) : solver.message());
    }
    loop.lap("optimisation");

    const Trajectory& path = solver.point().path;
    next.rollouts_total += done.rollouts + (loop.iteration() == 0 ? 1 : 0);  // the first trajectory
    next.steps_total += solver.simulated_steps() - counted;
    counted = solver.simulated_steps();
    next.last_return_mean = -path.cost.sum();
    next.lambda = solver.point().lambda;
    next.action = policy->a;
    Iteration it = report(task, path, done, options.cost_scale, loop.iteration(), next);
    loop.commit(std::move(next), std::move(it));
    if (solver.settled(done)) return loop.converged(loop.state(), settled_text(done));
  }
  return loop.done();
}

}  // namespace kedge
