#include "kedge/algorithms/gps_is.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kedge/algorithms/guide_policy.h"
#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/math/lbfgs.h"
#include "kedge/rollout/rollout.h"
#include "kedge/update/importance_objective.h"

namespace kedge {

namespace {

constexpr double kLeastShare = 1e-4;  // of the regulariser, to which w_r may fall
constexpr double kLeastLogStd = -6.9, kLargestLogStd = 20.0;

PolicySamples samples_of(const Batch& batch) {
  std::vector<Index> states, steps;
  std::vector<int> usable;
  for (int n = 0; n < batch.rollouts; ++n) {
    if (!batch.usable(n)) continue;
    usable.push_back(n);
    for (int t = 0; t < batch.horizon; ++t) {
      states.push_back(batch.at(n, t));
      steps.push_back(batch.step(n, t));
    }
  }
  PolicySamples samples{batch.state(Eigen::all, states), batch.action(Eigen::all, steps), {}, {}, {}};
  samples.cost = batch.cost(Eigen::seqN(0, batch.horizon), usable);
  samples.cost.bottomRows(1) += batch.cost(Eigen::lastN(1), usable);
  return samples;
}

/// Rollouts of the guide itself, with its noise.
Outcome<PolicySamples> sample_guide(const Task& task, const Guide& guide, int rollouts, int iteration, const Run& run) {
  Task all_seen = task;
  all_seen.observation.resize(static_cast<std::size_t>(task.nx()));
  std::iota(all_seen.observation.begin(), all_seen.observation.end(), Index{0});
  all_seen.observation_names.assign(all_seen.observation.size(), "x");
  const auto batch = rollout(all_seen, GuidePolicy(task, guide.q),
                             {rollouts, streams::guide_rollouts.iteration(iteration), true}, run);
  if (!batch) return cancelled();
  PolicySamples samples = samples_of(*batch);
  samples.guide = {guide};
  return samples;
}

/// All samples as the objective reads them: in the unit alpha c, with their density under every policy that made some.
ImportanceData importance_data(const Task& task, const MlpGaussian& network, const std::vector<PolicySamples>& all,
                               double alpha, int threads) {
  const Index T = task.horizon, J = static_cast<Index>(all.size());
  Index N = 0;
  for (const PolicySamples& samples : all) N += samples.cost.cols();
  ImportanceData data{static_cast<int>(T), MatrixXd(task.ds(), N * T), MatrixXd(task.da(), N * T),
                      MatrixXd(T, N),      MatrixXd(J, N * T),         VectorXd(J)};
  MatrixXd x(task.nx(), N * T);
  Index first = 0;
  for (Index j = 0; j < J; ++j) {
    const PolicySamples& samples = all[static_cast<std::size_t>(j)];
    const Index n = samples.cost.cols();
    x.middleCols(first * T, n * T) = samples.x;
    data.a.middleCols(first * T, n * T) = samples.a;
    data.reward.middleCols(first, n) = -alpha * samples.cost;
    data.share[j] = static_cast<double>(n) / static_cast<double>(N);
    first += n;
  }
  data.s = x(task.observation, Eigen::all);
  for (Index j = 0; j < J; ++j) {
    const PolicySamples& samples = all[static_cast<std::size_t>(j)];
    if (samples.guide.empty()) {
      data.log_q.row(j) =
          MlpGaussian(network.shape(), samples.theta.col(0)).log_probs(data.s, data.a, threads).transpose();
      continue;
    }
    const GuidePolicy policy(task, samples.guide.front().q);
    parallel_for(N, threads, [&](Index n) {
      for (Index t = 0; t < T; ++t)
        data.log_q(j, n * T + t) = policy.log_prob(static_cast<int>(t), x.col(n * T + t), data.a.col(n * T + t));
    });
  }
  return data;
}

/// Adds the usable rollouts of a network, if there are some.
void add_of_network(const Batch& batch, const MlpGaussian& network, std::vector<PolicySamples>& all) {
  PolicySamples samples = samples_of(batch);
  samples.theta = network.theta();
  if (samples.cost.cols() > 0) all.push_back(std::move(samples));
}

/// The first entry, rollouts of the first guide, stays; of the others the newest.
void forget(std::vector<PolicySamples>& all, int window, bool adapt) {
  const std::size_t most = 1 + static_cast<std::size_t>(window) * (adapt ? 2 : 1);
  if (all.size() > most) all.erase(all.begin() + 1, all.end() - static_cast<std::ptrdiff_t>(most - 1));
}

/// Maximises Phi over the samples. Returns the candidate; the policy itself where its weights are degenerate.
struct Candidate {
  MlpGaussian policy;
  double effective = 0.0;  ///< effective samples of the step that has the fewest
  std::string warning;     ///< empty: none
};
Outcome<Candidate> maximise_phi(const Task& task, const MlpGaussian& best, const std::vector<PolicySamples>& samples,
                                double alpha, double w_r, const GpsIsOptions& options, const Run& run) {
  ImportanceObjective phi(best, importance_data(task, best, samples, alpha, run.threads), w_r, options.least_effective,
                          run.threads);
  const ImportanceValue before = phi(best.theta());
  if (before.status == ImportanceStatus::not_finite) return failure("importance weights: " + before.message);
  Candidate candidate{best, before.effective.minCoeff(), {}};
  if (before.status == ImportanceStatus::degenerate) {
    candidate.warning = "no update: " + before.message;
    return candidate;
  }
  LbfgsOptions how;
  how.max_evaluations = options.evaluations;
  how.lower = VectorXd::Constant(best.theta().size(), -std::numeric_limits<double>::infinity());
  how.upper = -how.lower;
  how.lower.tail(task.da()).setConstant(kLeastLogStd);
  how.upper.tail(task.da()).setConstant(kLargestLogStd);
  how.stop = run.stop;
  const LbfgsResult found = lbfgs(
      [&](VectorIn theta, VectorOut gradient) {
        const ImportanceValue value = phi(theta);
        gradient = -value.gradient;
        // A step to where the weights degenerate is none.
        return value.status == ImportanceStatus::ok ? -value.value : std::numeric_limits<double>::infinity();
      },
      best.theta(), how);
  if (found.status == LbfgsStatus::cancelled) return cancelled();
  candidate.policy.set_theta(found.x);
  return candidate;
}

/// The samples with those of the candidate and, in the adaptive form, those of the guide adapted to the best policy.
/// @return the candidate's rollouts
Outcome<Batch> add_samples(const Task& task, const MlpGaussian& candidate, double alpha, int iteration,
                           const GpsIsOptions& options, const Run& run, GpsIsState& next, std::int64_t& steps) {
  auto batch =
      rollout(task, candidate, {options.rollouts, streams::candidate_rollouts.iteration(iteration), true}, run);
  if (!batch) return cancelled();
  steps += simulated_steps(*batch);
  add_of_network(*batch, candidate, next.samples);
  if (options.adapt) {
    const Guide guide = with_marginals(task, next.guide.front(), &next.policy, options);
    auto plan = adapted_guide(task, guide, next.policy, alpha, iteration, 0, options, run);
    if (!plan) return without("the DDP solution", plan.ending());
    next.guide_cost = plan->cost;
    next.guide = {std::move(plan->guide)};
    auto guided = sample_guide(task, next.guide.front(), options.rollouts, iteration, run);
    if (!guided) return guided.ending();
    steps += plan->steps + std::int64_t{options.rollouts} * task.horizon;
    if (guided->cost.cols() > 0) next.samples.push_back(std::move(*guided));
  }
  forget(next.samples, options.window, options.adapt);
  return std::move(*batch);
}

/// One improvement of theta*: what its columns report.
struct Improvement {
  double accepted = 0.0;  ///< 1: theta* is the candidate now
  double effective = 0.0;
  double value_best = 0.0, value_candidate = 0.0;  ///< estimated rewards
  std::vector<std::string> warnings;
};

/// Maximises Phi over the samples, samples the candidate, keeps the better of the two (Alg. 1, lines 5 to 10).
Outcome<Improvement> improve(const Task& task, double alpha, const GpsIsOptions& options, const Run& run,
                             Loop<GpsIsState>& loop, GpsIsState& next, std::int64_t& steps) {
  auto candidate = maximise_phi(task, next.policy, next.samples, alpha, next.regulariser, options, run);
  if (!candidate) return candidate.ending();
  loop.lap("optimise");
  auto batch = add_samples(task, candidate->policy, alpha, loop.iteration(), options, run, next, steps);
  if (!batch) return batch.ending();
  loop.lap("samples");

  Improvement result;
  result.effective = candidate->effective;
  if (!candidate->warning.empty()) result.warnings = {candidate->warning};
  ImportanceObjective estimate(next.policy, importance_data(task, next.policy, next.samples, alpha, run.threads), 0.0,
                               1.0, run.threads);
  result.value_best = estimate(next.policy.theta()).reward;
  result.value_candidate = estimate(candidate->policy.theta()).reward;
  // The estimate knows nothing of rollouts that diverged: they left no samples.
  const bool sound = diverged_rollouts(*batch) == 0;
  const bool better = sound && result.value_candidate > result.value_best;
  result.accepted = better ? 1.0 : 0.0;
  if (better) next.policy = candidate->policy;
  next.regulariser = std::clamp(better ? next.regulariser / 10.0 : next.regulariser * 10.0,
                                kLeastShare * options.regulariser, options.regulariser);
  return result;
}

/// The DDP solution, samples of it, and a network trained on it. @param steps control steps simulated, out
std::optional<Ending> begin(const Task& task, const GpsIsOptions& options, const Run& run, GpsIsState& next,
                            std::int64_t& steps) {
  auto first = first_guide(task, "the initial solution", options, run);
  if (!first) return first.ending();
  auto guided = sample_guide(task, first->plan.guide, options.guide_rollouts, 0, run);
  if (!guided) return guided.ending();
  if (guided->cost.cols() == 0) return failure("all rollouts of the DDP solution diverged");
  steps += first->plan.steps + std::int64_t{options.guide_rollouts} * task.horizon;
  next.initial_cost = next.guide_cost = first->plan.cost;
  next.policy = std::move(first->policy);
  next.guide = {std::move(first->plan.guide)};
  next.samples = {std::move(*guided)};
  return std::nullopt;
}

void require_fit(const Task& task, const GpsIsState& state) {
  bool ok = state.iteration == 0 || !state.samples.empty();
  for (const PolicySamples& s : state.samples) {
    const Index n = s.cost.cols() * task.horizon;
    ok = ok && s.cost.rows() == task.horizon && s.x.rows() == task.nx() && s.x.cols() == n && s.a.rows() == task.da() &&
         s.a.cols() == n &&
         (s.guide.size() == 1 ||
          (s.guide.empty() && s.theta.cols() == 1 && s.theta.rows() == state.policy.theta().size()));
    if (ok && !s.guide.empty()) require_guides(task, state.iteration, s.guide, 1);
  }
  if (!ok) throw InputError(fmt::format("the stored samples do not fit the task {}", task.name));
}

}  // namespace

GpsIsState gps_is_start(const Task& task, const GpsIsOptions& options) {
  options.validate();
  GpsIsState state;
  state.policy = blank_network(task, options);
  state.regulariser = options.regulariser;
  return state;
}

GpsIsResult gps_is(const Task& task, GpsIsState state, const GpsIsOptions& options, const Run& run,
                   const GpsIsObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, state.policy);
  require_guides(task, state.iteration, state.guide, 1);
  require_fit(task, state);

  Loop<GpsIsState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    GpsIsState next = loop.state();
    std::int64_t steps = 0;
    const bool first = loop.iteration() == 0;

    // DDP solution, samples of it, and a network trained on it
    if (first)
      if (const auto why = begin(task, options, run, next, steps)) return loop.end(*why);
    loop.lap("initial_guide");

    // Maximise Phi over the samples, sample the candidate, keep the better of the two
    const double alpha = annealed(options, loop.iteration());
    Improvement improvement;
    if (!first) {
      auto improved = improve(task, alpha, options, run, loop, next, steps);
      if (!improved) return loop.end(improved.ending());
      improvement = std::move(*improved);
    } else {  // the same phases in every iteration
      loop.lap("optimise");
      loop.lap("samples");
    }
    loop.lap("estimate");

    auto judgement = judge(task, next.policy, loop.iteration(), options.rollouts, run);
    if (!judgement) return loop.end(judgement.ending());
    if (first) add_of_network(judgement->noisy, next.policy, next.samples);
    loop.lap("rollouts");

    Iteration report = guided_report(task, *judgement, next.policy, steps, loop.state());
    add(report, {{"initial_cost", next.initial_cost},
                 {"guide_cost", next.guide_cost},
                 {"alpha", alpha},
                 {"accepted", improvement.accepted},
                 {"effective_rollouts_min", improvement.effective},
                 {"estimate_best", improvement.value_best},
                 {"estimate_candidate", improvement.value_candidate},
                 {"regulariser", next.regulariser}});
    report.warnings.insert(report.warnings.end(), improvement.warnings.begin(), improvement.warnings.end());
    count(judgement->noisy, steps, next);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
