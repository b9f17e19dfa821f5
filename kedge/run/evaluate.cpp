#include "kedge/run/evaluate.h"

#include <algorithm>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
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

void require_names(const Task& task, const PolicyInfo& info, const std::string& file) {
  const auto compare = [&](const char* what, const std::vector<std::string>& of_file,
                           const std::vector<std::string>& own) {
    if (of_file.empty() || of_file.size() != own.size() || of_file == own)
      return;  // other sizes are refused with more words
    std::vector<std::string> a = of_file, b = own;
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    throw InputError(fmt::format("{}: the policy has the {} {}, but task {} has {}{}", file, what, list(of_file),
                                 task.name, list(own), a == b ? ": the same in another order" : ""));
  };
  compare("actions", info.action_names, task.action_names);
  compare("observations", info.observation_names, task.observation_names);
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
