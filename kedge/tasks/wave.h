// A travelling wave through a chain of joints: swimming, held by a spring and a damper in each joint.
#pragma once

#include <vector>

#include "kedge/mujoco/model_parts.h"
#include "kedge/system/demonstration.h"

namespace kedge {

/// Joint i of the chain follows  amplitude min(1, t / ramp) sin(2 pi frequency t - lag i).
struct WaveOptions {
  double amplitude = 0.8;   ///< rad (m for slides), > 0
  double frequency = 1.5;   ///< 1/s, > 0
  double lag = 1.5;         ///< rad from one joint to the next; > 0: the wave runs from the first joint to the last
  double ramp = 0.5;        ///< s, > 0: time to full amplitude
  double stiffness = 40.0;  ///< N m/rad, > 0
  double damping = 2.0;     ///< N m s/rad, >= 0
};

/// Returns a controller with the torques  stiffness (target - q) - damping dq/dt  of the wave.
/// @param motors [da] of the actions, in their order along the chain  @param control_step s
DemonstrationLaw wave(std::vector<Motor> motors, const WaveOptions& options, double control_step);

}  // namespace kedge
