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

}  // namespace kedge
