// Values of a task file that are possible, but look as if they had another unit. Internal to kedge/tasks.
#pragma once

#include <mujoco/mujoco.h>

#include <string>
#include <vector>

#include "kedge/files/toml_value.h"
#include "kedge/system/task.h"

namespace kedge {

constexpr double kLongStep = 1.0;  ///< s; between two actions

/// Returns a warning, one line with its place and what to write instead, for each value that looks like degrees, seconds,
/// milliseconds or a thousandth of its unit:
///   horizon        less than a tenth of a second, or more than an hour
///   control_step   one second or more
///   start.qpos     of a hinge or slide, outside of the joint's range
///   start.qpos_spread, target, range, below  of a hinge: more than it can turn, or numbers that only degrees can be
///   actions.limit  that turns a hinge by half a turn, or moves a slide by the model's size, within one control step
///   the model      the range of a hinge: many turns, or less than 6.5 degrees
std::vector<std::string> unit_warnings(const Value& root, const Task& task, const mjModel& model);

/// Returns those of the start alone.
std::vector<std::string> start_warnings(const Value& root, const Task& task, const mjModel& model);

}  // namespace kedge
