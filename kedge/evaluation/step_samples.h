// Rollouts as single steps, for methods that treat every step alike: states, actions, rewards, and which follow each other.
#pragma once

#include <vector>

#include "kedge/core/batch.h"
#include "kedge/evaluation/advantages.h"

namespace kedge {

/// N steps of usable rollouts, rollout by rollout.
struct StepSamples {
  MatrixXd s;                     ///< [ds, N] observations
  std::vector<int> step;          ///< [N] t
  MatrixXd a;                     ///< [da, N] actions
  VectorXd reward;                ///< [N] minus the cost; that of the final state belongs to the last step
  std::vector<Segment> segments;  ///< one a rollout; end_value is not set
  MatrixXd end;                   ///< [ds, segments] observations after the last step
  std::vector<int> end_step;      ///< [segments] their t
  std::vector<char> ended_early;  ///< [segments] 1: the episode ended there, before its time

  [[nodiscard]] Index size() const { return s.cols(); }
};

/// Returns the steps of batches of one task. @param batches of the same observations and actions
StepSamples step_samples(const std::vector<const Batch*>& batches);

/// Returns states with their time as the last entry, t / horizon. @param s [ds, N]  @param step [N]  @return [ds + 1, N]
MatrixXd with_time(MatrixIn s, const std::vector<int>& step, int horizon);

}  // namespace kedge
