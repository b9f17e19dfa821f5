// What `of` and the parts of an observation name: quantities as entries of the vectors of a task. Internal to kedge/tasks.
#pragma once

#include <mujoco/mujoco.h>

#include <string>
#include <vector>

#include "kedge/files/toml_value.h"
#include "kedge/mujoco/frame_sensors.h"
#include "kedge/mujoco/model_parts.h"
#include "kedge/system/task.h"
#include "kedge/worlds/world.h"

namespace kedge {

/// The model of a task, with what its world adds to state and sensors; without a world, nothing.
struct Plant {
  const mjModel& model;
  World world;
};

/// Entries of one vector, named by one or more words.
struct Entries {
  Source source = Source::state;
  std::vector<Index> index;
  std::vector<std::string> names;  ///< [index.size()]
  bool needs_action = false;
  MatrixXd matrix;        ///< [n, index.size()] with the differences of "A - B"; empty: there are none
  bool attitude = false;  ///< all of them are the quaternion of a site or a body
};

/// Reads the quantities of a residual, all of one vector. @param actions  those of the task, as pieces of the action
Entries read_quantities(const Value& of, const Plant& plant, const std::vector<Part>& actions);

/// Reads the quantities that a policy sees: entries of [x; y], none of which depends on the control.
Entries read_observed(const Value& parts, const Plant& plant);

/// Reads quantities of the state x.
Entries read_states(const Value& parts, const Plant& plant);

/// Returns whether costs or success name what a control step leads to, "after:..." or "change:...".
bool asks_for_outcome(const Value& root);

/// Returns the sensors that the words of a task file need beside the model's own, each once, in the order of the file.
/// @param model  without them
std::vector<FrameSensor> required_frame_sensors(const Value& root, const mjModel& model);

}  // namespace kedge
