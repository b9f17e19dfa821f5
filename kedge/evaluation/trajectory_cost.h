// Quadratic models of the declared costs of a task along a trajectory, as functions of full state and action.
#pragma once

#include <vector>

#include "kedge/evaluation/linearisation.h"
#include "kedge/math/lq.h"

namespace kedge {

/// Returns the sum of the active cost terms of every step around (x_t, a_t), in tangent coordinates; at t = T of the
/// state alone. A residual r of the state is linear in it (in dx by the tangent map), one of an action or control
/// linear in du, one of sensors by C and D of the linearisation; norms are expanded to second order, |r| with its sign
/// and no curvature. So the models are exact for quadratic norms of states (without quaternions) and actions, else
/// Gauss-Newton: Hxx, Huu and their joint matrix are positive semidefinite. A control beyond its limits does not move
/// with its action.
/// @param x [nx, T+1]  @param a [da, T]  @param y [ny, T+1] sensors of the trajectory
/// @return [T+1]
std::vector<StageCost> trajectory_cost(const Task& task, MatrixIn x, MatrixIn a, MatrixIn y, const Linearisation& lin,
                                       int threads);

/// Checks that the model of the cost is curved by every action, as far as the task alone can tell: by a cost of the action
/// or its control, quadratic or smooth, at some step; at the last step by that or by a curved cost of the final state. Without
/// it Quu is singular, at the latest where an action beyond its limits moves nothing.
/// @param within_limits actions never leave their limits, so that curved costs of later states are enough
/// @throws InputError naming the action, the step and what to add
void require_action_costs(const Task& task, bool within_limits);

}  // namespace kedge
