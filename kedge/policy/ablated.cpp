#include "kedge/policy/ablated.h"

#include <cassert>

#include "kedge/core/errors.h"

namespace kedge {

AblatedPolicy::AblatedPolicy(std::shared_ptr<const Policy> policy, std::vector<Index> entry, MatrixXd value)
    : policy_(std::move(policy)), entry_(std::move(entry)), value_(std::move(value)) {
  assert(value_.rows() == static_cast<Index>(entry_.size()) && value_.cols() <= policy_->horizon());
}

VectorXd AblatedPolicy::seen(int t, VectorIn s) const {
  VectorXd seen = s;
  seen(entry_) = value_.col(t);
  return seen;
}

std::unique_ptr<Policy> AblatedPolicy::for_episode(VectorIn x0, const std::function<InverseDynamics()>& model) const {
  std::shared_ptr<const Policy> own = policy_->for_episode(x0, model);
  if (!own) return nullptr;
  return std::make_unique<AblatedPolicy>(std::move(own), entry_, value_);
}

AblatedPolicy without_observations(std::shared_ptr<const Policy> policy, std::vector<Index> entry, const Batch& batch) {
  if (usable_rollouts(batch) == 0)
    throw SystemError(
        "numerical failure: no observation has a mean that could take its place, every rollout of the policy diverged");
  MatrixXd value(static_cast<Index>(entry.size()), batch.horizon);
  for (int t = 0; t < batch.horizon; ++t) value.col(t) = observations_at(batch, t).rowwise().mean()(entry);
  return AblatedPolicy(std::move(policy), std::move(entry), std::move(value));
}

}  // namespace kedge
