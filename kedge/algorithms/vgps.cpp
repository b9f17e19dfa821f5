#include "kedge/algorithms/vgps.h"

#include <cmath>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"

namespace kedge {

namespace {

/// What the loop keeps beside policy and guides, means over conditions: the cost of the first guides, before any policy (the
/// DDP line of Fig. 1), and of the present ones.
const std::vector<std::string> kNumberNames = {"initial_cost", "guide_cost"};

std::string guide_name(int condition) { return fmt::format("guide{}", condition); }

}  // namespace

void VgpsOptions::validate() const {
  GuidedOptions::validate();
  require(conditions >= 1, "conditions", conditions, ">= 1");
}

TrainingState vgps_start(const Task& task, const VgpsOptions& options) {
  options.validate();
  return guided_start(task, options, kNumberNames);
}

TrainingResult vgps(const Task& task, TrainingState state, const VgpsOptions& options, const Run& run,
                    const TrainingObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, kNumberNames);

  const LoopEnd end{state};

  while (state.iteration < options.iterations) {
    PhaseClock clock;
    const int k = state.iteration;
    double initial_cost = state.numbers[0].second, guide_cost = 0.0;
    std::int64_t steps = 0;
    MlpGaussian policy = std::get<MlpGaussian>(state.policy);

    // Initialise q with DDP on alpha_0 c (line 1)
    std::vector<Guide> guides;
    for (int c = 0; c < options.conditions; ++c) {
      if (k > 0) {
        guides.push_back(guide_of(task, state, guide_name(c), options));
        continue;
      }
      GuidePlan plan = initial_guide(task, c, c == 0 ? nullptr : &guides.front(), options, run);
      if (!plan.guide) return end.without_guide("the first guide", plan);
      initial_cost += plan.cost / options.conditions;
      steps += plan.steps;
      guides.push_back(std::move(*plan.guide));
    }
    if (k == 0) policy = initial_network(task, guides.front(), options, run.seed);
    clock.lap("initial_guide");

    // Optimise L(q, theta) with respect to theta, on samples of the marginals (lines 3, 4)
    const FitResult fit = fit_to_guides(task, policy, guides, k, options, run);
    if (!usable(fit)) return end.without_fit(fit);
    policy.set_theta(fit.theta);
    clock.lap("fit");

    // How good is it?
    const auto judgement = judge(task, policy, k, options.rollouts, run);
    if (!judgement) return end.cancelled();
    clock.lap("rollouts");

    // Optimise q with DDP on alpha_k c - log pi_theta (lines 5, 6)
    const double alpha = annealed(options, k + 1);
    double accepted = 0.0;
    for (int c = 0; c < options.conditions; ++c) {
      Guide& guide = guides[static_cast<std::size_t>(c)];
      GuidePlan plan = adapted_guide(task, guide, policy, alpha, k, c, options, run);
      if (!plan.guide) return end.without_guide("the guide", plan);
      guide_cost += plan.cost / options.conditions;
      accepted += static_cast<double>(plan.iterations) / options.conditions;
      steps += plan.steps;
      guide = std::move(*plan.guide);
    }
    clock.lap("guide");

    Iteration report = guided_report(task, *judgement, policy, steps, state);
    const std::vector<Metric> own = {{"initial_cost", initial_cost},
                                     {"guide_cost", guide_cost},
                                     {"alpha", alpha},
                                     {"guide_steps", accepted},
                                     {"fit_before", fit.before},
                                     {"fit_after", fit.after},
                                     {"fit_evaluations", static_cast<double>(fit.evaluations)}};
    report.metrics.insert(report.metrics.end(), own.begin(), own.end());
    if (fit.status == FitStatus::no_improvement)
      report.warnings.push_back("the fit of the network found nothing better: " + fit.message);
    if (accepted == 0.0)
      report.warnings.push_back(
          "the guide did not move: no step improves alpha c - log pi_theta; more policy_samples smooth it, a tail "
          "keeps the "
          "end of the horizon out of the fit");
    state.iteration = k + 1;
    state.rollouts_total += judgement->noisy.rollouts;
    state.steps_total += simulated_steps(judgement->noisy) + steps;
    state.numbers = {{kNumberNames[0], initial_cost}, {kNumberNames[1], guide_cost}};
    state.policy = std::move(policy);
    state.matrices.clear();
    for (int c = 0; c < options.conditions; ++c)
      for (NamedMatrix& m : to_matrices(guides[static_cast<std::size_t>(c)], guide_name(c)))
        state.matrices.push_back(std::move(m));
    clock.lap("report");
    report.seconds = std::move(clock.seconds);
    if (observe) observe(report, state, nullptr);
  }
  return end.done();
}

}  // namespace kedge
