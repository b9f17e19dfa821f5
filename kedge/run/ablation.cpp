#include "kedge/run/ablation.h"

#include <algorithm>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/policy/ablated.h"

namespace kedge {

std::optional<Evaluation> evaluate_without(const Task& task, const AnyPolicy& policy,
                                           const std::vector<std::string>& names, const EvaluationOptions& options,
                                           const Run& run) {
  std::vector<Index> entry;
  for (const std::string& name : names) {
    const auto at = std::ranges::find(task.observation_names, name);
    if (at == task.observation_names.end())
      throw InputError(fmt::format("--without {}: task {} has no such observation{}", one_line(name), task.name,
                                   hint(name, task.observation_names)));
    entry.push_back(at - task.observation_names.begin());
  }

  auto whole = evaluate(task, as_policy(policy), options, run);
  if (entry.empty() || !whole) return whole;
  const auto kept = std::make_shared<const AnyPolicy>(policy);
  const std::shared_ptr<const Policy> shared(kept, &as_policy(*kept));
  return evaluate(task, without_observations(shared, std::move(entry), whole->batch), options, run);
}

}  // namespace kedge
