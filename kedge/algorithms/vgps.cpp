#include "kedge/algorithms/vgps.h"

#include <cmath>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"

namespace kedge {

namespace {

/// Plans for all conditions, and their sums.
struct Plans {
  std::vector<Guide> guides;
  double cost = 0.0;        ///< mean over conditions
  double iterations = 0.0;  ///< accepted steps of DDP, mean over conditions
  std::int64_t steps = 0;   ///< control steps simulated
};

void add(GuidePlan plan, int conditions, Plans& all) {
  all.cost += plan.cost / conditions;
  all.iterations += static_cast<double>(plan.iterations) / conditions;
  all.steps += plan.steps;
  all.guides.push_back(std::move(plan.guide));
}

/// Line 1.
Outcome<Plans> initial_guides(const Task& task, const VgpsOptions& options, const Run& run) {
  Plans all;
  for (int c = 0; c < options.conditions; ++c) {
    auto plan = initial_guide(task, c, c == 0 ? nullptr : &all.guides.front(), options, run);
    if (!plan) return without("the first guide", plan.ending());
    add(std::move(*plan), options.conditions, all);
  }
  return all;
}

/// Line 6.
Outcome<Plans> adapted_guides(const Task& task, const std::vector<Guide>& guides, const MlpGaussian& policy,
                              double alpha, int iteration, const VgpsOptions& options, const Run& run) {
  Plans all;
  for (int c = 0; c < options.conditions; ++c) {
    auto plan = adapted_guide(task, guides[static_cast<std::size_t>(c)], policy, alpha, iteration, c, options, run);
    if (!plan) return without("the guide", plan.ending());
    add(std::move(*plan), options.conditions, all);
  }
  return all;
}

void warn(const FitResult& fit, const Plans& adapted, std::vector<std::string>& warnings) {
  if (fit.status == FitStatus::no_improvement)
    warnings.push_back("the fit of the network found nothing better: " + fit.message);
  if (adapted.iterations == 0.0)
    warnings.push_back(
        "the guide did not move: no step improves alpha c - log pi_theta; more policy_samples smooth it, a tail keeps "
        "the "
        "end of the horizon out of the fit");
}

}  // namespace

VgpsState vgps_start(const Task& task, const VgpsOptions& options) {
  options.validate();
  VgpsState state;
  state.policy = blank_network(task, options);
  return state;
}

VgpsResult vgps(const Task& task, VgpsState state, const VgpsOptions& options, const Run& run,
                const VgpsObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, state.policy);
  require_guides(task, state.iteration, state.guides, options.conditions);

  Loop<VgpsState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    VgpsState next = loop.state();
    std::int64_t steps = 0;

    // Initialise q with DDP on alpha_0 c (line 1)
    if (loop.iteration() == 0) {
      auto first = initial_guides(task, options, run);
      if (!first) return loop.end(first.ending());
      next.initial_cost = first->cost;
      steps += first->steps;
      next.guides = std::move(first->guides);
      next.policy = initial_network(task, next.guides.front(), options, run.seed);
    } else {
      for (Guide& guide : next.guides) guide = with_marginals(task, std::move(guide), &next.policy, options);
    }
    loop.lap("initial_guide");

    // Optimise L(q, theta) with respect to theta, on samples of the marginals (lines 3, 4)
    auto fit = fit_to_guides(task, next.policy, next.guides, loop.iteration(), options, run);
    if (!fit) return loop.end(fit.ending());
    next.policy.set_theta(fit->theta);
    loop.lap("fit");

    // How good is it?
    auto judgement = judge(task, next.policy, loop.iteration(), options.rollouts, run);
    if (!judgement) return loop.end(judgement.ending());
    loop.lap("rollouts");

    // Optimise q with DDP on alpha_k c - log pi_theta (lines 5, 6)
    const double alpha = annealed(options, loop.iteration() + 1);
    auto adapted = adapted_guides(task, next.guides, next.policy, alpha, loop.iteration(), options, run);
    if (!adapted) return loop.end(adapted.ending());
    next.guides = std::move(adapted->guides);
    next.guide_cost = adapted->cost;
    steps += adapted->steps;
    loop.lap("guide");

    Iteration report = guided_report(task, *judgement, next.policy, steps, loop.state());
    add(report, {{"initial_cost", next.initial_cost},
                 {"guide_cost", next.guide_cost},
                 {"alpha", alpha},
                 {"guide_steps", adapted->iterations},
                 {"fit_before", fit->before},
                 {"fit_after", fit->after},
                 {"fit_evaluations", static_cast<double>(fit->evaluations)}});
    warn(*fit, *adapted, report.warnings);
    count(judgement->noisy, steps, next);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
