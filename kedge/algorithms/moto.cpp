#include "kedge/algorithms/moto.h"

#include <cmath>
#include <utility>

#include "kedge/algorithms/moto_report.h"
#include "kedge/algorithms/report.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/quadratic_fit.h"
#include "kedge/evaluation/state_distribution.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

std::optional<std::vector<Gaussian>> state_distribution(const Window& window, const MotoOptions& options, int threads) {
  return options.state_distribution == MotoOptions::StateDistribution::mixture
             ? mixture_state_distribution(window, options.gamma, threads)
             : forward_state_distribution(window);
}

/// Q~_t and V~_t of all steps, backwards in time. What does not depend on V, that is weights, features and Gram matrices, is
/// prepared in parallel, a few steps ahead: their samples are still in the cache when the targets are known.
/// @param memory [ahead(threads)] of the regressions, kept from one call to the next
std::optional<std::vector<QuadraticFit>> fit_all(const Task& task, const SampleReuse& reuse,
                                                 const RegressionOptions& options, int threads,
                                                 std::vector<Regression>& memory,
                                                 std::vector<StepDiagnostics>& diagnostics, std::string& why) {
  std::vector<std::optional<Regression>> prepared(static_cast<std::size_t>(task.horizon));
  std::vector<QuadraticFit> fits(prepared.size());
  const auto step = [&](Index i) { return task.horizon - 1 - static_cast<int>(i); };
  const auto place = [&](Index i) -> Regression& { return memory[static_cast<std::size_t>(i) % memory.size()]; };
  const auto prepare = [&](Index i) {
    const int t = step(i);
    const auto at = static_cast<std::size_t>(t);
    const WeightedSamples samples = reuse.samples(t);
    diagnostics[at].effective_samples = samples.effective;
    diagnostics[at].samples_used = static_cast<double>(samples.weight.size());
    diagnostics[at].weight_left_out = samples.left_out;
    prepared[at] =
        prepare_regression(task, t, reuse.data(), samples, reuse.density()[at],
                           t + 1 < task.horizon ? &reuse.density()[at + 1] : nullptr, options, std::move(place(i)));
  };
  const auto fit = [&](Index i) {
    const int t = step(i);
    const auto at = static_cast<std::size_t>(t);
    if (!why.empty()) return;
    if (!prepared[at]) {
      why = fmt::format("step {}: no importance weight is usable or the features have lost rank", t);
      return;
    }
    auto fitted = fit_step(*prepared[at], task.ds(), options, t + 1 < task.horizon ? &fits[at + 1].v : nullptr);
    if (!fitted) {
      why = fmt::format("step {}: the fitted Q-function is not finite", t);
      return;
    }
    fits[at] = std::move(*fitted);
    diagnostics[at].r2 = fits[at].r2;
    place(i) = std::move(*prepared[at]);
  };
  parallel_then_in_order(task.horizon, threads, prepare, fit);
  if (!why.empty()) return std::nullopt;
  return fits;
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
    steps[t] = gaussian_step(epoch.policy[static_cast<int>(i)], action_part(fits[t].q, epoch.rho[t].dim()), epoch.rho[t],
                           bounds);
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
  MotoState state;
  state.policy = first_policy(task, options.initial_std);
  return state;
}

MotoResult moto(const Task& task, MotoState state, const MotoOptions& options, const Run& run,
                const MotoObserver& observe) {
  options.validate();
  require_fit(task, state, state.policy, state.window);
  const RegressionOptions regression{options.ridge, options.targets == MotoOptions::Targets::monte_carlo};
  std::vector<Regression> memory(static_cast<std::size_t>(ahead(run.threads)));
  SampleReuse reuse(options.reuse, options.window, options.weight_cutoff);
  for (const Epoch& epoch : state.window) reuse.push(epoch, run.threads);

  Loop<MotoState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    MotoState next = loop.state();

    // Sample M trajectories from pi^i
    auto batch = rollout(task, next.policy, {options.rollouts, static_cast<std::uint32_t>(loop.iteration()), true}, run);
    if (!batch) return loop.end(cancelled());
    loop.lap("rollouts");
    next.window = with_newest(next.window, loop.iteration(), next.policy, std::move(*batch), options.window);
    const Epoch& epoch = next.window.back();

    // Estimate the state distributions rho~_t^i (Sec. 4.3)
    auto rho = state_distribution(next.window, options, run.threads);
    if (!rho) return loop.end(without_distribution(epoch.batch));
    next.window.change(next.window.size() - 1).rho = std::move(*rho);
    loop.lap("state_distribution");

    // Compute the importance weights of all stored (s, a, s') (Sec. 4.2)
    reuse.push(epoch, run.threads);
    loop.lap("importance_weights");

    // Estimate the Q-functions Q~_t^i, backwards in time (Sec. 4.1)
    std::vector<StepDiagnostics> steps(static_cast<std::size_t>(task.horizon));
    std::string why;
    const auto fits = fit_all(task, reuse, regression, run.threads, memory, steps, why);
    if (!fits) return loop.end(failure(why));
    loop.lap("regressions");

    // Optimise the dual and update the policy (Sec. 3)
    auto updates = trust_region_steps(epoch, *fits, options, run.threads);
    if (!updates) return loop.end(updates.ending());
    for (int t = 0; t < task.horizon; ++t) next.policy[t] = (*updates)[static_cast<std::size_t>(t)].next;
    loop.lap("updates");

    Iteration report = moto_report(task, epoch, *fits, *updates, steps, loop.state(), run.threads);
    count(epoch.batch, 0, next);
    loop.commit(std::move(next), std::move(report),
                [&] { return record_of(loop.state(), *fits, std::move(*updates), options.epsilon); });
  }
  return loop.done();
}

}  // namespace kedge
