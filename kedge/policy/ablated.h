// A policy that does not see some of its observations: an ablation, to find out what they are good for.
#pragma once

#include <memory>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/policy/policy.h"

namespace kedge {

/// pi_t(. | s'), where s' is s with some entries replaced by a given value of that step. Of a linear policy
///   a = K s + k  this is  K (s - m) + (K m + k)  without the gains on the entries of s - m.
/// An initial state by which the policy chooses a controller for the episode is not an observation, and is left as it is.
class AblatedPolicy final : public Policy {
 public:
  /// @param policy is kept  @param entry [E] of s  @param value [E, T]
  AblatedPolicy(std::shared_ptr<const Policy> policy, std::vector<Index> entry, MatrixXd value);

  [[nodiscard]] int horizon() const override { return static_cast<int>(value_.cols()); }
  [[nodiscard]] Index observation_dim() const override { return policy_->observation_dim(); }
  [[nodiscard]] Index action_dim() const override { return policy_->action_dim(); }
  void mean(int t, VectorIn s, VectorOut a) const override { policy_->mean(t, seen(t, s), a); }
  void sample(int t, VectorIn s, Stream& noise, VectorOut a) const override {
    policy_->sample(t, seen(t, s), noise, a);
  }
  [[nodiscard]] double log_prob(int t, VectorIn s, VectorIn a) const override {
    return policy_->log_prob(t, seen(t, s), a);
  }
  [[nodiscard]] std::unique_ptr<Policy> for_episode(VectorIn x0,
                                                    const std::function<InverseDynamics()>& model) const override;

 private:
  [[nodiscard]] VectorXd seen(int t, VectorIn s) const;

  std::shared_ptr<const Policy> policy_;
  std::vector<Index> entry_;
  MatrixXd value_;
};

/// Returns the policy that sees some observations as their means, at each step, over the usable rollouts of a batch.
/// @param entry [E] of s, each in [0, ds)  @param batch of this policy  @throws SystemError if none of its rollouts is usable
AblatedPolicy without_observations(std::shared_ptr<const Policy> policy, std::vector<Index> entry, const Batch& batch);

}  // namespace kedge
