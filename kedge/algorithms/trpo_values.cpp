#include "kedge/algorithms/trpo_values.h"

#include "kedge/algorithms/trpo_update.h"
#include "kedge/evaluation/quadratic_value.h"

namespace kedge {

VectorXd worth_of_steps_left(const Task& task, const TrpoOptions& options) {
  if (options.time_limit == TrpoOptions::TimeLimit::cut)
    return VectorXd::Constant(task.horizon + 1, 1.0 / (1.0 - options.discount));
  return discounted_steps(options.discount, task.horizon).reverse();
}

VectorXd scaled_rewards(const Task& task, const TrpoOptions& options, StepSamples& samples) {
  if (options.time_limit == TrpoOptions::TimeLimit::cut) leave_out_final_costs(samples);
  const VectorXd after = values_after_early_ends(task, worth_of_steps_left(task, options), samples);
  samples.reward *= options.reward_scale;
  return options.reward_scale * after;
}

VectorXd usual_values(const Task& task, const std::vector<int>& step, const TrpoOptions& options) {
  const VectorXd steps_left = worth_of_steps_left(task, options);
  VectorXd v(static_cast<Index>(step.size()));
  for (std::size_t n = 0; n < step.size(); ++n)
    v[static_cast<Index>(n)] = -options.reward_scale * options.usual_cost * steps_left[step[n]];
  return v;
}

Outcome<Values> evaluated(const Task& task, const TrpoState& state, const Batch& whole, const StepSamples& samples,
                          const VectorXd& after_early_ends, const TrpoOptions& options, int threads) {
  const auto segments = static_cast<Index>(samples.segments.size());
  Values v{VectorXd(samples.size()), VectorXd::Zero(segments)};
  if (options.value == TrpoOptions::Value::network) {
    const Network& network = state.value->network;
    v.at_samples = values(network, network_inputs(samples.s, samples.step, task, options), threads) +
                   usual_values(task, samples.step, options);
    v.at_ends = values(network, network_inputs(samples.end, samples.end_step, task, options), threads) +
                usual_values(task, samples.end_step, options);
  } else {
    auto quadratic = fit_quadratic_value(task, whole, options.discount, options.ridge, threads);
    if (!quadratic) return quadratic.ending();
    for (Index n = 0; n < samples.size(); ++n)
      v.at_samples[n] =
          options.reward_scale * (*quadratic)(samples.step[static_cast<std::size_t>(n)], samples.s.col(n));
    for (Index i = 0; i < segments; ++i)
      v.at_ends[i] =
          options.reward_scale * (*quadratic)(samples.end_step[static_cast<std::size_t>(i)], samples.end.col(i));
  }
  const int last =
      options.time_limit == TrpoOptions::TimeLimit::cut ? task.horizon : task.horizon - 1;  // step that V follows
  for (Index i = 0; i < segments; ++i)
    if (const auto at = static_cast<std::size_t>(i); samples.ended_early[at] || samples.end_step[at] > last)
      v.at_ends[i] = after_early_ends[i];
  if (!v.at_samples.allFinite() || !v.at_ends.allFinite()) return failure("the value function is not finite");
  return v;
}

}  // namespace kedge
