#include "kedge/algorithms/dagger.h"

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/update/sample_weights.h"

namespace kedge {

namespace {

const std::vector<std::string> kNumberNames = {"initial_cost", "guide_cost"};

/// States that policies have visited: column i of `x` at step `t[i]`.
struct Visits {
  MatrixXd x;  ///< [nx, n]
  MatrixXd t;  ///< [1, n]
};

Visits visits_of(const TrainingState& state) { return {matrix(state, "visited_state"), matrix(state, "visited_step")}; }

void append(MatrixXd& all, const MatrixXd& more) {
  all.conservativeResize(more.rows(), all.cols() + more.cols());
  all.rightCols(more.cols()) = more;
}

/// Adds every thin-th state of the usable rollouts.
void add_visits(const Batch& batch, int thin, Visits& visits) {
  std::vector<Index> columns;
  std::vector<double> steps;
  for (int n = 0; n < batch.rollouts; ++n)
    for (int t = 0; batch.usable(n) && t < batch.horizon; t += thin) {
      columns.push_back(batch.at(n, t));
      steps.push_back(t);
    }
  append(visits.x, batch.state(Eigen::all, columns));
  append(visits.t, Eigen::Map<const Eigen::RowVectorXd>(steps.data(), static_cast<Index>(steps.size())));
}

/// The oracle's answers: its mean action and variances at every visited state, and how much each counts.
/// @return nullopt if a marginal has no density
std::optional<FitData> label(const Task& task, const Guide& guide, const Visits& visits, const DaggerOptions& options) {
  const Index n = visits.x.cols();
  FitData data{visits.x(task.observation, Eigen::all), MatrixXd(task.da(), n), MatrixXd(task.da(), n),
               VectorXd::Ones(n)};
  std::vector<std::vector<Index>> at_step(static_cast<std::size_t>(task.horizon));
  for (Index i = 0; i < n; ++i) at_step[static_cast<std::size_t>(visits.t(0, i))].push_back(i);
  for (std::size_t t = 0; t < at_step.size(); ++t) {
    const auto column = static_cast<Index>(t);
    MatrixXd d(task.system->ndx(), static_cast<Index>(at_step[t].size()));
    for (Index j = 0; j < d.cols(); ++j) {
      const Index i = at_step[t][static_cast<std::size_t>(j)];
      task.system->difference(guide.q.x.col(column), visits.x.col(i), d.col(j));
      data.target.col(i) = guide.q.a.col(column) + guide.q.K[t] * d.col(j);
      data.variance.col(i) = guide.q.Sigma[t].diagonal();
    }
    if (!options.weighted || d.cols() == 0) continue;
    const auto weight = marginal_weights(d, guide.S_wide[t]);
    if (!weight) return std::nullopt;
    data.weight(at_step[t]) = *weight;
  }
  return data;
}

/// Samples of nothing cost time and say nothing.
FitData without_weightless(const FitData& data) {
  std::vector<Index> kept;
  for (Index i = 0; i < data.weight.size(); ++i)
    if (data.weight[i] > 0.0) kept.push_back(i);
  return {data.s(Eigen::all, kept), data.target(Eigen::all, kept), data.variance(Eigen::all, kept), data.weight(kept)};
}

FitData joined(FitData a, const FitData& b) {
  append(a.s, b.s);
  append(a.target, b.target);
  append(a.variance, b.variance);
  const Index n = a.weight.size();
  a.weight.conservativeResize(n + b.weight.size());
  a.weight.tail(b.weight.size()) = b.weight;
  return a;
}

}  // namespace

void DaggerOptions::validate() const {
  GuidedOptions::validate();
  require(thin >= 1, "thin", thin, ">= 1");
}

TrainingState dagger_start(const Task& task, const DaggerOptions& options) {
  options.validate();
  return guided_start(task, options, kNumberNames);
}

TrainingResult dagger(const Task& task, TrainingState state, const DaggerOptions& options, const Run& run,
                      const TrainingObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, kNumberNames);
  const LoopEnd end{state};

  while (state.iteration < options.iterations) {
    PhaseClock clock;
    const int k = state.iteration;
    double initial_cost = state.numbers[0].second, guide_cost = state.numbers[1].second;
    std::int64_t steps = 0;
    MlpGaussian policy = std::get<MlpGaussian>(state.policy);
    Guide guide;
    Visits visits{MatrixXd(task.nx(), 0), MatrixXd(1, 0)};

    // The oracle, and a policy trained on its own trajectories
    if (k == 0) {
      GuidePlan plan = initial_guide(task, 0, nullptr, options, run);
      if (!plan.guide) return end.without_guide("the oracle", plan);
      initial_cost = guide_cost = plan.cost;
      steps += plan.steps;
      guide = std::move(*plan.guide);
      policy = initial_network(task, guide, options, run.seed);
      const FitResult fit = fit_to_guides(task, policy, {guide}, k, options, run);
      if (fit.status != FitStatus::ok) return end.without_fit(fit);
      policy.set_theta(fit.theta);
    } else {
      guide = guide_of(task, state, "guide", options);
      visits = visits_of(state);
    }
    clock.lap("initial_guide");

    // Visit states with the present policy
    const auto judgement = judge(task, policy, k, options.rollouts, run);
    if (!judgement) return end.cancelled();
    add_visits(judgement->noisy, options.thin, visits);
    Iteration report = guided_report(task, *judgement, policy, steps, state);
    clock.lap("rollouts");

    // Adapt the oracle to the policy
    const double alpha = annealed(options, k + 1);
    if (options.adapt) {
      GuidePlan plan = adapted_guide(task, guide, policy, alpha, k, 0, options, run);
      if (!plan.guide) return end.without_guide("the oracle", plan);
      guide_cost = plan.cost;
      steps += plan.steps;
      guide = std::move(*plan.guide);
    }
    clock.lap("guide");

    // Train on the oracle's answers at all states visited so far
    const FitData own = guide_samples(task, {guide}, Marginals::wide, options, {run.seed, k, 0, 1}, run.threads);
    const auto labelled = label(task, guide, visits, options);
    if (!labelled) return end.failure("a marginal of the oracle has no density; raise start_spread or process_std");
    const FitData visited = without_weightless(*labelled);
    const FitResult fit = fit_network(policy, joined(own, visited), options.evaluations, k, 1, options, run);
    if (!usable(fit)) return end.without_fit(fit);
    policy.set_theta(fit.theta);
    clock.lap("fit");

    const std::vector<Metric> metrics = {{"initial_cost", initial_cost},
                                         {"guide_cost", guide_cost},
                                         {"alpha", alpha},
                                         {"visited_states", static_cast<double>(visits.x.cols())},
                                         {"visited_used", static_cast<double>(visited.weight.size())},
                                         {"visited_weight", visited.weight.sum()},
                                         {"fit_before", fit.before},
                                         {"fit_after", fit.after}};
    report.metrics.insert(report.metrics.end(), metrics.begin(), metrics.end());
    state.iteration = k + 1;
    state.rollouts_total += judgement->noisy.rollouts;
    state.steps_total += simulated_steps(judgement->noisy) + steps;
    state.numbers = {{kNumberNames[0], initial_cost}, {kNumberNames[1], guide_cost}};
    state.policy = std::move(policy);
    state.matrices = to_matrices(guide, "guide");
    state.matrices.push_back({"visited_state", std::move(visits.x)});
    state.matrices.push_back({"visited_step", std::move(visits.t)});
    clock.lap("report");
    report.seconds = std::move(clock.seconds);
    if (observe) observe(report, state, nullptr);
  }
  return end.done();
}

}  // namespace kedge
