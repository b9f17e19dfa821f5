// The guide as a policy over the full state: for rollouts of the guide, and for their density.
#pragma once

#include <vector>

#include "kedge/policy/policy.h"
#include "kedge/policy/trajectory_policy.h"
#include "kedge/system/task.h"

namespace kedge {

/// pi_t(a | x) = N(a_t + K_t (x (-) x_t), Sigma_t). The observation is the whole state.
class GuidePolicy final : public Policy {
 public:
  /// @param task, q outlive the policy; every Sigma_t is positive definite
  GuidePolicy(const Task& task, const TrajectoryPolicy& q);

  [[nodiscard]] int horizon() const override { return q_.horizon(); }
  [[nodiscard]] Index observation_dim() const override { return task_.nx(); }
  [[nodiscard]] Index action_dim() const override { return task_.da(); }
  void mean(int t, VectorIn x, VectorOut a) const override;
  void sample(int t, VectorIn x, Stream& noise, VectorOut a) const override;
  [[nodiscard]] double log_prob(int t, VectorIn x, VectorIn a) const override;

 private:
  const Task& task_;
  const TrajectoryPolicy& q_;
  std::vector<Eigen::LLT<MatrixXd>> factors_;
};

}  // namespace kedge
