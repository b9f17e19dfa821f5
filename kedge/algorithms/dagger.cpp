#include "kedge/algorithms/dagger.h"

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/update/sample_weights.h"

namespace kedge {

namespace {

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

/// Sets the oracle with its marginals; in the first iteration it is planned, and a policy trained on its trajectories.
/// @return control steps simulated
Outcome<std::int64_t> prepare_oracle(const Task& task, const DaggerOptions& options, const Run& run,
                                     DaggerState& state) {
  if (state.iteration > 0) {
    state.guide = {with_marginals(task, std::move(state.guide.front()), &state.policy, options)};
    return std::int64_t{0};
  }
  auto first = first_guide(task, "the oracle", options, run);
  if (!first) return first.ending();
  state.initial_cost = state.guide_cost = first->plan.cost;
  state.policy = std::move(first->policy);
  state.guide = {std::move(first->plan.guide)};
  return first->plan.steps;
}

/// The oracle's answers at the visited states, and at samples of its own marginals where options ask for them.
struct TrainingData {
  FitData all;
  Index visited = 0;            ///< visited states of some weight
  double visited_weight = 0.0;  ///< their sum
};

/// @return nullopt if a marginal has no density
std::optional<TrainingData> training_data(const Task& task, const Guide& oracle, const Visits& visits,
                                          const DaggerOptions& options, const DrawName& name, int threads) {
  using Own = DaggerOptions::OwnStates;
  const auto labelled = label(task, oracle, visits, options);
  if (!labelled) return std::nullopt;
  FitData visited = without_weightless(*labelled);
  TrainingData data{{}, visited.weight.size(), visited.weight.sum()};
  if (options.own_states == Own::always || (options.own_states == Own::first && name.iteration == 0))
    data.all = joined(guide_samples(task, {oracle}, Marginals::wide, options, name, threads), visited);
  else
    data.all = std::move(visited);
  return data;
}

void require_fits(const Task& task, const Visits& visits) {
  bool ok = visits.x.rows() == task.nx() && visits.t.rows() == 1 && visits.t.cols() == visits.x.cols();
  for (const double t : visits.t.reshaped()) ok = ok && t >= 0 && t < task.horizon && t == std::floor(t);
  if (!ok) throw InputError(fmt::format("the visited states do not fit the task {}", task.name));
}

}  // namespace

DaggerState dagger_start(const Task& task, const DaggerOptions& options) {
  options.validate();
  DaggerState state;
  state.policy = blank_network(task, options);
  state.visits = {MatrixXd(task.nx(), 0), MatrixXd(1, 0)};
  return state;
}

DaggerResult dagger(const Task& task, DaggerState state, const DaggerOptions& options, const Run& run,
                    const DaggerObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, state.policy);
  require_guides(task, state.iteration, state.guide, 1);
  require_fits(task, state.visits);

  Loop<DaggerState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    DaggerState next = loop.state();
    const int k = loop.iteration();

    // The oracle, and a policy trained on its own trajectories
    auto planned = prepare_oracle(task, options, run, next);
    if (!planned) return loop.end(planned.ending());
    std::int64_t steps = *planned;
    Guide& oracle = next.guide.front();
    loop.lap("initial_guide");

    // Visit states with the present policy
    auto judgement = judge(task, next.policy, k, options.rollouts, run);
    if (!judgement) return loop.end(judgement.ending());
    add_visits(judgement->noisy, options.thin, next.visits);
    loop.lap("rollouts");

    // Adapt the oracle to the policy
    const double alpha = annealed(options, k + 1);
    if (options.adapt) {
      auto plan = adapted_guide(task, oracle, next.policy, alpha, k, 0, options, run);
      if (!plan) return loop.end(without("the oracle", plan.ending()));
      next.guide_cost = plan->cost;
      steps += plan->steps;
      oracle = std::move(plan->guide);
    }
    Iteration report = guided_report(task, *judgement, next.policy, steps, loop.state());
    loop.lap("guide");

    // Train on the oracle's answers at all states visited so far
    const auto data = training_data(task, oracle, next.visits, options, {run.seed, k, 0, 1}, run.threads);
    if (!data) return loop.end(failure("a marginal of the oracle has no density; raise start_spread or process_std"));
    auto fit = fit_network(next.policy, data->all, options.evaluations, k, 1, options, run);
    if (!fit) return loop.end(fit.ending());
    next.policy.set_theta(fit->theta);
    loop.lap("fit");

    add(report, {{"initial_cost", next.initial_cost},
                 {"guide_cost", next.guide_cost},
                 {"alpha", alpha},
                 {"visited_states", static_cast<double>(next.visits.x.cols())},
                 {"visited_used", static_cast<double>(data->visited)},
                 {"visited_weight", data->visited_weight},
                 {"fit_before", fit->before},
                 {"fit_after", fit->after}});
    count(judgement->noisy, steps, next);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
