#include "kedge/algorithms/network_training.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/math/statistics.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

/// Without normalisation.
NetworkShape plain_network(const Task& task, const GuidedOptions& options) {
  return {.hidden = std::vector<Index>(static_cast<std::size_t>(options.layers), options.hidden),
          .activation = options.activation,
          .output_bias = options.output_bias,
          .input_mean = VectorXd::Zero(task.ds()),
          .input_scale = VectorXd::Ones(task.ds()),
          .output_scale = VectorXd::Ones(task.da())};
}

/// An entry that moves less than this share of the guide's width around the trajectory hardly moves.
constexpr double kHardly = 0.1;

/// Units of the entries of x: root mean square along the trajectory; the guide's own width around it where an entry hardly
/// moves, as all do where a robot only balances; 1 where it has neither. @param x [n, T]  @param variance [n, T] under q
VectorXd units(const MatrixXd& x, const MatrixXd& variance) {
  VectorXd unit = x.cwiseAbs2().rowwise().mean().cwiseSqrt();
  const VectorXd width = variance.rowwise().mean().cwiseSqrt();
  for (Index i = 0; i < unit.size(); ++i) {
    if (unit[i] < kHardly * width[i]) unit[i] = width[i];
    if (!(unit[i] > 1e-6)) unit[i] = 1.0;
  }
  return unit;
}

Ending without_fit(const FitResult& fit) {
  if (fit.status == FitStatus::cancelled) return cancelled();
  return failure(fmt::format("the fit of the network: {} ({})", fit.message, to_string(fit.status)));
}

Outcome<FitResult> usable(FitResult fit) {
  if (fit.status != FitStatus::ok && fit.status != FitStatus::no_improvement) return without_fit(fit);
  return fit;
}

}  // namespace

MlpGaussian initial_network(const Task& task, const Guide& guide, const GuidedOptions& options, std::uint64_t seed) {
  const int T = task.horizon;
  const MatrixXd s = guide.q.x(task.observation, Eigen::seqN(0, T));
  MatrixXd s_variance(task.ds(), T), a_variance(task.da(), T);  // under q
  for (int t = 0; t < T; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const MatrixXd G = observation_map(task, guide.q.x.col(t)), &K = guide.q.K[at], &S = guide.S[at];
    s_variance.col(t) = (G * S * G.transpose()).diagonal();
    a_variance.col(t) = (K * S * K.transpose() + guide.q.Sigma[at]).diagonal();
  }
  NetworkShape network = plain_network(task, options);
  network.input_mean = s.rowwise().mean();
  network.input_scale = units(s.colwise() - network.input_mean, s_variance);
  network.output_scale = units(guide.q.a, a_variance);
  Stream random(seed, 0, streams::network.rollout(0), 0);
  VectorXd theta = random_theta(network, network.output_scale.array().log(), random);
  return MlpGaussian(std::move(network), std::move(theta));
}

MlpGaussian blank_network(const Task& task, const GuidedOptions& options) {
  require_guidable(task, options);
  NetworkShape network = plain_network(task, options);
  VectorXd theta = VectorXd::Zero(parameter_count(network));
  return MlpGaussian(std::move(network), std::move(theta));
}

void require_network(const Task& task, const LoopState& state, const MlpGaussian& policy) {
  if (state.iteration < 0 || policy.observation_dim() != task.ds() || policy.action_dim() != task.da())
    throw InputError(
        fmt::format("the state does not belong to this algorithm on the task {}: {} observations, {} actions",
                    task.name, task.ds(), task.da()));
}

Outcome<FitResult> fit_network(const MlpGaussian& policy, const FitData& data, int evaluations, int iteration, int draw,
                               const GuidedOptions& options, const Run& run) {
  FitOptions how;
  how.method = options.optimiser;
  how.decay = options.weight_decay;
  how.max_evaluations = how.steps = evaluations;
  const Stream minibatches(run.seed, streams::fit.iteration(iteration), streams::fit.rollout(0),
                           static_cast<std::uint32_t>(draw));
  return usable(supervised_fit(policy, data, how, minibatches, run));
}

Outcome<FitResult> fit_to_guides(const Task& task, const MlpGaussian& policy, const std::vector<Guide>& guides,
                                 int iteration, const GuidedOptions& options, const Run& run) {
  const int evaluations = iteration == 0 ? options.first_evaluations : options.evaluations;
  const int chunk = options.resample > 0 ? std::min(options.resample, evaluations) : evaluations;
  MlpGaussian network = policy;
  FitResult fit;
  for (int draw = 0, left = evaluations; left > 0; ++draw, left -= chunk) {
    const DrawName name{run.seed, iteration, 0, draw};
    const FitData data = guide_samples(task, guides, Marginals::wide, options, name, run.threads);
    auto fitted = fit_network(network, data, std::min(left, chunk), iteration, draw, options, run);
    if (!fitted) return fitted.ending();
    FitResult part = std::move(*fitted);
    if (part.status == FitStatus::no_improvement && draw > 0) break;  // these samples leave nothing to gain
    if (part.status == FitStatus::no_improvement) return part;
    network.set_theta(part.theta);
    part.theta = with_fitted_noise(network, guide_samples(task, guides, Marginals::own, options, name, run.threads),
                                   run.threads);
    network.set_theta(part.theta);
    if (draw > 0) part.before = fit.before;
    part.evaluations += fit.evaluations;
    fit = std::move(part);
  }
  return fit;
}

Outcome<FirstGuide> first_guide(const Task& task, const char* what, const GuidedOptions& options, const Run& run) {
  auto plan = initial_guide(task, 0, nullptr, options, run);
  if (!plan) return without(what, plan.ending());
  FirstGuide first{std::move(*plan), {}};
  first.policy = initial_network(task, first.plan.guide, options, run.seed);
  auto fit = fit_to_guides(task, first.policy, {first.plan.guide}, 0, options, run);
  if (!fit) return fit.ending();
  if (fit->status != FitStatus::ok) return without_fit(*fit);  // no better than a random network
  first.policy.set_theta(fit->theta);
  return first;
}

Outcome<Judgement> judge(const Task& task, const MlpGaussian& policy, int iteration, int rollouts, const Run& run) {
  const auto name = static_cast<std::uint32_t>(iteration);
  auto noisy = rollout(task, policy, {rollouts, name, true}, run);
  Task from_middle = task;
  from_middle.start.spread.setZero();
  const auto quiet = rollout(from_middle, policy, {1, name, false}, run);
  if (!noisy || !quiet) return cancelled();
  Judgement result{std::move(*noisy), std::numeric_limits<double>::quiet_NaN(),
                   success_rate(*quiet, task.success_limit())};
  if (quiet->usable(0)) result.return_deterministic = rollout_return(*quiet, 0);
  return result;
}

Iteration guided_report(const Task& task, const Judgement& judgement, const MlpGaussian& policy, std::int64_t steps,
                        const LoopState& before) {
  const Batch& batch = judgement.noisy;
  const std::vector<double> r = returns(batch);
  Iteration report;
  report.metrics = return_metrics(batch, before.iteration, before.rollouts_total + batch.rollouts,
                                  before.steps_total + simulated_steps(batch) + steps);
  add(report, {
                  {"return_median", r.empty() ? std::numeric_limits<double>::quiet_NaN() : median(r)},
                  {"return_deterministic", judgement.return_deterministic},
                  {"success_rate", success_rate(batch, task.success_limit())},
                  {"success_deterministic", judgement.success_deterministic},
                  {"policy_std_mean", policy.std().mean()},
                  {"diverged", static_cast<double>(diverged_rollouts(batch))},
              });
  warn_of_saturation(batch, "alpha_first", report.warnings);
  warn_of_divergence(batch, report.warnings);
  return report;
}

Ending without(const char* what, const Ending& why) {
  return why.stop == Stop::cancelled ? why : failure(fmt::format("{}: {}", what, why.message));
}

}  // namespace kedge
