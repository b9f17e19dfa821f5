// The named parts of a MuJoCo model, and their places in its vectors. Internal to kedge/mujoco.
#pragma once

#include <mujoco/mujoco.h>

#include <optional>
#include <string>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// A named piece of one of the model's vectors: entries first ... first + size - 1.
struct Part {
  std::string name;  ///< an object without a name goes by its number
  Index first = 0;
  Index size = 0;
};

std::vector<Part> positions(const mjModel& m);    ///< the joints, as pieces of qpos
std::vector<Part> velocities(const mjModel& m);   ///< the joints, as pieces of qvel
std::vector<Part> quaternions(const mjModel& m);  ///< the joints' quaternions, as pieces of qpos
std::vector<Part> actuators(const mjModel& m);    ///< as pieces of ctrl
std::vector<Part> activations(const mjModel& m);  ///< actuators with an activation, as pieces of act
std::vector<Part> sensors(const mjModel& m);      ///< as pieces of sensordata

const Part* find(const std::vector<Part>& parts, const std::string& name);
std::vector<std::string> names(const std::vector<Part>& parts);

/// Returns the hinge or slide joint that an actuator drives; -1: none. @param actuator its name, of `actuators(m)`
Index driven_joint(const mjModel& m, const std::string& actuator);

/// An actuator that is a motor: its control is, but for a factor, the torque or force on one hinge or slide joint.
struct Motor {
  std::string joint;
  Index q = 0, v = 0;  ///< the joint's entries of the state x = [qpos, qvel, act]
  double gear = 1.0;   ///< torque = gear * control, not 0
};
/// Returns the motor of an actuator; nullopt if it is not a motor. @param actuator its name, of `actuators(m)`
std::optional<Motor> motor(const mjModel& m, const std::string& actuator);

}  // namespace kedge
