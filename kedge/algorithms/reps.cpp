#include "kedge/algorithms/reps.h"

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/update/reps_dual.h"
#include "kedge/update/search_step.h"

namespace kedge {

namespace {

/// The features of the baseline V(phi): those of the search distribution and their squares. Its mean is linear in phi, so that
/// the best return is at least quadratic.
MatrixXd baseline_features(const MatrixXd& phi) {
  MatrixXd both(2 * phi.rows(), phi.cols());
  both << phi, phi.cwiseAbs2();
  return both;
}

}  // namespace

RepsState reps_start(const Task& task, const RepsOptions& options) {
  options.validate();
  return {first_search(search_problem(task, options), options)};
}

RepsResult reps(const Task& task, RepsState state, const RepsOptions& options, const Run& run,
                const RepsObserver& observe) {
  options.validate();
  const SearchProblem problem = search_problem(task, options);
  require_search(problem, state);

  Loop<RepsState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    RepsState next = loop.state();

    // Rollouts, each with parameters theta ~ N(K phi + k, Sigma) of its own
    auto batch = search_rollouts(problem, options, loop.iteration(), run, next);
    if (!batch) return loop.end(batch.ending());
    loop.lap("rollouts");

    // Weigh the samples of the last iterations by their densities now
    const auto samples = pooled(next.pool);
    if (!samples) return loop.end(failure("the samples of the last iterations have no weight that is finite"));
    loop.lap("importance_weights");

    // Solve the dual: new weights within a KL of epsilon
    const RepsWeights weights =
        reps_weights(samples->returns, samples->weight, baseline_features(samples->phi), options.epsilon);
    if (weights.status != RepsStatus::ok)
      return loop.end(failure(fmt::format("{} ({})", weights.message, to_string(weights.status))));
    loop.lap("dual");

    // Fit the search distribution, and go there as far as its own KL allows
    const LinearGaussian fitted = fit_search(next.search, samples->theta, samples->phi, weights.weight);
    SearchStep step = search_step(next.search, fitted, samples->context, options.search_epsilon);
    if (step.status != SearchStatus::ok)
      return loop.end(failure(fmt::format("{} ({})", step.message, to_string(step.status))));
    next.search = std::move(step.next);
    auto policy = mean_policy(problem, next.search);
    if (!policy) return loop.end(failure("the controller of the mean parameters is not finite"));
    next.policy = std::move(*policy);
    loop.lap("update");

    count(*batch, 0, next);
    Iteration report = search_report(problem, *batch, *samples, loop.iteration(), options, next);
    add(report, {{"kl_weights", weights.kl},
                 {"kl_search", step.kl},
                 {"step_length", step.length},
                 {"eta", weights.eta},
                 {"effective_weights", 1.0 / weights.weight.squaredNorm()}});
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
