#include "kedge/algorithms/moto.h"

#include <cmath>
#include <utility>

#include "kedge/algorithms/moto_report.h"
#include "kedge/algorithms/report.h"
#include "kedge/algorithms/requirements.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/backward_fit.h"
#include "kedge/evaluation/state_distribution.h"
#include "kedge/evaluation/step_diagnostics.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

/// @param floor [ds]
std::optional<std::vector<Gaussian>> state_distribution(const Window& window, const VectorXd& floor,
                                                        const MotoOptions& options, int threads) {
  return options.state_distribution == MotoOptions::StateDistribution::mixture
             ? mixture_state_distribution(window, options.gamma, threads, floor)
             : forward_state_distribution(window, floor);
}

/// Q~_t of Eq. 5 as the update reads it: the parts that depend on the action.
WhitenedQuadratic action_part(const Quadratic& q, Index ds) {
  const Index da = q.g.size() - ds;
  return {q.H.bottomRightCorner(da, da), q.H.bottomLeftCorner(da, ds), q.g.tail(da)};
}

/// The trust-region steps of all time steps, which do not depend on each other (Sec. 3). @return [T]
Outcome<std::vector<GaussianStep>> trust_region_steps(const Epoch& epoch, const std::vector<QuadraticFit>& fits,
                                                      const MotoOptions& options, int threads) {
  const TrustRegion bounds{options.epsilon, options.entropy_constraint ? std::optional(options.beta0) : std::nullopt};
  std::vector<GaussianStep> steps(fits.size());
  parallel_for(static_cast<Index>(steps.size()), threads, [&](Index i) {
    const auto t = static_cast<std::size_t>(i);
    steps[t] = gaussian_step(epoch.policy[static_cast<int>(i)], action_part(fits[t].q, epoch.rho[t].dim()),
                             epoch.rho[t], bounds);
  });
  for (std::size_t t = 0; t < steps.size(); ++t)
    if (steps[t].status != StepStatus::ok)
      return failure(fmt::format("step {}: {} ({})", t, steps[t].message, to_string(steps[t].status)));
  return steps;
}

/// @param after state of the loop after the iteration
UpdateRecord record_of(const MotoState& after, const std::vector<QuadraticFit>& fits, std::vector<GaussianStep> steps,
                       double epsilon) {
  const Epoch& epoch = after.window.back();
  UpdateRecord record{epoch.policy, after.policy, epoch.rho, {}, std::move(steps), epsilon};
  for (std::size_t t = 0; t < fits.size(); ++t) {
    const Gaussian& rho = epoch.rho[t];
    record.q.push_back(unwhiten(action_part(fits[t].q, rho.dim()), epoch.policy[static_cast<int>(t)], rho));
  }
  return record;
}

}  // namespace

void MotoOptions::validate() const {
  require_in_range(*this);
  if (targets == Targets::monte_carlo && (reuse == Reuse::time || reuse == Reuse::time_and_iterations))
    throw InputError(
        "targets = monte_carlo with reuse over time steps, but the summed reward of a rollout belongs to its own step: "
        "reuse must be none or iterations");
}

MotoState moto_start(const Task& task, const MotoOptions& options) {
  options.validate();
  require_whole_episodes(task, "moto");
  MotoState state;
  state.policy = first_policy(task, options.initial_std);
  if (options.initial_mean == MotoOptions::FirstMean::demonstration) follow_demonstration(task, state.policy);
  static_cast<void>(observation_numbers(task, options.state_floor, "state_floor"));
  return state;
}

MotoState moto_start_from(const Task& task, const MotoOptions& options, const TvLinearGaussian& from) {
  MotoState state = moto_start(task, options);
  take_means(from, state.policy);
  return state;
}

MotoResult moto(const Task& task, MotoState state, const MotoOptions& options, const Run& run,
                const MotoObserver& observe) {
  options.validate();
  require_fit(task, state, state.policy, state.window);
  require_whole_episodes(task, "moto");
  const VectorXd floor = observation_numbers(task, options.state_floor, "state_floor");
  const RegressionOptions regression{options.ridge, options.targets == MotoOptions::Targets::monte_carlo};
  std::vector<Regression> workspace;
  SampleReuse reuse(options.reuse, options.window, options.weight_cutoff);
  for (const Epoch& epoch : state.window) reuse.push(epoch, run.threads);

  Loop<MotoState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    MotoState next = loop.state();

    // Sample M trajectories from pi^i
    auto batch =
        rollout(task, next.policy, {options.rollouts, static_cast<std::uint32_t>(loop.iteration()), true}, run);
    if (!batch) return loop.end(cancelled());
    loop.lap("rollouts");
    next.window = with_newest(next.window, loop.iteration(), next.policy, std::move(*batch), options.window);
    Epoch& epoch = next.window.change(next.window.size() - 1);

    // Estimate the state distributions rho~_t^i (Sec. 4.3)
    auto rho = state_distribution(next.window, floor, options, run.threads);
    if (!rho) return loop.end(without_distribution(epoch.batch));
    epoch.rho = std::move(*rho);
    loop.lap("state_distribution");

    // Compute the importance weights of all stored (s, a, s') (Sec. 4.2)
    reuse.push(epoch, run.threads);
    loop.lap("importance_weights");

    // Estimate the Q-functions Q~_t^i, backwards in time (Sec. 4.1)
    const BackwardFit model = fit_backwards(task, reuse, regression, run.threads, workspace);
    if (model.status != BackwardFitStatus::ok) return loop.end(failure(model.message));
    loop.lap("regressions");

    // Optimise the dual and update the policy (Sec. 3)
    auto updates = trust_region_steps(epoch, model.fits, options, run.threads);
    if (!updates) return loop.end(updates.ending());
    for (int t = 0; t < task.horizon; ++t) next.policy[t] = (*updates)[static_cast<std::size_t>(t)].next;
    loop.lap("updates");

    const Window& before = loop.state().window;
    const StepDiagnostics diagnostics = step_diagnostics(
        epoch, before.empty() ? std::vector<Gaussian>{} : before.back().rho, model.fits, next.policy, run.threads);
    Iteration report = moto_report(task, epoch, model, *updates, diagnostics, loop.state());
    count(epoch.batch, 0, next);
    loop.commit(std::move(next), std::move(report),
                [&] { return record_of(loop.state(), model.fits, std::move(*updates), options.epsilon); });
  }
  return loop.done();
}

}  // namespace kedge
