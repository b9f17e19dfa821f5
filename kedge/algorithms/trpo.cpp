#include "kedge/algorithms/trpo.h"

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/report.h"
#include "kedge/algorithms/requirements.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/algorithms/trpo_update.h"
#include "kedge/algorithms/trpo_values.h"
#include "kedge/core/errors.h"
#include "kedge/math/statistics.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

/// What the last layer of the first policy weighs, relative to its noise: the first mean actions are near 0.
constexpr double kFirstOutput = 0.01;

/// What orthogonal hidden layers are multiplied by, as in stable-baselines3.
const double kHiddenGain = std::sqrt(2.0);

Index input_count(const Task& task, const TrpoOptions& options) { return task.ds() + (options.clock() ? 1 : 0); }

NetworkShape network_shape(const Task& task, const TrpoOptions& options, const VectorXd& output_scale) {
  const Index inputs = input_count(task, options);
  return {.hidden = std::vector<Index>(static_cast<std::size_t>(options.layers), options.hidden),
          .activation = Activation::tanh,
          .output_bias = true,
          .input_mean = VectorXd::Zero(inputs),
          .input_scale = VectorXd::Ones(inputs),
          .output_scale = output_scale,
          .input_clip = options.input_clip};
}

/// Returns the logarithms of the C library, whose last bits are not Eigen's.
VectorXd log_std(const VectorXd& std) {
  return std.unaryExpr([](double s) { return std::log(s); });
}

/// Draws the first weights of the networks.
void draw_weights(std::uint64_t seed, const TrpoOptions& options, TrpoState& state) {
  const auto weights = [&](const NetworkShape& shape, std::uint32_t network, double output) {
    Stream random(seed, streams::network.iteration(0), streams::network.rollout(0), network);
    return options.first_weights == TrpoOptions::FirstWeights::unit
               ? unit_weights(shape, random, output)
               : orthogonal_weights(shape, random, kHiddenGain, output);
  };
  if (auto* policy = std::get_if<MlpGaussian>(&state.policy)) {
    VectorXd theta(policy->theta().size());
    theta << weights(policy->shape(), 0, kFirstOutput), log_std(policy->shape().output_scale);
    policy->set_theta(std::move(theta));
  }
  if (state.value) state.value->network.set_weights(weights(state.value->network.shape(), 1, 1.0));
}

/// The task's first steps. Nothing is final there: neither costs of the final state nor success count.
Task cut_after(Task task, int steps) {
  for (CostTerm& term : task.cost) {
    term.active.resize(static_cast<std::size_t>(steps) + 1);
    term.active.back() = 0;
  }
  task.success.clear();
  for (Termination& end : task.termination) end.cost += end.missing_step * (task.horizon - steps);
  task.horizon = steps;
  return task;
}

/// Returns of several batches of one task what reports read: costs, success, how rollouts ended; no states and no actions.
Batch reports_of(const std::vector<Batch>& batches) {
  Batch all = empty_batch(0, batches.front().horizon, 0, 0, 0, 0);
  double limited = 0.0;
  for (const Batch& batch : batches) {
    limited += batch.saturated * static_cast<double>(simulated_steps(batch));
    all.rollouts += batch.rollouts;
    all.cost.conservativeResize(Eigen::NoChange, all.rollouts);
    all.cost.rightCols(batch.rollouts) = batch.cost;
    all.success.conservativeResize(all.rollouts);
    all.success.tail(batch.rollouts) = batch.success;
    const auto append = [](auto& to, const auto& more) { to.insert(to.end(), more.begin(), more.end()); };
    append(all.diverged_at, batch.diverged_at);
    append(all.why_diverged, batch.why_diverged);
    append(all.ended_at, batch.ended_at);
  }
  all.saturated = limited / static_cast<double>(simulated_steps(all));
  return all;
}

/// The rollouts of an iteration. Where episodes end early there are several batches of each kind.
struct Collected {
  std::vector<Batch> whole;       ///< rollouts that had room for T steps
  std::vector<Batch> cut;         ///< one rollout each, cut where the steps of the iteration end
  std::optional<Batch> of_whole;  ///< for reports, if there are several
  [[nodiscard]] const Batch& reported() const { return of_whole ? *of_whole : whole.front(); }
  [[nodiscard]] std::vector<const Batch*> all() const {
    std::vector<const Batch*> batches;
    for (const auto* kind : {&whole, &cut})
      for (const Batch& batch : *kind) batches.push_back(&batch);
    return batches;
  }
};

/// Returns the steps that a batch takes of those of an iteration: a rollout that diverged takes all that it had room for.
int taken_steps(const Batch& batch) {
  int steps = 0;
  for (int n = 0; n < batch.rollouts; ++n) steps += batch.usable(n) ? batch.steps(n) : batch.horizon;
  return steps;
}

Outcome<Collected> collect_samples(const Task& task, const AnyPolicy& policy, const TrpoOptions& options, int iteration,
                                   const Run& run) {
  RolloutOptions how{.rollouts = options.rollouts, .iteration = streams::training.iteration(iteration)};
  Collected collected;
  const auto simulate = [&](const Task& part, std::vector<Batch>& to) {
    auto batch = rollout(part, as_policy(policy), how, run);
    if (!batch) return false;
    how.first += how.rollouts;
    to.push_back(std::move(*batch));
    return true;
  };
  if (options.batch == TrpoOptions::BatchBy::rollouts) {
    if (!simulate(task, collected.whole)) return cancelled();
  } else {
    for (int left = options.batch_steps; left > 0;) {  // as many rollouts at a time as fit, however long they are
      const bool cut = left < task.horizon;
      how.rollouts = cut ? 1 : left / task.horizon;
      std::vector<Batch>& to = cut ? collected.cut : collected.whole;
      if (!simulate(cut ? cut_after(task, left) : task, to)) return cancelled();
      left -= taken_steps(to.back());
    }
  }
  if (collected.whole.size() > 1) collected.of_whole = reports_of(collected.whole);
  if (usable_rollouts(collected.reported()) == 0)
    return failure(fmt::format("all {} rollouts diverged", collected.reported().rollouts));
  return collected;
}

/// Teaches a value network the TD(lambda) returns, less the usual values.
std::optional<Ending> learn_value(const Task& task, const StepSamples& samples, const VectorXd& target, bool first,
                                  const TrpoOptions& options, int iteration, const Run& run, TrpoState& next) {
  if (!next.value) return std::nullopt;
  NetworkValue& value = *next.value;
  value.network = with_inputs(value.network, next.moments, first);
  const Stream order(run.seed, streams::fit.iteration(iteration), streams::fit.rollout(0), 0);
  if (fit_value(network_inputs(samples.s, samples.step, task, options), target,
                {options.value_epochs, options.value_minibatch, options.value_rate}, order, value))
    return std::nullopt;
  return failure("the fit of the value network is not finite; lower value_rate or reward_scale");
}

double mean_std(const AnyPolicy& policy) {
  if (const auto* network = std::get_if<MlpGaussian>(&policy)) return network->std().mean();
  const auto& linear = std::get<TvLinearGaussian>(policy);
  double sum = 0.0;
  for (int t = 0; t < linear.horizon(); ++t) sum += linear[t].C.diagonal().mean();
  return sum / linear.horizon();
}

Iteration trpo_report(const Task& task, const Collected& collected, const PolicyUpdate& update, double explained,
                      const TrpoState& before, const TrpoState& next) {
  const Batch& batch = collected.reported();
  const NaturalStep& step = update.step;
  Iteration report;
  report.metrics = return_metrics(batch, before.iteration, next.rollouts_total, next.steps_total);
  add(report, {{"return_median", median(returns(batch))},
               {"success_rate", success_rate(batch, task.success_limit())},
               {"kl", step.measured.kl},
               {"surrogate_gain", step.measured.gain},
               {"surrogate_predicted", step.predicted},
               {"step_taken", step.status == NaturalStepStatus::ok ? 1.0 : 0.0},
               {"step_length", step.length},
               {"lengths_tried", static_cast<double>(step.lengths)},
               {"cg_residual", std::isfinite(step.cg_residual) ? step.cg_residual : 1.0},
               {"value_explained", explained},
               {"improvement_realised", improvement_realised(batch, before)},
               {"policy_std_mean", mean_std(next.policy)},
               {"saturated_share", batch.saturated},
               {"diverged", static_cast<double>(diverged_rollouts(batch))}});
  add_early_ends(task, batch, report);
  if (step.status != NaturalStepStatus::ok)
    report.warnings.push_back(
        fmt::format("no step: {} ({}); the policy is kept", step.message, to_string(step.status)));
  warn_of_saturation(batch, "lower initial_std", report.warnings);
  warn_of_divergence(batch, report.warnings);
  return report;
}

/// What follows the last steps of the rollouts has to be known.
void require_value_of_ends(const Task& task, const TrpoOptions& options) {
  // A quadratic V is fitted to all rollouts at each step, and none of a rollout that has ended is left to fit to.
  if (options.value == TrpoOptions::Value::quadratic) require_whole_episodes(task, "trpo with value = quadratic");
  if (options.time_limit != TrpoOptions::TimeLimit::cut) return;
  for (const CostTerm& term : task.cost)
    if (std::find(term.active.begin(), term.active.end() - 1, 0) != term.active.end() - 1)
      throw InputError(
          fmt::format("time_limit = cut goes on after the last step, but the cost {} of the task {} counts at some "
                      "steps only; take seen or end",
                      term.name, task.name));
}

/// What a task and options must fit in, whatever the state.
void require_fit(const Task& task, const TrpoOptions& options) {
  validate(task);
  require_value_of_ends(task, options);
  if (options.batch == TrpoOptions::BatchBy::steps && options.batch_steps < task.horizon)
    throw InputError(fmt::format("batch_steps = {}, but must be >= {}: an iteration needs one whole rollout",
                                 options.batch_steps, task.horizon));
}

void require_fit(const Task& task, const TrpoOptions& options, const TrpoState& state) {
  require_fit(task, options);
  const Index inputs = input_count(task, options);
  const bool network = options.policy == TrpoOptions::Kind::network;
  const Policy& policy = as_policy(state.policy);
  bool ok = state.iteration >= 0 && std::holds_alternative<MlpGaussian>(state.policy) == network &&
            policy.observation_dim() == task.ds() && policy.action_dim() == task.da() &&
            state.moments.mean.size() == inputs && state.moments.squares.size() == inputs &&
            state.moments.count >= 0.0 && (state.moments.squares.array() >= 0.0).all() &&
            state.value.has_value() == (options.value == TrpoOptions::Value::network);
  if (network)
    ok = ok && std::get<MlpGaussian>(state.policy).clock() == (options.clock() ? task.horizon : 0);
  else
    ok = ok && policy.horizon() == task.horizon;
  if (ok && state.value) {
    const NetworkValue& v = *state.value;
    const Index P = v.network.weights().size();
    ok = v.network.shape().inputs() == inputs && v.network.shape().outputs() == 1 && v.network.shape().output_bias &&
         v.optimiser.m.size() == P && v.optimiser.v.size() == P && (v.optimiser.v.array() >= 0.0).all();
  }
  if (!ok)
    throw InputError(fmt::format(
        "the state does not belong to trpo with these options on the task {}: horizon {}, {} observations, {} actions",
        task.name, task.horizon, task.ds(), task.da()));
}

}  // namespace

void TrpoOptions::validate() const {
  require_in_range(*this);
  if (time_limit != TimeLimit::cut) return;
  if (value == Value::quadratic)
    throw InputError("time_limit = cut needs value = network: a quadratic V is fitted backwards from an end");
  if (discount == 1.0)
    throw InputError("time_limit = cut needs discount < 1: V of an episode without an end is infinite");
}

TrpoState trpo_start(const Task& task, const TrpoOptions& options) {
  options.validate();
  require_fit(task, options);
  TrpoState state;
  state.moments = RunningMoments(input_count(task, options));
  const VectorXd std = action_numbers(task, options.initial_std, "initial_std");
  if (options.policy == TrpoOptions::Kind::network) {
    NetworkShape shape = network_shape(task, options, std);
    VectorXd theta = VectorXd::Zero(parameter_count(shape));
    theta.tail(task.da()) = log_std(std);
    state.policy = MlpGaussian(std::move(shape), std::move(theta), options.clock() ? task.horizon : 0);
  } else {
    state.policy = first_policy(task, options.initial_std);
  }
  if (options.value == TrpoOptions::Value::network) {
    Network network(network_shape(task, options, VectorXd::Ones(1)));
    const Index weights = network.weights().size();
    state.value = NetworkValue{std::move(network), Adam(weights)};
  }
  return state;
}

TrpoState trpo_start_from(const Task& task, const TrpoOptions& options, const TvLinearGaussian& from) {
  TrpoState state = trpo_start(task, options);
  auto* linear = std::get_if<TvLinearGaussian>(&state.policy);
  if (!linear) throw InputError("a network cannot begin from linear gains: set policy=linear");
  take_means(from, *linear);
  return state;
}

TrpoResult trpo(const Task& task, TrpoState state, const TrpoOptions& options, const Run& run,
                const TrpoObserver& observe) {
  options.validate();
  require_fit(task, options, state);
  Loop<TrpoState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    TrpoState next = loop.state();
    const int k = loop.iteration();
    if (k == 0) draw_weights(run.seed, options, next);

    // Sample the present policy
    auto collected = collect_samples(task, next.policy, options, k, run);
    if (!collected) return loop.end(collected.ending());
    StepSamples samples = step_samples(collected->all());
    const VectorXd after_early_ends = scaled_rewards(task, options, samples);
    loop.lap("rollouts");

    // Evaluate it: V, then generalised advantages, and the TD(lambda) returns
    auto v = evaluated(task, next, collected->whole.front(), samples, after_early_ends, options, run.threads);
    if (!v) return loop.end(v.ending());
    for (std::size_t i = 0; i < samples.segments.size(); ++i)
      samples.segments[i].end_value = v->at_ends[static_cast<Index>(i)];
    const VectorXd advantage =
        generalised_advantages(samples.reward, v->at_samples, samples.segments, options.discount, options.lambda);
    const VectorXd usual = usual_values(task, samples.step, options);
    const VectorXd beyond = v->at_samples - usual, target = beyond + advantage;
    loop.lap("advantages");

    // Step along the natural gradient, within the bound
    add_columns(network_inputs(samples.s, samples.step, task, options), next.moments);
    PolicyUpdate update =
        update_policy(task, next.policy, samples, standardised(advantage), next.moments, k == 0, options, run.threads);
    next.policy = std::move(update.policy);
    loop.lap("update");

    // Learn V from the returns, for the next iteration
    if (const auto ending = learn_value(task, samples, target, k == 0, options, k, run, next)) return loop.end(*ending);
    loop.lap("value");

    count(collected->reported(), 0, next);
    for (const Batch& cut : collected->cut) next.steps_total += simulated_steps(cut);
    next.rollouts_total += static_cast<std::int64_t>(collected->cut.size());
    Iteration report = trpo_report(task, *collected, update, explained_share(beyond, target), loop.state(), next);
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
