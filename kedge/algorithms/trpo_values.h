// V of the samples of TRPO, and of what follows them: after early ends, cuts and the time limit.
#pragma once

#include "kedge/algorithms/trpo.h"
#include "kedge/core/outcome.h"
#include "kedge/evaluation/step_samples.h"

namespace kedge {

/// Returns what a cost of 1 in every step from t on is worth at t, t = 0 ... T: sum_k gamma^k over the T - t steps that are left, or over
/// all of an episode that goes on after T. @return [T+1]
VectorXd worth_of_steps_left(const Task& task, const TrpoOptions& options);

/// Brings the rewards to the scale that is learned from, without what V of the states after the last steps has in it: missing steps and,
/// where the time limit is a cut, the costs of the final states.
/// @param samples of the task; their rewards are changed  @return [segments] V after early ends, in the scaled unit; 0 elsewhere
VectorXd scaled_rewards(const Task& task, const TrpoOptions& options, StepSamples& samples);

/// Returns V where each step that is left costs `usual_cost`, in the scaled reward's unit. A value network learns how V differs from it.
/// @param step [N] t  @return [N]
VectorXd usual_values(const Task& task, const std::vector<int>& step, const TrpoOptions& options);

/// V at every sample and after the last step of every segment, in the scaled reward's unit.
struct Values {
  VectorXd at_samples;  ///< [N]
  VectorXd at_ends;     ///< [segments] 0 after T steps, unless the time limit is a cut
};

/// Evaluates the policy at the samples. A quadratic V is fitted to `whole`, the rollouts of T steps.
/// @param after_early_ends [segments] V where episodes ended early
/// @return the values, or why there are none
Outcome<Values> evaluated(const Task& task, const TrpoState& state, const Batch& whole, const StepSamples& samples,
                          const VectorXd& after_early_ends, const TrpoOptions& options, int threads);

}  // namespace kedge
