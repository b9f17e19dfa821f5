#include "kedge/algorithms/time_varying.h"

#include <algorithm>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

namespace {

/// The number of one action. @param i in [0, da)
double number_of(const Task& task, const ActionNumbers::Number& number, Index i) {
  constexpr double kHalfRangeIfInfinite = 25.0;  // 20 % of it are 5
  if (!number.share) return number.value;
  const double half = 0.5 * (task.action_high[i] - task.action_low[i]);
  return number.value * (std::isfinite(half) ? half : kHalfRangeIfInfinite);
}

/// Entries that numbers are for.
struct Entries {
  const char* what;  ///< "action"
  const std::vector<std::string>& names;
  Index n;
};

/// @param value  (number, entry) -> the number of that entry  @return [entries]
template <class F>
VectorXd numbers_of(const Task& task, const Entries& entries, const ActionNumbers& numbers, const char* option,
                    const F& value) {
  const auto& [what, names, n] = entries;
  VectorXd all(n);
  const auto size = static_cast<Index>(numbers.number.size());
  if (numbers.name.empty()) {
    if (size != 1 && size != n)
      throw InputError(
          fmt::format("{} = {} has {} numbers, but must have one, or one for each of the {} {}s of task {}: {}", option,
                      to_string(numbers), size, n, what, task.name, list(names)));
    for (Index i = 0; i < n; ++i) all[i] = value(numbers.number[size == 1 ? 0 : static_cast<std::size_t>(i)], i);
    return all;
  }
  std::vector<char> given(static_cast<std::size_t>(n), 0);
  for (std::size_t k = 0; k < numbers.name.size(); ++k) {
    const auto found = std::find(names.begin(), names.end(), numbers.name[k]);
    if (found == names.end())
      throw InputError(fmt::format("{} = {}: task {} has no {} \"{}\"{}", option, to_string(numbers), task.name, what,
                                   one_line(numbers.name[k], 60), hint(numbers.name[k], names)));
    const auto i = found - names.begin();
    all[i] = value(numbers.number[k], i);
    given[static_cast<std::size_t>(i)] = 1;
  }
  for (Index i = 0; i < n; ++i)
    if (!given[static_cast<std::size_t>(i)])
      throw InputError(fmt::format("{} = {} has no number for the {} \"{}\" of task {}", option, to_string(numbers),
                                   what, names[static_cast<std::size_t>(i)], task.name));
  return all;
}

}  // namespace

VectorXd action_numbers(const Task& task, const ActionNumbers& numbers, const char* option) {
  return numbers_of(task, {"action", task.action_names, task.da()}, numbers, option,
                    [&](const ActionNumbers::Number& number, Index i) { return number_of(task, number, i); });
}

VectorXd observation_numbers(const Task& task, const ActionNumbers& numbers, const char* option) {
  return numbers_of(task, {"observation", task.observation_names, task.ds()}, numbers, option,
                    [&](const ActionNumbers::Number& number, Index) {
                      if (number.share)
                        throw InputError(fmt::format("{} = {}: a share has no meaning, observations have no range",
                                                     option, to_string(numbers)));
                      return number.value;
                    });
}

TvLinearGaussian first_policy(const Task& task, const ActionNumbers& initial_std) {
  validate(task);
  return TvLinearGaussian::constant(task.horizon, task.ds(), task.resting_action(),
                                    action_numbers(task, initial_std, "initial_std"));
}

void take_means(const TvLinearGaussian& from, TvLinearGaussian& policy) {
  if (from.horizon() != policy.horizon() || from.observation_dim() != policy.observation_dim() ||
      from.action_dim() != policy.action_dim())
    throw InputError(fmt::format(
        "the policy to start from has {} steps, {} observations and {} actions, but must have {}, {} and {}",
        from.horizon(), from.observation_dim(), from.action_dim(), policy.horizon(), policy.observation_dim(),
        policy.action_dim()));
  for (int t = 0; t < policy.horizon(); ++t) {
    policy[t].K = from[t].K;
    policy[t].k = from[t].k;
  }
}

void follow_demonstration(const Task& task, TvLinearGaussian& policy) {
  if (!task.demonstration)
    throw InputError(fmt::format("initial_mean = demonstration, but the task {} has no [demonstration]", task.name));
  for (int t = 0; t < task.demonstration->steps(); ++t) policy[t].k = task.demonstration->action.col(t);
}

void require_fit(const Task& task, const LoopState& state, const TvLinearGaussian& policy, const Window& window) {
  validate(task);
  require(state.iteration >= 0, "state iteration", state.iteration, ">= 0");
  const auto fits = [&](const TvLinearGaussian& p) {
    return p.horizon() == task.horizon && p.observation_dim() == task.ds() && p.action_dim() == task.da();
  };
  bool ok = fits(policy);
  for (const Epoch& epoch : window) {
    const Batch& batch = epoch.batch;
    ok = ok && epoch.iteration < state.iteration && fits(epoch.policy) && batch.horizon == task.horizon &&
         batch.observation.rows() == task.ds() && batch.action.rows() == task.da() &&
         batch.terms.rows() == static_cast<Index>(task.cost.size()) &&
         epoch.rho.size() == static_cast<std::size_t>(task.horizon);
    for (const Gaussian& rho : epoch.rho) ok = ok && rho.dim() == task.ds();
  }
  if (!ok)
    throw InputError(
        fmt::format("the policy or the stored rollouts do not fit the task {}: horizon {}, {} observations, {} actions",
                    task.name, task.horizon, task.ds(), task.da()));
}

Window with_newest(const Window& past, int iteration, const TvLinearGaussian& policy, Batch batch, int most) {
  Window window = past;
  window.push_back({iteration, policy, {}, std::move(batch)});
  while (static_cast<int>(window.size()) > most) window.pop_front();
  return window;
}

Ending without_distribution(const Batch& batch) {
  const std::string why = divergence_text(batch);
  return failure(
      fmt::format("the states cannot be described by a Gaussian: {} of {} rollouts are usable, the others diverged{}",
                  usable_rollouts(batch), batch.rollouts, why.empty() ? "" : ": " + why));
}

}  // namespace kedge
