#include "kedge/algorithms/moto.h"

#include <cmath>
#include <utility>

#include "kedge/algorithms/moto_report.h"
#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/backward_fit.h"
#include "kedge/evaluation/state_distribution.h"
#include "kedge/evaluation/step_diagnostics.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

std::optional<std::vector<Gaussian>> state_distribution(const std::deque<Epoch>& window, const MotoOptions& options,
                                                        int threads) {
  return options.state_distribution == MotoOptions::StateDistribution::mixture
             ? mixture_state_distribution(window, options.gamma, threads)
             : forward_state_distribution(window);
}

/// Q~_t of Eq. 5 as the update reads it: the parts that depend on the action.
WhitenedQuadratic action_part(const Quadratic& q, Index ds) {
  const Index da = q.g.size() - ds;
  return {q.H.bottomRightCorner(da, da), q.H.bottomLeftCorner(da, ds), q.g.tail(da)};
}

}  // namespace

void MotoOptions::validate() const {
  require(iterations >= 0, "iterations", iterations, ">= 0");
  require(rollouts >= 2, "rollouts", rollouts, ">= 2");
  require(epsilon > 0 && std::isfinite(epsilon), "epsilon", epsilon, "> 0 (nats)");
  require(beta0 >= 0 && std::isfinite(beta0), "beta0", beta0, ">= 0 (nats)");
  require(initial_std > 0 && std::isfinite(initial_std), "initial_std", initial_std, "> 0");
  require(ridge > 0 && std::isfinite(ridge), "ridge", ridge, "> 0");
  require(window >= 1, "window", window, ">= 1");
  require(weight_cutoff >= 0 && weight_cutoff <= 0.1, "weight_cutoff", weight_cutoff, "in [0, 0.1]");
  require(gamma >= 0 && gamma <= 1, "gamma", gamma, "in [0, 1]");
  if (targets == Targets::monte_carlo && (reuse == Reuse::time || reuse == Reuse::time_and_iterations))
    throw InputError(
        "targets = monte_carlo with reuse over time steps, but the summed reward of a rollout belongs to its own step: "
        "reuse must be none or iterations");
}

MotoState moto_start(const Task& task, const MotoOptions& options) {
  options.validate();
  return training_start(task, options.initial_std);
}

MotoResult moto(const Task& task, MotoState state, const MotoOptions& options, const Run& run,
                const MotoObserver& observe) {
  options.validate();
  require_fit(task, state, {});
  const auto T = static_cast<std::size_t>(task.horizon);
  const RegressionOptions regression{options.ridge, options.targets == MotoOptions::Targets::monte_carlo};
  const TrustRegion bounds{options.epsilon, options.entropy_constraint ? std::optional(options.beta0) : std::nullopt};

  std::vector<Regression> workspace;
  SampleReuse reuse(options.reuse, options.window, options.weight_cutoff);
  for (const Epoch& epoch : state.window) reuse.push(epoch, run.threads);
  while (static_cast<int>(state.window.size()) > options.window) state.window.pop_front();

  const auto finish = [&](Stop why, std::string message) {
    return MotoResult{why, std::move(message), std::move(state)};
  };
  std::optional<Epoch> dropped;  // from the window by this iteration: put back if it fails
  const auto failure = [&](const std::string& what) {
    state.window.pop_back();
    if (dropped) state.window.push_front(std::move(*dropped));
    return finish(Stop::numerical_failure,
                  fmt::format("iteration {}: {}; the policy of the last iteration is kept", state.iteration, what));
  };

  while (state.iteration < options.iterations) {
    PhaseClock clock;
    const int i = state.iteration;

    // Sample M trajectories from pi^i
    auto sampled = rollout(task, time_varying(state), {options.rollouts, static_cast<std::uint32_t>(i), true}, run);
    if (!sampled) return finish(Stop::cancelled, fmt::format("cancelled after {} iterations", i));
    clock.lap("rollouts");
    const std::vector<Gaussian> previous_rho = state.window.empty() ? std::vector<Gaussian>{} : state.window.back().rho;
    state.window.push_back({i, time_varying(state), {}, std::move(*sampled)});
    dropped.reset();
    if (static_cast<int>(state.window.size()) > options.window) {
      dropped = std::move(state.window.front());
      state.window.pop_front();
    }
    Epoch& epoch = state.window.back();

    // Estimate the state distributions rho~_t^i (Sec. 4.3)
    auto rho = state_distribution(state.window, options, run.threads);
    if (!rho)
      return failure(
          fmt::format("the states cannot be described by a Gaussian: {} of {} rollouts are usable, the others diverged",
                      usable_rollouts(epoch.batch), options.rollouts));
    epoch.rho = std::move(*rho);
    clock.lap("state_distribution");

    // Compute the importance weights of all stored (s, a, s') (Sec. 4.2)
    reuse.push(epoch, run.threads);
    clock.lap("importance_weights");

    // Estimate the Q-functions Q~_t^i, backwards in time (Sec. 4.1)
    const BackwardFit model = fit_backwards(task, reuse, regression, run.threads, workspace);
    if (model.status != BackwardFitStatus::ok) return failure(model.message);
    clock.lap("regressions");

    // Optimise the dual and update the policy (Sec. 3)
    std::vector<GaussianStep> updates(T);
    parallel_for(task.horizon, run.threads, [&](Index step) {
      const auto t = static_cast<std::size_t>(step);
      updates[t] = gaussian_step(epoch.policy[static_cast<int>(step)], action_part(model.fits[t].q, task.ds()),
                                 epoch.rho[t], bounds);
    });
    TvLinearGaussian next = epoch.policy;
    for (std::size_t t = 0; t < T; ++t) {
      if (updates[t].status != StepStatus::ok)
        return failure(fmt::format("step {}: {} ({})", t, updates[t].message, to_string(updates[t].status)));
      next[static_cast<int>(t)] = updates[t].next;
    }
    clock.lap("updates");

    const StepDiagnostics diagnostics = step_diagnostics(epoch, previous_rho, model.fits, next, run.threads);
    Iteration report = moto_report(task, epoch, model, updates, diagnostics, state);
    state.iteration = i + 1;
    state.rollouts_total += options.rollouts;
    state.steps_total += simulated_steps(epoch.batch);
    state.last_return_mean = return_mean(epoch.batch);
    state.policy = std::move(next);
    clock.lap("report");
    report.seconds = std::move(clock.seconds);
    if (!observe) continue;
    if (options.record_updates) {
      const Epoch& recorded = state.window.back();
      MotoRecord record{recorded.policy, time_varying(state), recorded.rho, {}, std::move(updates), options.epsilon};
      for (std::size_t t = 0; t < T; ++t)
        record.q.push_back(
            unwhiten(action_part(model.fits[t].q, task.ds()), recorded.policy[static_cast<int>(t)], recorded.rho[t]));
      observe(report, state, &record);
    } else {
      observe(report, state, nullptr);
    }
  }
  return finish(Stop::max_iterations, fmt::format("{} iterations done", state.iteration));
}

}  // namespace kedge
