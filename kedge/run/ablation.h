// What an observation is good for: the performance of a policy that does not see it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kedge/policy/kinds.h"
#include "kedge/run/evaluate.h"

namespace kedge {

/// Evaluates a policy that sees, in place of some observations, their means at each step over the rollouts of `evaluate` with
/// the same arguments (policy/ablated.h).
/// @param names of observations; none: that is `evaluate`
/// @return nullopt if run.stop was requested before all were done
/// @throws InputError before work starts, if policy and task do not fit together or the task has no observation of a name
/// @throws SystemError if every rollout of the whole policy diverged
std::optional<Evaluation> evaluate_without(const Task& task, const AnyPolicy& policy,
                                           const std::vector<std::string>& names, const EvaluationOptions& options,
                                           const Run& run);

}  // namespace kedge
