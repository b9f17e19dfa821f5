// Shared building blocks for algorithms that learn a time-varying linear-Gaussian policy.
#pragma once

#include "kedge/algorithms/loop.h"
#include "kedge/core/option.h"
#include "kedge/core/outcome.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// Returns the numbers of a task's actions. A share is of half the range of the action; where a limit is infinite, of
/// 5 / (the default share), so that the default is 5 there.
/// @param option its name, for messages  @return [da]
/// @throws InputError if there is not one for each action, or a name is not that of an action
VectorXd action_numbers(const Task& task, const ActionNumbers& numbers, const char* option);

/// Returns the numbers of a task's observations.
/// @param option its name, for messages  @return [ds]
/// @throws InputError as action_numbers, and if a number is a share
VectorXd observation_numbers(const Task& task, const ActionNumbers& numbers, const char* option);

/// Returns K = 0, k = middle of the action limits (0 where they are infinite), Sigma = diag(initial_std^2).
/// @throws InputError if the task is not valid, or as action_numbers
TvLinearGaussian first_policy(const Task& task, const ActionNumbers& initial_std);

/// Gives a policy the mean actions of another one, K and k of every step. It keeps its covariance.
/// @throws InputError if horizon, observations or actions differ
void take_means(const TvLinearGaussian& from, TvLinearGaussian& policy);

/// Puts the actions of the task's demonstration in place of k, step by step; after its end k stays.
/// @throws InputError if the task has none
void follow_demonstration(const Task& task, TvLinearGaussian& policy);

/// Checks a state. @throws InputError if task, policy and stored rollouts do not fit together
void require_fit(const Task& task, const LoopState& state, const TvLinearGaussian& policy, const Window& window);

/// Returns `past` with one more epoch, of at most `most` epochs in total. @param batch [usable >= 0] rollouts of `policy`
Window with_newest(const Window& past, int iteration, const TvLinearGaussian& policy, Batch batch, int most);

/// Returns the failure of a state distribution that cannot be estimated.
Ending without_distribution(const Batch& batch);

}  // namespace kedge
