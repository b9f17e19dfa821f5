#include "kedge/algorithms/gps.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/algorithms/gps_report.h"
#include "kedge/algorithms/report.h"
#include "kedge/algorithms/requirements.h"
#include "kedge/algorithms/time_varying.h"
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

/// The mixture of the prior.
MixtureFit fit_prior(const Window& window, const GpsOptions& options, int iteration, const Run& run) {
  const MatrixXd samples = joint_samples(window);
  MixtureOptions mixture;
  mixture.components = components_for(samples.cols(), samples.rows(), options.clusters);
  const Stream seeding(run.seed, streams::mixture.iteration(iteration), streams::mixture.rollout(0), 0);
  return fit_mixture(samples, mixture, seeding, run.threads);
}

/// Fits to the rollouts, as the dynamics are, everything that costs read and the policy does not see: sensors and state.
/// @return [T + 1] models; none where costs read only observations and actions
Outcome<std::vector<LinearDynamics>> unobserved_models(const Task& task, const Batch& batch, double ridge,
                                                       const Run& run) {
  if (!reads_unobserved(task)) return std::vector<LinearDynamics>{};
  const auto sensors = batch_sensors(task, batch, run);
  if (!sensors) return cancelled();
  MatrixXd values(sensors->rows() + batch.state.rows(), batch.state.cols());
  values << *sensors, batch.state;
  return fit_unobserved(task, batch, values, ridge, run.threads);
}

/// The step size of this iteration, in units of epsilon, from what the last update promised and brought (supplement).
double adapted_step(const GpsState& last, double cost_now) {
  const double factor = step_factor(last.cost_before - last.cost_predicted, last.cost_before - cost_now);
  return std::clamp(last.step * factor, kLeastStep, kLargestStep);
}

KlLqrUpdate optimise(const Epoch& epoch, const LqModel& model, const GpsOptions& options, double step_size) {
  const auto drop = options.entropy_constraint ? std::optional(options.beta0) : std::nullopt;
  if (options.kl == GpsOptions::Kl::step) return kl_lqr_stepwise(epoch.policy, model, epoch.rho, {step_size, drop});
  return kl_lqr(epoch.policy, model, {step_size * epoch.policy.horizon(), drop});
}

/// The dynamics p(s' | s, a) of every step, with the components of the mixture that was their prior (Sec. 3.2).
struct FittedDynamics {
  DynamicsFit fit;
  Index components = 0;
};

Outcome<FittedDynamics> fit_dynamics_of(const Window& window, const GpsOptions& options, const Run& run) {
  const Epoch& epoch = window.back();
  MixtureFit mixture;
  if (options.prior == GpsOptions::Prior::gmm) {
    mixture = fit_prior(window, options, epoch.iteration, run);
    if (mixture.status != MixtureStatus::ok)
      return failure(fmt::format("the mixture of the prior: {} ({})", mixture.message, to_string(mixture.status)));
  }
  const DynamicsPrior prior{options.prior == GpsOptions::Prior::gmm ? &mixture.mixture : nullptr,
                            options.prior_strength};
  DynamicsFit fit = fit_dynamics(epoch.batch, prior, options.ridge, run.threads);
  if (fit.status != DynamicsStatus::ok) return failure(fmt::format("{} ({})", fit.message, to_string(fit.status)));
  return FittedDynamics{std::move(fit), mixture.mixture.size()};
}

/// @param after state of the loop after the iteration
UpdateRecord record_of(const GpsState& after, KlLqrUpdate update, double step_size) {
  UpdateRecord record{after.window.back().policy, after.policy, {}, std::move(update.q),
                      std::move(update.steps),    step_size};
  for (Moments& state : update.states) record.rho.push_back({std::move(state.mean), std::move(state.cov), {}});
  return record;
}

}  // namespace

void GpsOptions::validate() const { require_in_range(*this); }

int rollouts_of(const Task& task, const GpsOptions& options) {
  if (options.rollouts == 1) throw InputError("rollouts = 1, but must be 0 or >= 2: one rollout has no variance");
  if (options.rollouts > 0) return options.rollouts;
  const int coefficients = static_cast<int>(task.ds() + task.da() + 1);
  return std::max(20, (6 * coefficients + 4) / 5);
}

double step_factor(double predicted, double realised) {
  if (!(predicted > 0.0)) return 1.0;
  const double error = std::max(predicted - realised, 0.5 * predicted / kLargestFactor);
  return std::max(kLeastFactor, 0.5 * predicted / error);
}

GpsState gps_start(const Task& task, const GpsOptions& options) {
  options.validate();
  require_whole_episodes(task, "gps");
  GpsState state;
  state.policy = first_policy(task, options.initial_std);
  const Index coefficients = task.ds() + task.da() + 1;
  if (const int rollouts = rollouts_of(task, options);
      options.prior == GpsOptions::Prior::none && rollouts < coefficients)
    throw InputError(
        fmt::format("rollouts = {}, but must be 0 or >= {}: the dynamics of a step have as many coefficients for each "
                    "observation; or set "
                    "prior=gmm",
                    rollouts, coefficients));
  return state;
}

GpsState gps_start_from(const Task& task, const GpsOptions& options, const TvLinearGaussian& from) {
  GpsState state = gps_start(task, options);
  take_means(from, state.policy);
  return state;
}

GpsResult gps(const Task& task, GpsState state, const GpsOptions& options, const Run& run, const GpsObserver& observe) {
  options.validate();
  require_fit(task, state, state.policy, state.window);
  require_whole_episodes(task, "gps");
  const int rollouts = rollouts_of(task, options);
  const int window_size = options.prior == GpsOptions::Prior::gmm ? options.window : 1;

  Loop<GpsState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    GpsState next = loop.state();

    // Sample M trajectories from p_i
    auto batch = rollout(task, next.policy, {rollouts, static_cast<std::uint32_t>(loop.iteration()), true}, run);
    if (!batch) return loop.end(cancelled());
    next.window = with_newest(next.window, loop.iteration(), next.policy, std::move(*batch), window_size);
    Epoch& epoch = next.window.change(next.window.size() - 1);
    loop.lap("rollouts");

    // Fit the dynamics p(s' | s, a) of every step (Sec. 3.2)
    auto rho = mixture_state_distribution(next.window, 0.0, run.threads);
    if (!rho) return loop.end(without_distribution(epoch.batch));
    epoch.rho = std::move(*rho);
    auto dynamics = fit_dynamics_of(next.window, options, run);
    if (!dynamics) return loop.end(dynamics.ending());
    loop.lap("dynamics");

    // Expand the cost
    auto unobserved = unobserved_models(task, epoch.batch, options.ridge, run);
    if (!unobserved) return loop.end(unobserved.ending());
    const LqModel model{sample_moments(observations_at(epoch.batch, 0)), dynamics->fit.dynamics,
                        cost_expansions(task, epoch.batch, run.threads, *unobserved)};
    loop.lap("cost");

    // Optimise the trajectory within its KL bound (Sec. 3.1), adapt the step size (supplement)
    if (options.adapt_step && loop.iteration() > 0)
      next.step = adapted_step(loop.state(), expected_cost(epoch.policy, model));
    const double step_size = options.epsilon * next.step;
    KlLqrUpdate update = optimise(epoch, model, options, step_size);
    if (update.status != StepStatus::ok)
      return loop.end(failure(fmt::format("{} ({})", update.message, to_string(update.status))));
    for (int t = 0; t < task.horizon; ++t) next.policy[t] = update.steps[static_cast<std::size_t>(t)].next;
    next.cost_before = update.cost_old;
    next.cost_predicted = update.cost_new;
    loop.lap("updates");

    Iteration report = gps_report(task, epoch, dynamics->fit, update, step_size, dynamics->components, loop.state());
    count(epoch.batch, 0, next);
    loop.commit(std::move(next), std::move(report),
                [&] { return record_of(loop.state(), std::move(update), step_size); });
  }
  return loop.done();
}

}  // namespace kedge
