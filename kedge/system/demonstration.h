// Making demonstrations, and how well a simulation repeats one.
#pragma once

#include <functional>

#include "kedge/system/task.h"

namespace kedge {

/// Commands the action of step t from the state. @param x [nx]  @param a [da], out  @return false: stop before this step
using Controller = std::function<bool(int t, VectorIn x, VectorOut a)>;

/// Runs a controller on the task's system from `start`: `steps` steps, or fewer if it stops or the simulation diverges.
/// The recorded actions are those that were applied, within the task's limits; the trajectory is an exact solution of the
/// simulator's step.
/// @param start [nx]
Demonstration record(const Task& task, const Controller& controller, VectorIn start, int steps);

/// Largest |f(x_t, a_t) - x_{t+1}| over all entries and steps, f one step of the task's system from x_t with a_t within its
/// limits; infinity if a step diverges.
double replay_error(const Task& task, const Demonstration& demonstration);

}  // namespace kedge
