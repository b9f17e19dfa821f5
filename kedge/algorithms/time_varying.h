// Shared building blocks for algorithms that learn a time-varying linear-Gaussian policy.
#pragma once

#include "kedge/algorithms/loop.h"
#include "kedge/core/outcome.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// Returns K = 0, k = middle of the action limits (0 where they are infinite), Sigma = initial_std^2 I.
/// @throws InputError if the task is not valid
TvLinearGaussian first_policy(const Task& task, double initial_std);

/// Checks a state. @throws InputError if task, policy and stored rollouts do not fit together
void require_fit(const Task& task, const LoopState& state, const TvLinearGaussian& policy, const Window& window);

/// Returns `past` with one more epoch, of at most `most` epochs in total. @param batch [usable >= 0] rollouts of `policy`
Window with_newest(const Window& past, int iteration, const TvLinearGaussian& policy, Batch batch, int most);

/// Returns the failure of a state distribution that cannot be estimated.
Ending without_distribution(const Batch& batch);

}  // namespace kedge
