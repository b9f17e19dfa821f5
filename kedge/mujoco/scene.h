// The looks of a model as plain data, for pages and pictures, which do not depend on MuJoCo.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kedge/core/types.h"
#include "kedge/mujoco/mujoco_system.h"

namespace kedge {

enum class Shape { plane, height_field, sphere, capsule, ellipsoid, cylinder, box, mesh };
const char* to_string(Shape shape);

struct SceneShape {
  Shape shape = Shape::sphere;
  int body = 0;                      ///< body that it moves with; 0: the world
  std::array<double, 3> size{};      ///< m, as in MJCF: half-lengths, or radius and half-length; a plane: half-lengths,
                                     ///< 0: without end
  std::array<double, 3> position{};  ///< in the body's frame, m
  std::array<double, 4> rotation{1, 0, 0, 0};  ///< in the body's frame: unit quaternion w, x, y, z
  std::array<float, 4> colour{};               ///< red, green, blue, opacity in [0, 1]
  float shininess = 0.5F, specular = 0.5F;     ///< [0, 1]
  int data = -1;                               ///< index of its mesh or height field; -1: none
  int texture = -1;                            ///< index of the texture of a plane; -1: none, the colour is `colour`
  std::array<float, 2> repeat{1, 1};  ///< repeats of the texture along each side, or in each metre if `uniform`
  bool uniform = false;
};

struct SceneMesh {
  std::vector<float> vertices;       ///< [n, 3] m
  std::vector<std::uint32_t> faces;  ///< [m, 3] counter-clockwise from outside
};

struct SceneHeightField {
  int rows = 0, columns = 0;
  std::array<double, 4> size{};  ///< half-length in x, half-length in y, height of 1, depth of the base; m
  std::vector<float> heights;    ///< [rows, columns] in [0, 1], rows along y
};

/// A picture, made small if it was large: at most 128 pixels a side.
struct SceneTexture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  ///< [height, width, 3]
};

struct SceneLight {
  int body = 0;
  bool directional = false;
  std::array<double, 3> position{}, direction{};  ///< in the body's frame
  std::array<float, 3> diffuse{}, ambient{};      ///< [0, 1]
  bool shadow = false;
};

struct SceneCamera {
  std::string name;
  int body = 0;
  int target = -1;              ///< body that it looks at; -1: none
  bool turns_with_body = true;  ///< else it keeps its orientation and only moves with the body
  std::array<double, 3> position{};
  std::array<double, 4> rotation{1, 0, 0, 0};  ///< it looks along -z, y is up
  double field = 45.0;                         ///< vertical field of view, degrees
};

struct SceneBody {
  std::string name;
  int parent = 0;
};

/// Shapes, lights and cameras of a model as MuJoCo's own viewer shows them at first: geoms and sites of the groups 0 to 2.
/// Textures are kept on planes; elsewhere their mean colour stands for them. Without tendons, skins and skies.
struct Scene {
  std::vector<SceneBody> bodies;  ///< 0 is the world
  std::vector<SceneShape> shapes;
  std::vector<SceneMesh> meshes;
  std::vector<SceneHeightField> height_fields;
  std::vector<SceneTexture> textures;
  std::vector<SceneLight> lights;  ///< without the one at the camera:
  std::array<float, 3> headlight_ambient{}, headlight_diffuse{};
  std::vector<SceneCamera> cameras;
  std::array<double, 3> centre{};  ///< centre of the model, m
  double extent = 1.0;             ///< its size, m
};

Scene scene(const MujocoSystem& system);

/// Returns the poses of the bodies.
/// @param states [nx, n]
/// @return [n, bodies - 1, 7]: position in m, then unit quaternion w, x, y, z; without the world
/// @throws SystemError if MuJoCo fails
std::vector<float> body_poses(const MujocoSystem& system, MatrixIn states);

/// Returns the centre of mass of all bodies.
/// @param states [nx, n]
/// @return [3, n] m
/// @throws SystemError if MuJoCo fails
MatrixXd centres_of_mass(const MujocoSystem& system, MatrixIn states);

}  // namespace kedge
