#include "kedge/algorithms/cost_weighted.h"

#include <limits>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/update/sample_weights.h"

namespace kedge {

namespace {

/// A rollout of less weight than this, of a sum of 1, changes no digit that matters and costs as much as the others.
constexpr double kLeastWeight = 1e-9;

/// The weighted M-step's data: all steps of the rollouts, the actions that they took.
FitData weighted_samples(const Batch& batch, const VectorXd& weight) {
  std::vector<Index> states, steps;
  std::vector<double> weights;
  for (int n = 0; n < batch.rollouts; ++n) {
    if (weight[n] < kLeastWeight) continue;
    for (int t = 0; t < batch.horizon; ++t) {
      states.push_back(batch.at(n, t));
      steps.push_back(batch.step(n, t));
      weights.push_back(weight[n]);
    }
  }
  FitData data{batch.observation(Eigen::all, states), batch.action(Eigen::all, steps), {}, {}};
  data.variance = MatrixXd::Zero(data.target.rows(), data.target.cols());
  data.weight = Eigen::Map<const VectorXd>(weights.data(), static_cast<Index>(weights.size()));
  return data;
}

/// The summed costs of the rollouts, infinite where one diverged. @return [N]
VectorXd costs_of(const Batch& batch) {
  VectorXd costs = batch.cost.colwise().sum().transpose();
  for (int n = 0; n < batch.rollouts; ++n)
    if (!batch.usable(n)) costs[n] = std::numeric_limits<double>::infinity();
  return costs;
}

}  // namespace

CostWeightedState cost_weighted_start(const Task& task, const CostWeightedOptions& options) {
  options.validate();
  CostWeightedState state;
  state.policy = blank_network(task, options);
  return state;
}

CostWeightedResult cost_weighted(const Task& task, CostWeightedState state, const CostWeightedOptions& options,
                                 const Run& run, const CostWeightedObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, state.policy);

  Loop<CostWeightedState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    CostWeightedState next = loop.state();
    std::int64_t steps = 0;

    // The initial DDP solution, and a policy trained on it
    if (loop.iteration() == 0) {
      auto first = first_guide(task, "the initial solution", options, run);
      if (!first) return loop.end(first.ending());
      next.initial_cost = first->plan.cost;
      next.policy = std::move(first->policy);
      steps = first->plan.steps;
    }
    loop.lap("initial_guide");

    // q: rollouts of the policy ...
    auto judgement = judge(task, next.policy, loop.iteration(), options.rollouts, run);
    if (!judgement) return loop.end(judgement.ending());
    const Batch& batch = judgement->noisy;
    Iteration report = guided_report(task, *judgement, next.policy, steps, loop.state());
    loop.lap("rollouts");

    // ... weighted by exp(-alpha c)
    const double alpha = annealed(options, loop.iteration());
    const auto weights = cost_weights(costs_of(batch), alpha);
    if (!weights) return loop.end(failure(fmt::format("all {} rollouts diverged", batch.rollouts)));

    // M-step
    const FitData data = weighted_samples(batch, weights->weight);
    auto fit = fit_network(next.policy, data, options.evaluations, loop.iteration(), 0, options, run);
    if (!fit) return loop.end(fit.ending());
    next.policy.set_theta(fit->theta);
    loop.lap("fit");

    add(report, {{"initial_cost", next.initial_cost},
                 {"alpha", alpha},
                 {"effective_rollouts", weights->effective},
                 {"fit_before", fit->before},
                 {"fit_after", fit->after}});
    if (weights->effective < 1.5 && batch.rollouts > 1)
      report.warnings.push_back(
          fmt::format("one rollout has nearly all the weight ({:.2f} effective of {}); a lower alpha spreads it",
                      weights->effective, batch.rollouts));
    count(batch, steps, next);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
