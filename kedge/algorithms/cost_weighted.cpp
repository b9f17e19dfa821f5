#include "kedge/algorithms/cost_weighted.h"

#include <limits>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/update/sample_weights.h"

namespace kedge {

namespace {

const std::vector<std::string> kNumberNames = {"initial_cost"};
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

}  // namespace

TrainingState cost_weighted_start(const Task& task, const CostWeightedOptions& options) {
  options.validate();
  return guided_start(task, options, kNumberNames);
}

TrainingResult cost_weighted(const Task& task, TrainingState state, const CostWeightedOptions& options, const Run& run,
                             const TrainingObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, kNumberNames);
  const LoopEnd end{state};

  while (state.iteration < options.iterations) {
    PhaseClock clock;
    const int k = state.iteration;
    double initial_cost = state.numbers[0].second;
    std::int64_t steps = 0;
    MlpGaussian policy = std::get<MlpGaussian>(state.policy);

    // The initial DDP solution, and a policy trained on it
    if (k == 0) {
      const GuidePlan plan = initial_guide(task, 0, nullptr, options, run);
      if (!plan.guide) return end.without_guide("the initial solution", plan);
      initial_cost = plan.cost;
      steps += plan.steps;
      policy = initial_network(task, *plan.guide, options, run.seed);
      const FitResult fit = fit_to_guides(task, policy, {*plan.guide}, k, options, run);
      if (fit.status != FitStatus::ok) return end.without_fit(fit);
      policy.set_theta(fit.theta);
    }
    clock.lap("initial_guide");

    // q: rollouts of the policy ...
    const auto judgement = judge(task, policy, k, options.rollouts, run);
    if (!judgement) return end.cancelled();
    Iteration report = guided_report(task, *judgement, policy, steps, state);
    clock.lap("rollouts");

    // ... weighted by exp(-alpha c)
    const Batch& batch = judgement->noisy;
    VectorXd costs = batch.cost.colwise().sum().transpose();
    for (int n = 0; n < batch.rollouts; ++n)
      if (!batch.usable(n)) costs[n] = std::numeric_limits<double>::infinity();
    const double alpha = annealed(options, k);
    const auto weights = cost_weights(costs, alpha);
    if (!weights) return end.failure(fmt::format("all {} rollouts diverged", batch.rollouts));

    // M-step
    const FitData data = weighted_samples(batch, weights->weight);
    const FitResult fit = fit_network(policy, data, options.evaluations, k, 0, options, run);
    if (!usable(fit)) return end.without_fit(fit);
    policy.set_theta(fit.theta);
    clock.lap("fit");

    const std::vector<Metric> own = {{"initial_cost", initial_cost},
                                     {"alpha", alpha},
                                     {"effective_rollouts", weights->effective},
                                     {"fit_before", fit.before},
                                     {"fit_after", fit.after}};
    report.metrics.insert(report.metrics.end(), own.begin(), own.end());
    if (weights->effective < 1.5 && batch.rollouts > 1)
      report.warnings.push_back(
          fmt::format("one rollout has nearly all the weight ({:.2f} effective of {}); a lower alpha spreads it",
                      weights->effective, batch.rollouts));
    state.iteration = k + 1;
    state.rollouts_total += batch.rollouts;
    state.steps_total += simulated_steps(batch) + steps;
    state.numbers = {{kNumberNames[0], initial_cost}};
    state.policy = std::move(policy);
    clock.lap("report");
    report.seconds = std::move(clock.seconds);
    if (observe) observe(report, state, nullptr);
  }
  return end.done();
}

}  // namespace kedge
