#include "kedge/algorithms/time_varying.h"

#include "kedge/core/errors.h"

namespace kedge {

TvLinearGaussian first_policy(const Task& task, double initial_std) {
  validate(task);
  return TvLinearGaussian::constant(task.horizon, task.ds(), task.resting_action(),
                                    VectorXd::Constant(task.da(), initial_std));
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
  return failure(
      fmt::format("the states cannot be described by a Gaussian: {} of {} rollouts are usable, the others diverged",
                  usable_rollouts(batch), batch.rollouts));
}

}  // namespace kedge
