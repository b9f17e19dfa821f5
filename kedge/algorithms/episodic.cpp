#include "kedge/algorithms/episodic.h"

#include <cmath>
#include <memory>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/math/gaussian.h"
#include "kedge/math/statistics.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

AnyPolicy as_any(Controller controller) {
  return std::visit([](auto& c) -> AnyPolicy { return std::move(c); }, controller);
}

bool is_finite(const Controller& controller) {
  const auto* dmp = std::get_if<DmpPolicy>(&controller);
  return !dmp || dmp->finite();
}

/// A sample of the search distribution and its features, for rollout n.
void draw(const SearchProblem& problem, const LinearGaussian& search, int iteration, const Run& run, int n,
          Generation& generation) {
  if (problem.context)
    generation.phi.col(n) =
        problem.context->of(start_of_rollout(problem.task, run.seed, streams::training.iteration(iteration), n));
  VectorXd z(search.k.size());
  Stream random(run.seed, streams::parameters.iteration(iteration), streams::parameters.rollout(0),
                static_cast<std::uint32_t>(n));
  random.normal(z);
  generation.theta.col(n) = search.k + search.C.triangularView<Eigen::Lower>() * z;
  if (problem.context) generation.theta.col(n) += search.K * generation.phi.col(n);
}

/// The samples whose rollouts are usable, with their returns.
Generation usable(Generation generation, const Batch& batch) {
  std::vector<Index> kept;
  for (int n = 0; n < batch.rollouts; ++n)
    if (batch.usable(n)) kept.push_back(n);
  generation.theta = generation.theta(Eigen::all, kept).eval();
  generation.phi = generation.phi(Eigen::all, kept).eval();
  const std::vector<double> all = returns(batch);
  generation.returns = Eigen::Map<const VectorXd>(all.data(), static_cast<Index>(all.size()));
  return generation;
}

}  // namespace

SearchProblem search_problem(const Task& task, const EpisodicOptions& options) {
  validate(task);
  SearchProblem problem{task, controller_family(task, options.controller, options.hidden, options.weights), {}};
  if (options.context == EpisodicOptions::ContextKind::start)
    problem.context = context_of(task, options.features == EpisodicOptions::Features::quadratic);
  return problem;
}

EpisodicState first_search(const SearchProblem& problem, const EpisodicOptions& options) {
  const Index P = problem.family.size();
  EpisodicState state;
  state.search = make_linear_gaussian(MatrixXd::Zero(P, problem.features()), VectorXd::Zero(P),
                                      options.initial_std * options.initial_std * MatrixXd::Identity(P, P));
  auto policy = mean_policy(problem, state.search);
  if (!policy) throw InputError(fmt::format("the first controller of the task {} is not finite", problem.task.name));
  state.policy = std::move(*policy);
  return state;
}

void require_search(const SearchProblem& problem, const EpisodicState& state) {
  require(state.iteration >= 0, "state iteration", state.iteration, ">= 0");
  const Index P = problem.family.size(), F = problem.features();
  const auto fits = [&](const LinearGaussian& search) { return search.k.size() == P && search.K.cols() == F; };
  const Policy& policy = as_policy(state.policy);
  const Policy& prototype = as_policy(problem.family.prototype);
  bool ok = fits(state.search) && policy.horizon() == prototype.horizon() &&
            policy.observation_dim() == problem.task.ds() && policy.action_dim() == problem.task.da();
  for (const Generation& g : state.pool)
    ok = ok && fits(g.search) && g.theta.rows() == P && g.phi.rows() == F && g.returns.size() >= 1 &&
         g.theta.cols() == g.returns.size() && g.phi.cols() == g.returns.size();
  if (!ok)
    throw InputError(fmt::format("the search of the state does not fit the task {}: {} parameters, {} features",
                                 problem.task.name, P, F));
}

std::optional<AnyPolicy> mean_policy(const SearchProblem& problem, const LinearGaussian& search) {
  const ControllerFamily& family = problem.family;
  const auto system = problem.task.system->clone();
  Controller middle = family.at(search.k, [&] { return inverse_dynamics(problem.task, *system); });
  if (!is_finite(middle)) return std::nullopt;
  if (!problem.context) return as_any(std::move(middle));
  MatrixXd map(family.size(), 1 + problem.features());
  map << family.origin + family.basis * search.k, family.basis * search.K;
  if (!map.allFinite()) return std::nullopt;
  return ContextualPolicy(*problem.context, std::move(map), std::move(middle));
}

Outcome<Batch> search_rollouts(const SearchProblem& problem, const EpisodicOptions& options, int iteration,
                               const Run& run, EpisodicState& next) {
  const int N = options.rollouts;
  Generation generation{next.search, MatrixXd(problem.family.size(), N), MatrixXd(problem.features(), N), {}};
  for (int n = 0; n < N; ++n) draw(problem, next.search, iteration, run, n, generation);
  const auto plan = [&](int n, System& system) {
    auto controller = std::make_shared<const Controller>(
        problem.family.at(generation.theta.col(n), [&] { return inverse_dynamics(problem.task, system); }));
    return EpisodePlan{start_of_rollout(problem.task, run.seed, streams::training.iteration(iteration), n),
                       [controller](int t, VectorIn s, VectorOut a) { as_policy(*controller).mean(t, s, a); }};
  };
  auto batch = run_episodes(problem.task, N, plan, run);
  if (!batch) return cancelled();
  if (usable_rollouts(*batch) == 0) return failure(fmt::format("all {} rollouts diverged", N));
  next.pool.push_back(usable(std::move(generation), *batch));
  while (static_cast<int>(next.pool.size()) > options.window) next.pool.erase(next.pool.begin());
  return std::move(*batch);
}

Iteration search_report(const SearchProblem& problem, const Batch& batch, const PooledSamples& samples, int iteration,
                        const EpisodicOptions& options, const EpisodicState& next) {
  const auto P = static_cast<double>(problem.family.size());
  Iteration report;
  report.metrics = return_metrics(batch, iteration, next.rollouts_total, next.steps_total);
  add(report, {{"return_median", median(returns(batch))},
               {"success_rate", success_rate(batch, problem.task.success_limit())},
               {"pool", static_cast<double>(samples.returns.size())},
               {"effective_samples", samples.effective},
               {"search_entropy", entropy(next.search.C)},
               {"search_std", std::exp(0.5 * log_det(next.search.C) / P) / options.initial_std},
               {"diverged", static_cast<double>(diverged_rollouts(batch))}});
  add_early_ends(problem.task, batch, report);
  warn_of_saturation(batch, "lower initial_std", report.warnings);
  warn_of_divergence(batch, report.warnings);
  return report;
}

}  // namespace kedge
