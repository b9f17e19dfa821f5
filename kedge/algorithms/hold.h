// A controller that outlives its horizon: a time-varying linear policy goes on as the regulator of a rest.
//
// The rest is the fixed point x* = f(x*, a*) of least cost near the end of the noiseless trajectory from the middle of the
// start: minimise q(x, a) subject to f(x, a) = x, by Newton steps on the local models (derivatives by finite differences,
// costs to second order) that iLQR uses. There the cost's gradient is balanced by the constraint's multipliers, and the
// infinite-horizon linear-quadratic regulator (update/stationary_lqr.h) has no offset: a = a* + K (x (-) x*).
#pragma once

#include "kedge/core/run.h"
#include "kedge/policy/kinds.h"
#include "kedge/system/task.h"

namespace kedge {

/// Returns the task with more control steps. A held step costs what the task's last step and its final state cost: the terms that
/// are active there. Success is measured over the held time, the final state included.
/// @param steps >= 1, held
Task held_task(const Task& task, int steps);

/// Returns the policy for `held_task`. Networks without a clock and policies that are the same at every step go on as they are. Any
/// other time-varying linear policy goes on as the regulator of the rest at which its trajectory ends; the noise of these
/// steps is that of its last step.
/// @param policy of the task  @param steps >= 1, held  @param run  only `threads` and `stop` count
/// @throws InputError that names the cause, where there is no such policy: its end is a part of it (movements, networks that see the
/// time), it does not see the whole state, there is no rest near the end or it is none that actions within their limits hold,
/// the regulator does not exist, or it does not lead to the rest from where the trajectory ends
/// @throws Cancelled
AnyPolicy held_policy(const Task& task, const AnyPolicy& policy, int steps, const Run& run);

}  // namespace kedge
