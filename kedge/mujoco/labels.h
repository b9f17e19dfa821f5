// What the entries of a model's vectors are called on an axis of a plot, and in which unit they are.
#pragma once

#include <string>
#include <vector>

#include "kedge/mujoco/mujoco_system.h"

namespace kedge {

struct Label {
  std::string text;
  std::string unit;  ///< SI; "": none, or unknown

  bool operator==(const Label&) const = default;
};

/// Returns the labels of the state [qpos, qvel, act]: "knee" in rad, "knee velocity" in rad/s; the entries of a free joint
/// are called x, y, z (in the world) and qw, qx, qy, qz. @return [nx]
std::vector<Label> state_labels(const MujocoSystem& system);

/// Returns the labels of the controls. Only motors of gear 1 and position and velocity servos on one joint have a known
/// unit. @return [nu]
std::vector<Label> control_labels(const MujocoSystem& system);

/// Returns the labels of the sensors' entries. @return [nsensor]
std::vector<Label> sensor_labels(const MujocoSystem& system);

}  // namespace kedge
