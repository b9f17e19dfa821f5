// SIMBICON (Yin, Loken, van de Panne 2007), "simple biped locomotion control", in the plane: a walk as a machine of four
// phases, each with target angles that springs and dampers hold, and feedback from the centre of mass to the swing hip.
//
// Phases 0 and 1 stand on the left leg, 2 and 3 are their mirror images. The swing leg is lifted for a fixed time, then
// put down until its foot strikes:
//
//   0 --dwell--> 1 --right foot strikes--> 2 --dwell--> 3 --left foot strikes--> 0
//
// Torso and swing hip are held in world angles, so that the body stays upright whatever the stance leg does:
//
//   tau = stiffness (target - angle) - damping d(angle)/dt,     target of the swing hip = target_0 + c_d d + c_v v,
//
// d the distance from the stance ankle to the centre of mass along x, v the latter's velocity. The stance hip carries
// both: tau_stance = -tau_torso - tau_swing. Knees and ankles are springs; their damping belongs to the model's joints,
// where the simulator integrates it implicitly (explicit damping diverges on light feet).
#pragma once

#include <mujoco/mujoco.h>

#include <array>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/mujoco/model_parts.h"
#include "kedge/system/demonstration.h"

namespace kedge {

/// Targets of one phase, rad. Angles grow from +x to +z: a hip > 0 puts the leg forward, a knee < 0 is bent, an ankle > 0
/// lifts the toe, a torso > 0 leans back.
struct SimbiconTargets {
  double position_feedback;  ///< c_d, rad/m
  double velocity_feedback;  ///< c_v, rad s/m
  double torso;              ///< world
  double swing_hip;          ///< world
  double swing_knee, swing_ankle, stance_knee, stance_ankle;
};

struct SimbiconGait {
  const char* name;
  double dwell;           ///< s in phases 0 and 2
  SimbiconTargets lift;   ///< phases 0 and 2
  SimbiconTargets place;  ///< phases 1 and 3
};

/// Returns the gaits that have a name. On the bundled walker all of them walk, high_step with a damping of 20 only.
const std::vector<SimbiconGait>& simbicon_gaits();

struct SimbiconOptions {
  SimbiconGait gait;            ///< one of `simbicon_gaits`, or another
  double stiffness = 100.0;     ///< N m/rad, > 0
  double damping = 10.0;        ///< N m s/rad of torso and swing hip, >= 0
  double torque_limit = 333.0;  ///< N m, > 0, every joint
  double start_speed = 0.3;     ///< m/s
  int skip = 300;               ///< control steps that are walked before the demonstration, >= 0: the gait settles
  double after_strike = 0.1;    ///< s from the last strike of the left foot to the demonstration's first state, >= 0
};

/// A planar biped: the parts of a model that the controller uses, by name. Joints root_x, root_z (slides), root_pitch,
/// and a motor on each of left_hip, left_knee, left_ankle, right_hip, right_knee, right_ankle (hinges that grow from +x
/// to +z); the ankles are at the origins of their bodies, the feet, which stand on spheres. The ground is z = 0.
struct SimbiconBody {
  struct Leg {
    std::array<Index, 3> action;  ///< entries of the action: hip, knee, ankle
    std::array<Motor, 3> motor;
    int foot = -1;  ///< body
  };
  Leg left, right;
  Index x = -1, z = -1, pitch = -1;  ///< entries of the state that belong to the root
  Index x_velocity = -1, pitch_velocity = -1;
};
/// Finds the parts of a planar biped in a model. @param motors [da] motors of the actions
/// @throws InputError naming the missing part
SimbiconBody simbicon_body(const mjModel& model, const std::vector<Motor>& motors);

/// Returns a walk of T steps that begins `after_strike` seconds after a strike of the left foot, with root_x = 0.
/// @param task    of `body`'s model: system, control step, actions and limits are read
/// @param stop    polled before every control step
/// @throws InputError if the body falls, or stops taking steps
/// @throws Cancelled if a stop is requested
Demonstration simbicon_walk(const Task& task, std::shared_ptr<const mjModel> model, const SimbiconBody& body,
                            const SimbiconOptions& options, int steps, const std::stop_token& stop = {});

}  // namespace kedge
