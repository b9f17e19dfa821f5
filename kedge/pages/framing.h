// Where a motion is looked at from: a camera of the model, or one that has all that moves in its picture.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kedge/mujoco/scene.h"
#include "kedge/pages/picture.h"

namespace kedge {

/// Poses of the bodies over a rollout: [steps, bodies - 1, 7], see `body_poses`.
using Motion = std::vector<float>;

/// How a motion is looked at.
struct Framing {
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();  ///< m, middle of all that moves, and of what stands near it
  double radius = 1.0;  ///< m, of the ball around it that the camera must have in its picture
  Eigen::Vector3d direction = -Eigen::Vector3d::UnitY();  ///< from the centre to the eye, of unit length
  bool follows = false;  ///< the robot travels: the ball holds the robot alone, and goes along with it
  int camera = -1;       ///< of the scene, which is used instead; -1: none
};

/// Returns the number of a camera; -1 for "". @throws InputError if the model has none of this name
int find_camera(const Scene& scene, const std::string& name);

/// Chooses how to look at `motions`: at the balls around the shapes of all bodies that move, planes and height fields left
/// out. The view is from the side and a little above; along x where nothing moves along x; from above where all is flat.
/// The model's own camera comes first: the first one that has the whole motion in its picture, or tracks a body.
/// Sets the centre and the extent of the scene to what is looked at.
/// @param motions  at least one, of at least one step
/// @param camera   number of a camera of the scene, which is used; -1: chosen as above
Framing frame_motion(Scene& scene, const std::vector<Motion>& motions, int camera);

/// Returns the mean place of the bodies at one moment. @param poses [bodies - 1, 7]
Eigen::Vector3d middle(std::span<const float> poses);

/// Returns where the camera is at one moment. @param poses [bodies - 1, 7]
Viewpoint viewpoint(const Scene& scene, const Framing& framing, std::span<const float> poses);

}  // namespace kedge
