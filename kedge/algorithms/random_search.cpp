#include "kedge/algorithms/random_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kedge/algorithms/controllers.h"
#include "kedge/algorithms/report.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/math/statistics.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

/// a = middle + range M diag(deviation)^-1 (s - mean), the same at every step.
TvLinearGaussian controller(const Task& task, const RandomSearchState& state, const MatrixXd& gains) {
  const VectorXd range = half_range(task);
  const MatrixXd K = range.asDiagonal() * gains * deviations(state.moments).cwiseInverse().asDiagonal();
  return linear_controller(task, K, task.resting_action() - K * state.moments.mean);
}

/// Adds the observations of the usable rollouts.
void add_observations(const Batch& batch, RandomSearchState& state) {
  for (int t = 0; t < batch.horizon; ++t) {
    std::vector<Index> seen;
    for (int n = 0; n < batch.rollouts; ++n)
      if (batch.usable(n) && t < batch.steps(n)) seen.push_back(batch.at(n, t));
    add_columns(batch.observation(Eigen::all, seen), state.moments);
  }
}

/// A direction and what it brought.
struct Trial {
  MatrixXd direction;                      ///< [da, ds]
  double forwards = 0.0, backwards = 0.0;  ///< mean returns
};

/// Tries all directions both ways, from the same initial states. Directions whose rollouts all diverge are left out.
Outcome<std::vector<Trial>> try_directions(const Task& task, const RandomSearchOptions& options, int iteration,
                                           const Run& run, RandomSearchState& next, std::int64_t& steps) {
  std::vector<Trial> trials;
  const MatrixXd gains = next.gains;
  const RandomSearchState before = next;
  for (int i = 0; i < options.directions; ++i) {
    Trial trial{MatrixXd(gains.rows(), gains.cols())};
    Stream random(run.seed, streams::directions.iteration(iteration), streams::directions.rollout(0),
                  static_cast<std::uint32_t>(i));
    random.normal(trial.direction.reshaped());
    bool usable = true;
    for (const double sign : {1.0, -1.0}) {
      const auto batch = rollout(task, controller(task, before, gains + sign * options.spread * trial.direction),
                                 {options.rollouts, streams::training.iteration(iteration), false}, run);
      if (!batch) return cancelled();
      steps += simulated_steps(*batch);
      add_observations(*batch, next);
      usable = usable && usable_rollouts(*batch) > 0;
      if (usable) (sign > 0.0 ? trial.forwards : trial.backwards) = return_mean(*batch);
    }
    if (usable) trials.push_back(std::move(trial));
  }
  return trials;
}

/// The step along the best directions, in units of the deviation of their returns. @return [da, ds]
MatrixXd step_of(std::vector<Trial> trials, const RandomSearchOptions& options) {
  const auto better = [](const Trial& a, const Trial& b) {
    return std::max(a.forwards, a.backwards) > std::max(b.forwards, b.backwards);
  };
  std::stable_sort(trials.begin(), trials.end(), better);
  trials.resize(std::min(trials.size(), static_cast<std::size_t>(options.best)));
  std::vector<double> returns;
  MatrixXd sum = MatrixXd::Zero(trials[0].direction.rows(), trials[0].direction.cols());
  for (const Trial& trial : trials) {
    returns.insert(returns.end(), {trial.forwards, trial.backwards});
    sum += (trial.forwards - trial.backwards) * trial.direction;
  }
  const double deviation = population_standard_deviation(returns);
  if (!(deviation > 0.0)) return MatrixXd::Zero(sum.rows(), sum.cols());
  return options.step / (static_cast<double>(trials.size()) * deviation) * sum;
}

}  // namespace

RandomSearchState random_search_start(const Task& task, const RandomSearchOptions& options) {
  options.validate();
  validate(task);
  RandomSearchState state;
  state.gains = MatrixXd::Zero(task.da(), task.ds());
  state.moments = RunningMoments(task.ds());
  state.policy = controller(task, state, state.gains);
  return state;
}

RandomSearchResult random_search(const Task& task, RandomSearchState state, const RandomSearchOptions& options,
                                 const Run& run, const RandomSearchObserver& observe) {
  options.validate();
  require_fit(task, state, state.policy, {});
  if (state.gains.rows() != task.da() || state.gains.cols() != task.ds() || state.moments.mean.size() != task.ds() ||
      state.moments.squares.size() != task.ds() || state.moments.count < 0.0)
    throw InputError(fmt::format("the state does not fit the task {}", task.name));

  Loop<RandomSearchState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    RandomSearchState next = loop.state();
    std::int64_t steps = 0;

    // How good is the present controller?
    const auto batch =
        rollout(task, next.policy, {options.rollouts, streams::training.iteration(loop.iteration()), false}, run);
    if (!batch) return loop.end(cancelled());
    if (usable_rollouts(*batch) == 0)
      return loop.end(failure(fmt::format("all {} rollouts diverged", batch->rollouts)));
    loop.lap("rollouts");

    // Try random directions both ways
    auto trials = try_directions(task, options, loop.iteration(), run, next, steps);
    if (!trials) return loop.end(trials.ending());
    if (trials->empty()) return loop.end(failure("the rollouts of all directions diverged"));
    loop.lap("directions");

    // Step along the best
    const auto used = static_cast<double>(trials->size());
    const MatrixXd step = step_of(std::move(*trials), options);
    next.gains += step;
    next.policy = controller(task, next, next.gains);
    loop.lap("step");

    count(*batch, steps, next);
    next.rollouts_total += 2 * std::int64_t{options.directions} * options.rollouts;
    Iteration report;
    report.metrics = return_metrics(*batch, loop.iteration(), next.rollouts_total, next.steps_total);
    add(report, {{"return_median", median(returns(*batch))},
                 {"success_rate", success_rate(*batch, task.success_limit())},
                 {"directions_used", used},
                 {"step_norm", step.norm()},
                 {"gain_norm", next.gains.norm()},
                 {"diverged", static_cast<double>(diverged_rollouts(*batch))}});
    add_early_ends(task, *batch, report);
    warn_of_divergence(*batch, report.warnings);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
