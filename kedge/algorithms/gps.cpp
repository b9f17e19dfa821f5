#include "kedge/algorithms/gps.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/algorithms/gps_report.h"
#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/cost_expansion.h"
#include "kedge/evaluation/linear_dynamics.h"
#include "kedge/evaluation/state_distribution.h"
#include "kedge/rollout/rollout.h"
#include "kedge/update/kl_lqr.h"

namespace kedge {

namespace {

/// Limits of what the step size adapts to, in units of epsilon, and of its change in one iteration.
constexpr double kLeastStep = 0.01, kLargestStep = 10.0, kLeastFactor = 0.1, kLargestFactor = 5.0;

/// What GPS carries beside what all algorithms do.
struct Numbers {
  double step = 1.0;            ///< step size in units of epsilon
  double cost_before = 0.0;     ///< expected cost before the last update, under its model
  double cost_predicted = 0.0;  ///< and after it
};
const std::vector<std::string> kNumberNames = {"step", "cost_before", "cost_predicted"};

std::vector<Metric> to_metrics(const Numbers& n) {
  return {{kNumberNames[0], n.step}, {kNumberNames[1], n.cost_before}, {kNumberNames[2], n.cost_predicted}};
}
Numbers from_metrics(const std::vector<Metric>& m) { return {m[0].second, m[1].second, m[2].second}; }

/// The mixture of the prior. At most as many components as leave each twice as many samples as a covariance has rows.
MixtureFit fit_prior(const std::deque<Epoch>& window, const GpsOptions& options, int iteration, const Run& run) {
  const MatrixXd samples = joint_samples(window);
  MixtureOptions mixture;
  mixture.components = std::max(1, std::min(options.clusters, static_cast<int>(samples.cols() / (2 * samples.rows()))));
  const Stream seeding(run.seed, streams::mixture.iteration(iteration), streams::mixture.rollout(0), 0);
  return fit_mixture(samples, mixture, seeding, run.threads);
}

/// Quadratic costs of all steps around the mean of the present rollouts, that of the final state included.
std::vector<Quadratic> expand_costs(const Task& task, const Batch& batch, int threads) {
  const MatrixXd joint = joint_samples(batch);
  const Index n = task.ds() + task.da(), usable = usable_rollouts(batch);
  std::vector<Quadratic> costs(static_cast<std::size_t>(task.horizon) + 1);
  parallel_for(task.horizon + 1, threads, [&](Index t) {
    const MatrixXd z = t < task.horizon ? MatrixXd(joint.block(0, t * usable, n, usable))
                                        : observations_at(batch, static_cast<int>(t));
    costs[static_cast<std::size_t>(t)] = cost_expansion(task, static_cast<int>(t), sample_moments(z));
  });
  return costs;
}

/// The step size of this iteration, in units of epsilon, from what the last update promised and brought (supplement).
double adapted_step(const Numbers& last, double cost_now) {
  const double factor = step_factor(last.cost_before - last.cost_predicted, last.cost_before - cost_now);
  return std::clamp(last.step * factor, kLeastStep, kLargestStep);
}

KlLqrUpdate optimise(const Epoch& epoch, const LqModel& model, const GpsOptions& options, double step_size) {
  const double beta0 = options.entropy_constraint ? options.beta0 : std::numeric_limits<double>::infinity();
  if (options.kl == GpsOptions::Kl::step) return kl_lqr_stepwise(epoch.policy, model, epoch.rho, {step_size, beta0});
  return kl_lqr(epoch.policy, model, {step_size * epoch.policy.horizon(), beta0});
}

UpdateRecord to_record(const Epoch& epoch, const TvLinearGaussian& next, KlLqrUpdate update, double step_size) {
  UpdateRecord record{epoch.policy, next, {}, std::move(update.q), std::move(update.steps), step_size};
  for (Moments& state : update.states) record.rho.push_back({std::move(state.mean), std::move(state.cov), {}});
  return record;
}

}  // namespace

void GpsOptions::validate() const {
  require(iterations >= 0, "iterations", iterations, ">= 0");
  require(rollouts >= 2, "rollouts", rollouts, ">= 2");
  require(epsilon > 0 && std::isfinite(epsilon), "epsilon", epsilon, "> 0 (nats)");
  require(beta0 >= 0 && std::isfinite(beta0), "beta0", beta0, ">= 0 (nats)");
  require(initial_std > 0 && std::isfinite(initial_std), "initial_std", initial_std, "> 0");
  require(clusters >= 1, "clusters", clusters, ">= 1");
  require(prior_strength > 0 && std::isfinite(prior_strength), "prior_strength", prior_strength, "> 0");
  require(window >= 1, "window", window, ">= 1");
  require(ridge >= 0 && std::isfinite(ridge), "ridge", ridge, ">= 0");
}

double step_factor(double predicted, double realised) {
  if (!(predicted > 0.0)) return 1.0;
  const double error = std::max(predicted - realised, 0.5 * predicted / kLargestFactor);
  return std::max(kLeastFactor, 0.5 * predicted / error);
}

TrainingState gps_start(const Task& task, const GpsOptions& options) {
  options.validate();
  TrainingState state = training_start(task, options.initial_std);
  require_expandable(task);
  state.numbers = to_metrics({});
  return state;
}

TrainingResult gps(const Task& task, TrainingState state, const GpsOptions& options, const Run& run,
                   const TrainingObserver& observe) {
  options.validate();
  require_fit(task, state, kNumberNames);
  require_expandable(task);
  const auto window_size = static_cast<std::size_t>(options.prior == GpsOptions::Prior::gmm ? options.window : 1);

  const auto finish = [&](Stop why, std::string message) {
    return TrainingResult{why, std::move(message), std::move(state)};
  };
  const auto failure = [&](const std::string& what) {
    return finish(Stop::numerical_failure,
                  fmt::format("iteration {}: {}; the policy of the last iteration is kept", state.iteration, what));
  };

  while (state.iteration < options.iterations) {
    PhaseClock clock;
    const int i = state.iteration;

    // Sample M trajectories from p_i
    auto sampled = rollout(task, time_varying(state), {options.rollouts, static_cast<std::uint32_t>(i), true}, run);
    if (!sampled) return finish(Stop::cancelled, fmt::format("cancelled after {} iterations", i));
    std::deque<Epoch> window = state.window;
    window.push_back({i, time_varying(state), {}, std::move(*sampled)});
    while (window.size() > window_size) window.pop_front();
    Epoch& epoch = window.back();
    clock.lap("rollouts");

    // Fit the dynamics p(s' | s, a) of every step (Sec. 3.2)
    auto rho = mixture_state_distribution(window, 0.0, run.threads);
    if (!rho)
      return failure(
          fmt::format("the states cannot be described by a Gaussian: {} of {} rollouts are usable, the others diverged",
                      usable_rollouts(epoch.batch), options.rollouts));
    epoch.rho = std::move(*rho);
    MixtureFit mixture;
    if (options.prior == GpsOptions::Prior::gmm) {
      mixture = fit_prior(window, options, i, run);
      if (mixture.status != MixtureStatus::ok)
        return failure(fmt::format("the mixture of the prior: {} ({})", mixture.message, to_string(mixture.status)));
    }
    const DynamicsPrior prior{options.prior == GpsOptions::Prior::gmm ? &mixture.mixture : nullptr,
                              options.prior_strength};
    const DynamicsFit fit = fit_dynamics(epoch.batch, prior, options.ridge, run.threads);
    if (fit.status != DynamicsStatus::ok) return failure(fmt::format("{} ({})", fit.message, to_string(fit.status)));
    clock.lap("dynamics");

    // Expand the cost
    const LqModel model{sample_moments(observations_at(epoch.batch, 0)), fit.dynamics,
                        expand_costs(task, epoch.batch, run.threads)};
    clock.lap("cost");

    // Optimise the trajectory within its KL bound (Sec. 3.1), adapt the step size (supplement)
    Numbers numbers = from_metrics(state.numbers);
    if (options.adapt_step && i > 0) numbers.step = adapted_step(numbers, expected_cost(epoch.policy, model));
    const double step_size = options.epsilon * numbers.step;
    KlLqrUpdate update = optimise(epoch, model, options, step_size);
    if (update.status != UpdateStatus::ok)
      return failure(fmt::format("{} ({})", update.message, to_string(update.status)));
    TvLinearGaussian next = epoch.policy;
    for (std::size_t t = 0; t < update.steps.size(); ++t) next[static_cast<int>(t)] = update.steps[t].next;
    clock.lap("updates");

    Iteration report = gps_report(task, epoch, fit, update, step_size, mixture.mixture.size(), state);
    state.iteration = i + 1;
    state.rollouts_total += options.rollouts;
    state.steps_total += simulated_steps(epoch.batch);
    state.last_return_mean = return_mean(epoch.batch);
    state.numbers = to_metrics({numbers.step, update.cost_old, update.cost_new});
    state.policy = std::move(next);
    state.window = std::move(window);
    clock.lap("report");
    report.seconds = std::move(clock.seconds);
    if (!observe) continue;
    if (options.record_updates) {
      const UpdateRecord record = to_record(state.window.back(), time_varying(state), std::move(update), step_size);
      observe(report, state, &record);
    } else {
      observe(report, state, nullptr);
    }
  }
  return finish(Stop::max_iterations, fmt::format("{} iterations done", state.iteration));
}

}  // namespace kedge
