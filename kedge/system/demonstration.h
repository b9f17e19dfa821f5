// Demonstrations: recording one from a controller, and measuring how well the simulation repeats one.
#pragma once

#include <functional>

#include "kedge/system/task.h"

namespace kedge {

/// Commands the action of step t from the state. @param x [nx]  @param a [da], out  @return false to stop before this step
using DemonstrationLaw = std::function<bool(int t, VectorIn x, VectorOut a)>;

/// Runs a controller on the task's system from `start`: `steps` steps, or fewer if it stops, its action is not finite
/// or the simulation diverges. The recorded actions are those applied, within the task's limits, so that every recorded
/// state follows exactly from the one before.
/// @param start [nx]  @param steps in [0, T]
Demonstration record(const Task& task, const DemonstrationLaw& controller, VectorIn start, int steps);

/// Returns the largest |f(x_t, a_t) - x_{t+1}| over all entries and steps, where f is one step of the task's system
/// from x_t with a_t within its limits; infinity if a step diverges.
double replay_error(const Task& task, const Demonstration& demonstration);

}  // namespace kedge
