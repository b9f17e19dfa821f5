#include "kedge/run/evaluate.h"

#include <algorithm>

#include "kedge/core/errors.h"
#include "kedge/files/names.h"
#include "kedge/policy/reordered.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

void check_fit(const Task& task, const Policy& policy) {
  const bool lasts = policy.horizon() == task.horizon || policy.horizon() == kEndless;
  if (lasts && policy.observation_dim() == task.ds() && policy.action_dim() == task.da()) return;
  throw InputError(fmt::format(
      "the policy has {} steps, {} observations and {} actions, but must have those of task '{}': {}, {} and {}",
      policy.horizon(), policy.observation_dim(), policy.action_dim(), task.name, task.horizon, task.ds(), task.da()));
}

}  // namespace

PolicyFile for_task(const Task& task, PolicyFile policy, const std::string& file) {
  PolicyInfo& info = policy.info;
  const auto order = [&](const char* what, const std::vector<std::string>& found, const std::vector<std::string>& own,
                         Index n) {
    return found.empty() ? in_order(n) : places({what, found, task.name, own}, file);
  };
  const Policy& given = as_policy(policy.policy);
  const std::vector<Index> s =
      order("observations", info.observation_names, task.observation_names, given.observation_dim());
  const std::vector<Index> a = order("actions", info.action_names, task.action_names, given.action_dim());
  if (std::ranges::is_sorted(s) && std::ranges::is_sorted(a)) return policy;
  policy.policy = reordered(policy.policy, s, a);
  if (!info.observation_names.empty()) info.observation_names = task.observation_names;
  if (!info.action_names.empty()) info.action_names = task.action_names;
  for (VectorXd* limit : {&info.action_low, &info.action_high})
    if (limit->size() > 0) (*limit)(a) = VectorXd(*limit);
  return policy;
}

std::optional<Evaluation> evaluate(const Task& task, const Policy& policy, const EvaluationOptions& options,
                                   const Run& run) {
  require(options.rollouts >= 1, "rollouts", options.rollouts, ">= 1");
  check_fit(task, policy);
  auto batch = rollout(
      task, policy,
      {.rollouts = options.rollouts, .iteration = streams::evaluation.iteration(0), .explore = !options.deterministic},
      run);
  if (!batch) return std::nullopt;

  Evaluation result;
  result.rollouts = options.rollouts;
  result.saturated = batch->saturated;
  result.diverged = diverged_rollouts(*batch);
  result.ended_early = ended_rollouts(*batch);
  result.returns = returns(*batch);
  for (int n = 0; n < options.rollouts && !task.success.empty(); ++n) {
    if (!batch->usable(n) || batch->end(n) >= 0) continue;
    result.success_values.push_back(batch->success[n]);
    if (batch->success[n] < task.success_limit()) ++result.succeeded;
  }
  result.batch = std::move(*batch);
  return result;
}

}  // namespace kedge
