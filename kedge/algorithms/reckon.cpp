#include "kedge/algorithms/reckon.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/algorithms/reckon_report.h"
#include "kedge/algorithms/report.h"
#include "kedge/algorithms/requirements.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/errors.h"
#include "kedge/evaluation/cost_expansion.h"
#include "kedge/evaluation/linear_dynamics.h"
#include "kedge/math/statistics.h"
#include "kedge/rollout/rollout.h"
#include "kedge/update/kl_lqr.h"

namespace kedge {

namespace {

/// The KL from the base, in nats a step: its limits, and how a trial changes it.
constexpr double kLeastTrust = 0.1, kMostTrust = 20.0, kMoreTrust = 1.6, kLessTrust = 0.6;
/// A trial was good if it realised more than this share of the predicted gain, bad if less than that.
constexpr double kGoodTrial = 0.5, kBadTrial = 0.15, kBadBest = 0.25;
/// The ratio of one rollout counts up to this, so that one that diverged, or a predicted gain near 0, is a number.
constexpr double kMostRatio = 100.0;
/// A policy is taken back if its quiet rollouts cost so much more than the base's, and each more than its own.
constexpr double kWorse = 1.1;

/// The size of a KL step on imagined rollouts.
constexpr double kLeastStep = 1e-3, kFirstStep = 0.05, kMoreStep = 1.5, kLessStep = 0.6, kRefusedStep = 0.35;
constexpr double kGoodStep = 0.5, kBadStep = 0.2;
/// A step may raise the imagined cost by this share of what it predicted, if the cautious cost falls by more.
constexpr double kAllowedRise = 0.1;
/// Planning ends when this share of the trust region is used.
constexpr double kUsedUp = 0.95;

constexpr double kRidge = 1e-6;  // of the dynamics fitted to particles, share of the variance of every input

TvLinearGaussian with_noise(TvLinearGaussian policy, double share) {
  for (int t = 0; t < policy.horizon(); ++t) {
    policy[t].C *= share;
    policy[t].Sigma *= share * share;
  }
  return policy;
}

/// Takes a fix: M - M_q rollouts explore, M_q are quiet and meet the same starts and noise in every iteration.
Outcome<Fix> take_fix(const Task& task, const TvLinearGaussian& policy, const ReckonOptions& options, int iteration,
                      const Run& run) {
  const FixSize size = fix_size(task, options);
  auto exploring = rollout(task, policy, {size.exploring, streams::training.iteration(iteration), true}, run);
  if (!exploring) return cancelled();
  auto quiet = rollout(task, with_noise(policy, options.quiet_noise),
                       {size.quiet, streams::quiet_rollouts.iteration(0), true}, run);
  if (!quiet) return cancelled();
  return Fix{std::move(*exploring), std::move(*quiet)};
}

/// C_j: the costs of the quiet rollouts. One that diverged is worse than any other.
VectorXd costs_of(const Batch& quiet) {
  VectorXd cost(quiet.rollouts);
  for (int n = 0; n < quiet.rollouts; ++n)
    cost[n] = quiet.usable(n) ? -rollout_return(quiet, n) : std::numeric_limits<double>::max();
  return cost;
}

/// Judges the policy by its quiet rollouts against those of the base: how far the next may go, and from which of the two.
void judge(Fix& fix, ReckonState& next, int iteration) {
  TriedPolicy tried{next.policy, iteration, costs_of(fix.quiet)};
  if (next.base.empty()) {
    next.base = {std::move(tried)};
    return;
  }
  const VectorXd& base = next.base[0].quiet_cost;
  const double predicted = next.cost_before - next.cost_predicted;
  if (predicted > 0.0) {
    const VectorXd ratio = ((base - tried.quiet_cost) / predicted).cwiseMax(-kMostRatio).cwiseMin(kMostRatio);
    fix.ratio = ratio.mean();
    if (fix.ratio > kGoodTrial)
      next.trust = std::min(kMostTrust, next.trust * kMoreTrust);
    else if (fix.ratio < kBadTrial && ratio.maxCoeff() < kBadBest)
      next.trust = std::max(kLeastTrust, next.trust * kLessTrust);
  }
  fix.reverted = tried.quiet_cost.mean() > kWorse * base.mean() && (tried.quiet_cost.array() > base.array()).all();
  if (!fix.reverted) next.base[0] = std::move(tried);
}

/// Corrects the chart: trains the ensemble on all data, then corrects it around the trajectory of the base.
Outcome<ImaginedDynamics> correct_model(const Task& task, ReckonState& next, const ReckonOptions& options,
                                        int iteration, const Run& run) {
  const bool first = next.model.empty();
  if (first) next.model = new_ensemble(scale_of(next.data), options.members, options.units, run.seed);
  EnsembleFit how;
  how.batches = first ? options.first_batches : options.batches * fix_size(task, options).all();
  auto model = fit(std::move(next.model), next.data, how, iteration, run);
  if (!model) return model.ending();
  next.model = std::move(*model);

  std::vector<Index> newest;
  for (Index i = 0; i < next.data.layout.cols(); ++i) {
    const double number = next.data.layout(0, i);
    if (number > iteration - options.local || number == next.base[0].iteration) newest.push_back(i);
  }
  ImaginedDynamics imagined{
      next.model, fit_local_residuals(next.model, next.data, newest, task.horizon, run.threads), {}, {}};
  set_range(next.data, imagined);
  return imagined;
}

Particles draw_particles(const Task& task, const TransitionStore& data, const ReckonOptions& options, int iteration,
                         const Run& run) {
  const MatrixXd real = starts(data);
  const Index N = particles_of(task, options);
  Stream random(run.seed, streams::imagination.iteration(iteration), streams::imagination.rollout(0), 0);
  Particles particles{MatrixXd(task.ds(), N), MatrixXd(task.da(), task.horizon * N)};
  for (Index n = 0; n < N; ++n)
    particles.start.col(n) = real.col(static_cast<Index>(random.uniform() * static_cast<double>(real.cols())));
  random.normal(particles.noise.reshaped());
  return particles;
}

/// A policy in imagination: its rollouts with the mean of the members, and what they cost.
struct Imagined {
  TvLinearGaussian policy;
  Batch batch;
  double cost = 0.0;      ///< J^; infinite if a rollout diverged
  double cautious = 0.0;  ///< J~
};

double cost_of(const Batch& batch) {
  if (diverged_rollouts(batch) > 0) return std::numeric_limits<double>::infinity();
  return -return_mean(batch);
}

/// J~: mean plus standard deviation over the members of the mean cost of each one's particles.
double cautious_cost(const Batch& batch, std::size_t members) {
  if (diverged_rollouts(batch) > 0) return std::numeric_limits<double>::infinity();
  std::vector<double> costs;
  const auto parts = static_cast<int>(members);
  for (int e = 0; e < parts; ++e) {
    const int first = e * batch.rollouts / parts, last = (e + 1) * batch.rollouts / parts;
    costs.push_back(batch.cost.middleCols(first, last - first).sum() / (last - first));
  }
  return mean(costs) + standard_deviation(costs);
}

Imagined imagined(const Task& task, TvLinearGaussian policy, const ImaginedDynamics& model, const Particles& particles,
                  const ReckonOptions& options, SystemClones& clones) {
  Imagined result{std::move(policy), {}, 0.0, 0.0};
  const auto with = [&](Predictor predictor) {
    return imagine(task, result.policy, model, particles, predictor, options.quiet_noise, clones);
  };
  result.batch = with(Predictor::mean);
  result.cost = cost_of(result.batch);
  result.cautious = cautious_cost(with(Predictor::members), model.ensemble.members.size());
  return result;
}

/// sum_t KL_t(new || base) under the imagined states of the new policy.
double kl_from_base(const Imagined& candidate, const TvLinearGaussian& base) {
  double kl = 0.0;
  for (int t = 0; t < base.horizon(); ++t)
    kl += expected_kl(candidate.policy[t], base[t], sample_moments(observations_at(candidate.batch, t)));
  return kl;
}

/// How much the entropy of every step may still fall in this iteration.
double entropy_left(const TvLinearGaussian& policy, const TvLinearGaussian& base, double allowed) {
  double left = std::numeric_limits<double>::infinity();
  for (int t = 0; t < base.horizon(); ++t) left = std::min(left, entropy(policy[t].C) - entropy(base[t].C) + allowed);
  return std::max(0.0, left);
}

double mean_entropy(const TvLinearGaussian& policy) {
  double sum = 0.0;
  for (int t = 0; t < policy.horizon(); ++t) sum += entropy(policy[t].C);
  return sum / policy.horizon();
}

/// The linear-quadratic model around imagined rollouts, or why there is none.
Outcome<LqModel> local_model(const Task& task, const Batch& batch, SystemClones& clones) {
  const int threads = clones.threads();
  DynamicsFit fit = fit_dynamics(batch, {}, kRidge, threads);
  if (fit.status != DynamicsStatus::ok) return failure(fmt::format("{} ({})", fit.message, to_string(fit.status)));
  std::vector<LinearDynamics> sensors;
  if (reads_unobserved(task)) {
    auto models = fit_unobserved(task, batch, sensors_of_states(task, batch, clones), kRidge, threads);
    if (!models) return models.ending();
    sensors = std::move(*models);
  }
  return LqModel{sample_moments(observations_at(batch, 0)), std::move(fit.dynamics),
                 cost_expansions(task, batch, threads, sensors)};
}

/// Steers by the chart: exact KL steps on imagined rollouts, inside the trust region around the base.
Outcome<Plan> steer(const Task& task, const ReckonState& state, const ImaginedDynamics& model,
                    const ReckonOptions& options, int iteration, const Run& run) {
  const TvLinearGaussian& base = state.base[0].policy;
  const int T = task.horizon;
  const double bound = T * state.trust;
  const double allowed = options.beta0 * fix_size(task, options).all() * static_cast<double>(task.da());
  const Particles particles = draw_particles(task, state.data, options, iteration, run);
  SystemClones clones(*task.system, run.threads);

  Imagined now = imagined(task, base, model, particles, options, clones);
  if (!std::isfinite(now.cost + now.cautious)) return failure("the imagined rollouts of the policy are not finite");
  Plan plan;
  plan.cost_before = now.cost;
  plan.cautious_before = now.cautious;
  plan.step = std::clamp(state.step, kFirstStep, std::max(kFirstStep, std::min(1.0, state.trust)));

  Outcome<LqModel> lq = local_model(task, now.batch, clones);
  if (!lq) return lq.ending();
  while (plan.accepted < options.steps && plan.step >= kLeastStep && plan.kl < kUsedUp * bound) {
    if (run.stop.stop_requested()) return cancelled();
    ++plan.tried;
    const TrustRegion region{T * plan.step, entropy_left(now.policy, base, allowed)};
    const KlLqrUpdate update = kl_lqr(now.policy, *lq, region);
    if (update.status != StepStatus::ok) {
      plan.step *= kRefusedStep;
      continue;
    }
    TvLinearGaussian stepped = now.policy;
    for (int t = 0; t < T; ++t) stepped[t] = update.steps[static_cast<std::size_t>(t)].next;
    Imagined candidate = imagined(task, std::move(stepped), model, particles, options, clones);
    const double predicted = update.cost_old - update.cost_new, gain = now.cost - candidate.cost;
    const bool better =
        candidate.cost + candidate.cautious < now.cost + now.cautious && gain >= -kAllowedRise * predicted;
    const double kl = better ? kl_from_base(candidate, base) : 0.0;
    if (!better || kl > bound) {
      plan.step *= kRefusedStep;
      continue;
    }
    Outcome<LqModel> next_lq = local_model(task, candidate.batch, clones);
    if (!next_lq) {
      plan.step *= kRefusedStep;
      continue;
    }
    lq = std::move(next_lq);
    now = std::move(candidate);
    plan.kl = kl;
    ++plan.accepted;
    plan.step *= gain > kGoodStep * predicted ? kMoreStep : gain < kBadStep * predicted ? kLessStep : 1.0;
  }
  plan.cost_after = now.cost;
  plan.cautious_after = now.cautious;
  plan.entropy = mean_entropy(now.policy);
  plan.policy = std::move(now.policy);
  return plan;
}

/// Linear dynamics are fitted to the particles: they need more of them than coefficients.
void require_particles(const Task& task, const ReckonOptions& options) {
  const auto least = static_cast<int>(task.ds() + task.da()) + 2;
  if (particles_of(task, options) < least)
    throw InputError(fmt::format("particles = {}, but must be >= {} for {} observations and {} actions",
                                 options.particles, least, task.ds(), task.da()));
}

void require_state(const Task& task, const ReckonOptions& options, const ReckonState& state) {
  require_fit(task, state, state.policy, {});
  const Index n = task.ds() + task.da(), T = task.horizon;
  const TransitionStore& data = state.data;
  const DynamicsEnsemble& model = state.model;
  bool ok =
      state.base.size() <= 1 && state.base.empty() == (state.iteration == 0) && model.empty() == state.base.empty();
  for (const TriedPolicy& base : state.base)
    ok = ok && base.policy.horizon() == T && base.policy.observation_dim() == task.ds() &&
         base.policy.action_dim() == task.da() && base.quiet_cost.size() == fix_size(task, options).quiet;
  if (ok && state.iteration > 0) {
    ok = data.z.rows() == n && data.next.rows() == task.ds() && data.next.cols() == data.size() &&
         data.layout.rows() == 2 && (data.layout.array() >= 0.0).all() &&
         data.layout.row(1).sum() * static_cast<double>(T) == static_cast<double>(data.size()) &&
         model.members.size() == static_cast<std::size_t>(options.members) && model.shape.units == options.units &&
         model.shape.inputs == n && model.shape.outputs == task.ds() && model.scale.z_mean.size() == n &&
         model.scale.z_scale.size() == n && model.scale.change_mean.size() == task.ds() &&
         model.scale.change_scale.size() == task.ds() && (model.scale.z_scale.array() > 0.0).all();
    for (const EnsembleMember& m : model.members)
      ok = ok && m.weights.size() == weight_count(model.shape) && m.first.size() == m.weights.size() &&
           m.second.size() == m.weights.size();
  }
  if (!ok)
    throw InputError(fmt::format("the state does not belong to reckon with these options on the task {}", task.name));
}

}  // namespace

FixSize fix_size(const Task& task, const ReckonOptions& options) {
  if (options.rollouts > 0) return {options.rollouts, (3 * options.rollouts + 6) / 7};
  const int all = 5 * std::max(1, static_cast<int>(std::lround(0.16 * static_cast<double>(task.ds() + task.da()))));
  const int quiet = (3 * all + 9) / 10;
  return {all - quiet, quiet};
}

int particles_of(const Task& task, const ReckonOptions& options) {
  const int twice = 2 * static_cast<int>(task.ds() + task.da());
  return std::max(options.members, options.particles > 0 ? options.particles : std::max(48, twice));
}

ReckonState reckon_start(const Task& task, const ReckonOptions& options) {
  options.validate();
  ReckonState state;
  state.policy = first_policy(task, options.initial_std);
  require_whole_episodes(task, "reckon");
  require_observed_states(task, "reckon");
  require_expandable(task);
  require_particles(task, options);
  return state;
}

ReckonState reckon_start_from(const Task& task, const ReckonOptions& options, const TvLinearGaussian& from) {
  ReckonState state = reckon_start(task, options);
  take_means(from, state.policy);
  return state;
}

ReckonResult reckon(const Task& task, ReckonState state, const ReckonOptions& options, const Run& run,
                    const ReckonObserver& observe) {
  options.validate();
  require_particles(task, options);
  require_state(task, options, state);
  require_whole_episodes(task, "reckon");
  require_observed_states(task, "reckon");
  require_expandable(task);

  Loop<ReckonState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    ReckonState next = loop.state();

    // Take a fix: a few real rollouts of the policy
    auto fix = take_fix(task, next.policy, options, loop.iteration(), run);
    if (!fix) return loop.end(fix.ending());
    if (usable_rollouts(fix->exploring) == 0)
      return loop.end(failure(fmt::format("all {} rollouts diverged", fix->exploring.rollouts)));
    loop.lap("rollouts");

    // Judge the policy by it: how far to go, and from where
    judge(*fix, next, loop.iteration());
    const TransitionStore newest =
        with_rollouts({}, task, loop.iteration(), {&fix->exploring, &fix->quiet}, std::numeric_limits<Index>::max());
    const double model_error = median_error(next.model.empty() ? mean_change(newest) : next.model, newest);

    // Correct the chart with it
    next.data = with_rollouts(next.data, task, loop.iteration(), {&fix->exploring, &fix->quiet}, options.memory);
    auto model = correct_model(task, next, options, loop.iteration(), run);
    if (!model) return loop.end(model.ending());
    loop.lap("model");

    // Steer by the chart: many exact KL steps on imagined rollouts
    auto plan = steer(task, next, *model, options, loop.iteration(), run);
    if (!plan) return loop.end(plan.ending());
    next.policy = std::move(plan->policy);
    next.step = plan->step;
    next.cost_before = plan->cost_before;
    next.cost_predicted = plan->cost_after;
    loop.lap("plan");

    count(fix->exploring, simulated_steps(fix->quiet), next);
    next.rollouts_total += fix->quiet.rollouts;
    Iteration report = reckon_report(task, *fix, model_error, model->local, *plan, loop.state(), next);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
