#include "kedge/algorithms/training.h"

#include "kedge/core/errors.h"

namespace kedge {

TrainingState training_start(const Task& task, double initial_std) {
  validate(task);
  TrainingState state;
  state.policy = TvLinearGaussian::constant(task.horizon, task.ds(), task.resting_action(),
                                            VectorXd::Constant(task.da(), initial_std));
  return state;
}

void require_fit(const Task& task, const TrainingState& state, const std::vector<std::string>& numbers) {
  validate(task);
  require(state.iteration >= 0, "state iteration", state.iteration, ">= 0");
  const auto fits = [&](const TvLinearGaussian& policy) {
    return policy.horizon() == task.horizon && policy.observation_dim() == task.ds() &&
           policy.action_dim() == task.da();
  };
  const auto* policy = std::get_if<TvLinearGaussian>(&state.policy);
  bool ok = policy && fits(*policy);
  for (const Epoch& epoch : state.window) {
    const Batch& batch = epoch.batch;
    ok = ok && fits(epoch.policy) && batch.horizon == task.horizon && batch.observation.rows() == task.ds() &&
         batch.action.rows() == task.da() && batch.terms.rows() == static_cast<Index>(task.cost.size()) &&
         epoch.rho.size() == static_cast<std::size_t>(task.horizon);
    for (const Gaussian& rho : epoch.rho) ok = ok && rho.dim() == task.ds();
  }
  if (!ok)
    throw InputError(
        fmt::format("the policy or the stored rollouts do not fit the task {}: horizon {}, {} observations, {} actions",
                    task.name, task.horizon, task.ds(), task.da()));
  bool known = state.numbers.size() == numbers.size();
  for (std::size_t i = 0; known && i < numbers.size(); ++i) known = state.numbers[i].first == numbers[i];
  if (!known)
    throw InputError(fmt::format("the state has {} numbers of its algorithm, but must have: {}", state.numbers.size(),
                                 numbers.empty() ? "none" : fmt::format("{}", fmt::join(numbers, ", "))));
}

const MatrixXd& matrix(const TrainingState& state, const std::string& name) {
  for (const NamedMatrix& m : state.matrices)
    if (m.name == name) return m.value;
  throw InputError(fmt::format("the state has no matrix {}: it belongs to another algorithm", name));
}

}  // namespace kedge
