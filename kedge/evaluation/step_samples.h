// Rollouts as single steps, for methods that treat every step alike: states, actions, rewards, and which follow each other.
#pragma once

#include <vector>

#include "kedge/core/batch.h"
#include "kedge/evaluation/advantages.h"
#include "kedge/system/task.h"

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
  VectorXd end_cost;              ///< [segments] of the state after the last step, which its reward has in it
  std::vector<char> ended_early;  ///< [segments] 1: the episode ended there, before its time

  [[nodiscard]] Index size() const { return s.cols(); }
};

/// Returns the steps of batches of one task. @param batches of the same observations and actions
StepSamples step_samples(const std::vector<const Batch*>& batches);

/// Discounts the steps that are missing after early ends (`Termination::missing_step`) like steps that are made: takes their costs
/// out of the rewards of the last steps, and returns V after each segment, -missing_step steps_left[t] where it ended early at t, and 0
/// elsewhere. Which of the task's ends it was, its cost says: the nearest one.
/// @param steps_left [T+1] what a cost of 1 in every step from t on is worth at t
/// @param samples of the task; their rewards, in the unit of the cost, are changed  @return [segments]
VectorXd values_after_early_ends(const Task& task, VectorIn steps_left, StepSamples& samples);

/// Takes the costs of the final states out of the rewards of the last steps, but for early ends: where an episode goes on, its next step
/// begins with the final state and has that cost.
/// @param samples their rewards, in the unit of the cost, are changed
void leave_out_final_costs(StepSamples& samples);

/// Returns states with their time as the last entry, t / horizon. @param s [ds, N]  @param step [N]  @return [ds + 1, N]
MatrixXd with_time(MatrixIn s, const std::vector<int>& step, int horizon);

}  // namespace kedge
