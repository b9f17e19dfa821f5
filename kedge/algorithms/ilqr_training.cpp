// The iterations of iLQR as a training loop that can be stopped and resumed.
#include <cmath>

#include "kedge/algorithms/ilqr.h"
#include "kedge/core/errors.h"

namespace kedge {

namespace {

const std::vector<std::string> kNumberNames = {"lambda"};
constexpr const char* kActions = "action";

/// An open-loop policy of these actions, of unit variance.
TvLinearGaussian without_feedback(const Task& task, const MatrixXd& a) {
  TvLinearGaussian policy =
      TvLinearGaussian::constant(task.horizon, task.ds(), VectorXd::Zero(task.da()), VectorXd::Ones(task.da()));
  for (int t = 0; t < task.horizon; ++t) policy[t].k = a.col(t);
  return policy;
}

MatrixXd with_noise(MatrixXd a, double std, std::uint64_t seed) {
  VectorXd noise(a.rows());
  for (Index t = 0; t < a.cols() && std > 0.0; ++t) {
    Stream(seed, 0, streams::first_actions.rollout(0), static_cast<std::uint32_t>(t)).normal(noise);
    a.col(t) += std * noise;
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

/// @param after state of the loop after this iteration
Iteration report(const Task& task, const Trajectory& path, const IlqrIteration& done, double scale,
                 const TrainingState& after) {
  const double value = -path.cost.sum();
  const bool success = path.success < task.success_limit();
  Iteration it;
  it.number = after.iteration - 1;
  it.metrics = {
      {"iteration", static_cast<double>(it.number)},
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

}  // namespace

void require_full_state(const Task& task) {
  bool whole = task.ds() == task.nx();
  for (Index i = 0; whole && i < task.nx(); ++i) whole = task.observation[static_cast<std::size_t>(i)] == i;
  if (!whole)
    throw InputError(fmt::format(
        "task {}: the policy sees {} of the {} entries of the state, but ilqr needs the whole state, in order",
        task.name, task.ds(), task.nx()));
}

MatrixXd first_actions(const Task& task) {
  MatrixXd a = task.resting_action().replicate(1, task.horizon);
  if (task.demonstration) a.leftCols(task.demonstration->steps()) = task.demonstration->action;
  return a;
}

TrainingState ilqr_start(const Task& task, const IlqrOptions& options) {
  options.validate();
  validate(task);
  require_full_state(task);
  TrainingState state;
  const MatrixXd a = first_actions(task);
  state.policy = without_feedback(task, a);
  state.numbers = {{kNumberNames[0], options.lambda}};
  state.matrices = {{kActions, a}};
  return state;
}

TrainingResult ilqr(const Task& task, TrainingState state, const IlqrOptions& options, const Run& run,
                    const TrainingObserver& observe) {
  options.validate();
  require_fit(task, state, kNumberNames);
  require_full_state(task);
  MatrixXd a = matrix(state, kActions);
  require(a.rows() == task.da() && a.cols() == task.horizon, "state actions", fmt::format("{}x{}", a.rows(), a.cols()),
          fmt::format("{}x{}", task.da(), task.horizon).c_str());
  if (state.iteration == 0) a = with_noise(std::move(a), options.initial_noise, run.seed);

  const auto finish = [&](Stop why, std::string message) {
    return TrainingResult{why, std::move(message), std::move(state)};
  };
  const auto failure = [&](const std::string& what) {
    return finish(Stop::numerical_failure,
                  fmt::format("iteration {}: {}; the policy of the last iteration is kept", state.iteration, what));
  };

  // The trajectory is a function of its actions: a resumed run rolls it out again.
  const IlqrProblem problem{task, options.cost_scale, nullptr, task.start.mean};
  Ilqr solver(problem, options, run.threads);
  if (state.iteration >= options.iterations)
    return finish(Stop::max_iterations, fmt::format("{} iterations done", state.iteration));
  if (!solver.start(open_loop(a), state.numbers[0].second)) return failure(solver.message());
  std::int64_t counted = state.iteration == 0 ? 0 : solver.simulated_steps();
  if (state.iteration == 0) ++state.rollouts_total;

  while (state.iteration < options.iterations) {
    if (run.stop.stop_requested())
      return finish(Stop::cancelled, fmt::format("cancelled after {} iterations", state.iteration));
    PhaseClock clock;
    IlqrIteration done;
    const std::optional<IlqrStop> stop = solver.iterate(done);
    if (stop && *stop != IlqrStop::converged) return failure(solver.message());
    std::optional<TrajectoryPolicy> policy = solver.policy();
    if (!policy) return failure(solver.message());
    state.policy = to_tv_linear_gaussian(*policy, tangent_maps(*task.system, policy->x));
    if (stop) return finish(Stop::converged, solver.message());

    state.iteration += 1;
    state.rollouts_total += done.rollouts;
    state.steps_total += solver.simulated_steps() - counted;
    counted = solver.simulated_steps();
    state.last_return_mean = -solver.point().path.cost.sum();
    state.numbers[0].second = solver.point().lambda;
    state.matrices[0].value = policy->a;
    clock.lap("optimisation");
    Iteration it = report(task, solver.point().path, done, options.cost_scale, state);
    it.seconds = std::move(clock.seconds);
    if (observe) observe(it, state, nullptr);
    if (done.realised < std::max(options.tolerance * std::abs(done.cost), options.improvement))
      return finish(Stop::converged, fmt::format("converged: cost {:.6g}, the last step improved it by {:.3g}",
                                                 done.cost, done.realised));
  }
  return finish(Stop::max_iterations, fmt::format("{} iterations done", state.iteration));
}

}  // namespace kedge
