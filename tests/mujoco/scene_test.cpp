#include "kedge/mujoco/scene.h"

#include <gmock/gmock.h>
#include <mujoco/mujoco.h>

#include <cmath>

#include "kedge/mujoco/load_model.h"
#include "kedge/tasks/task_file.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

// Every shape; materials, a texture, groups, a camera, lights.
constexpr const char* kModel = R"(
<mujoco>
  <asset>
    <texture name="checks" type="2d" builtin="checker" rgb1="1 0 0" rgb2="0 0 1" width="300" height="300"/>
    <texture name="grey" type="cube" builtin="flat" rgb1="0.5 0.5 0.5" width="8" height="8"/>
    <material name="floor" texture="checks" texrepeat="3 4" texuniform="true"/>
    <material name="skin" texture="grey" rgba="1 0.5 0 1" shininess="0.25" specular="0.75"/>
    <mesh name="wedge" vertex="0 0 0  1 0 0  0 1 0  0 0 1  1 1 1"/>
    <hfield name="hill" nrow="3" ncol="4" size="2 1 0.5 0.1"/>
  </asset>
  <worldbody>
    <light pos="0 0 5" dir="0 0 -1" directional="true" diffuse="0.25 0.5 0.75"/>
    <camera name="side" pos="1 2 3" fovy="30"/>
    <geom type="plane" size="0 0 1" material="floor"/>
    <geom type="hfield" hfield="hill" pos="0 0 -3"/>
    <geom type="box" size="1 1 1" group="4"/>
    <body name="b" pos="0 0 2">
      <joint name="turn" type="hinge" axis="0 1 0"/>
      <geom type="sphere" size="0.1" material="skin"/>
      <geom type="capsule" size="0.1 0.2" rgba="0 1 0 0.5"/>
      <geom type="ellipsoid" size="0.1 0.2 0.3"/>
      <geom type="cylinder" size="0.1 0.2"/>
      <geom type="box" size="0.1 0.2 0.3" pos="0 0 1" euler="0 0 90"/>
      <geom type="mesh" mesh="wedge"/>
      <site name="tip" pos="0 0 1" size="0.05" rgba="1 1 0 1"/>
      <body name="c" pos="0 0 1"><joint name="free" type="ball"/><geom type="sphere" size="0.1" rgba="0 0 0 0"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="turn"/></actuator>
</mujoco>)";

MujocoSystem load(const TemporaryFolder& folder) {
  const LoadedModel loaded = load_mujoco_model(folder.write("m.xml", kModel));
  EXPECT_EQ(loaded.error, "");
  return MujocoSystem(loaded.model, 1);
}

TEST(Scene, HoldsEveryShapeThatIsShown) {
  const TemporaryFolder folder;
  const Scene s = scene(load(folder));
  ASSERT_EQ(s.bodies.size(), 3u);
  EXPECT_EQ(s.bodies[2].name, "c");
  EXPECT_EQ(s.bodies[2].parent, 1);
  std::vector<std::string> shapes;
  for (const SceneShape& shape : s.shapes) shapes.emplace_back(to_string(shape.shape));
  // Not the box of group 4, nor the sphere that cannot be seen; the site is a sphere.
  EXPECT_THAT(shapes, testing::UnorderedElementsAre("plane", "height field", "sphere", "capsule", "ellipsoid",
                                                    "cylinder", "box", "mesh", "sphere"));
  const auto find = [&](Shape shape) {
    return *std::find_if(s.shapes.begin(), s.shapes.end(), [&](const SceneShape& it) { return it.shape == shape; });
  };
  const SceneShape plane = find(Shape::plane);
  ASSERT_EQ(plane.texture, 0);
  EXPECT_TRUE(plane.uniform);
  EXPECT_EQ(plane.repeat, (std::array<float, 2>{3, 4}));
  EXPECT_EQ(s.textures[0].width, 128) << "made small";
  EXPECT_EQ(s.textures[0].pixels.size(), 128u * 128u * 3u);
  EXPECT_EQ(s.textures[0].pixels[0] + s.textures[0].pixels[2], 255) << "red or blue";

  const SceneShape sphere = find(Shape::sphere);
  EXPECT_NEAR(sphere.colour[0], 0.5, 0.01) << "the material's colour times the texture's";
  EXPECT_NEAR(sphere.colour[1], 0.25, 0.01);
  EXPECT_FLOAT_EQ(sphere.shininess, 0.25F);
  EXPECT_EQ(find(Shape::capsule).colour, (std::array<float, 4>{0, 1, 0, 0.5F}));
  EXPECT_EQ(find(Shape::ellipsoid).size, (std::array<double, 3>{0.1, 0.2, 0.3}));
  EXPECT_NEAR(find(Shape::box).rotation[0], std::sqrt(0.5), 1e-12);

  ASSERT_EQ(s.meshes.size(), 1u);
  EXPECT_EQ(s.meshes[0].faces.size() % 3, 0u);
  for (const std::uint32_t corner : s.meshes[0].faces) EXPECT_LT(corner, s.meshes[0].vertices.size() / 3);
  ASSERT_EQ(s.height_fields.size(), 1u);
  EXPECT_EQ(s.height_fields[0].heights.size(), 12u);
  ASSERT_EQ(s.lights.size(), 1u);
  EXPECT_TRUE(s.lights[0].directional);
  EXPECT_FLOAT_EQ(s.lights[0].diffuse[2], 0.75F);
  ASSERT_EQ(s.cameras.size(), 1u);
  EXPECT_EQ(s.cameras[0].name, "side");
  EXPECT_DOUBLE_EQ(s.cameras[0].field, 30);
}

TEST(Scene, PosesAreThoseOfTheState) {
  const TemporaryFolder folder;
  const MujocoSystem system = load(folder);
  // [turn, ball quaternion, velocities]; the quaternion is normalised.
  MatrixXd states = MatrixXd::Zero(system.nx(), 2);
  states(0, 1) = 0.7;
  states.row(1).setConstant(2.0);
  const std::vector<float> poses = body_poses(system, states);
  ASSERT_EQ(poses.size(), 2u * 2u * 7u);
  const auto expect = [&](std::size_t first, const std::vector<double>& pose) {
    for (std::size_t i = 0; i < 7; ++i) EXPECT_NEAR(poses[first + i], pose[i], 1e-6) << first + i;
  };
  const double c = std::cos(0.35), s = std::sin(0.35);
  expect(0, {0, 0, 2, 1, 0, 0, 0});
  expect(7, {0, 0, 3, 1, 0, 0, 0});
  expect(14, {0, 0, 2, c, 0, s, 0});
  expect(21, {std::sin(0.7), 0, 2 + std::cos(0.7), c, 0, s, 0});
}

TEST(Scene, CentreOfMassIsThatOfTheBodiesByTheirMasses) {
  const TemporaryFolder folder;
  const MujocoSystem system = load(folder);
  const mjModel& m = system.model();
  MatrixXd states = MatrixXd::Zero(system.nx(), 3);
  states.row(0) << 0.0, 0.7, -1.2;
  states.row(1).setConstant(1.0);  // the ball joint's quaternion
  const MatrixXd centres = centres_of_mass(system, states);
  const std::vector<float> poses = body_poses(system, states);
  for (Index n = 0; n < 3; ++n) {
    Eigen::Vector3d sum = Eigen::Vector3d::Zero();
    double mass = 0.0;
    for (int body = 1; body < m.nbody; ++body) {
      const float* pose = poses.data() + 7 * (n * (m.nbody - 1) + body - 1);
      const Eigen::Quaterniond turn(pose[3], pose[4], pose[5], pose[6]);
      sum += m.body_mass[body] * (Eigen::Vector3d(pose[0], pose[1], pose[2]) +
                                  turn * Eigen::Map<const Eigen::Vector3d>(m.body_ipos + 3 * body));
      mass += m.body_mass[body];
    }
    EXPECT_LT((centres.col(n) - sum / mass).norm(), 1e-6) << n;
  }
}

}  // namespace
}  // namespace kedge
