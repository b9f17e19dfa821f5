#include "kedge/pages/framing.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

/// A robot of one ball of 0.1 m on its only body, above a floor that is 100 m wide.
Scene ball_on_floor() {
  Scene scene;
  scene.bodies = {{"world", 0}, {"ball", 0}};
  scene.shapes = {{.shape = Shape::plane, .body = 0, .size = {50, 50, 1}},
                  {.shape = Shape::sphere, .body = 1, .size = {0.1, 0, 0}}};
  scene.extent = 100;
  return scene;
}

/// A straight way in 20 moments. @return [20, 1, 7]
Motion straight(const Eigen::Vector3f& from, const Eigen::Vector3f& to) {
  Motion motion;
  for (int t = 0; t < 20; ++t) {
    const Eigen::Vector3f p = from + (float(t) / 19) * (to - from);
    for (const float entry : {p[0], p[1], p[2], 1.0F, 0.0F, 0.0F, 0.0F}) motion.push_back(entry);
  }
  return motion;
}

std::span<const float> at(const Motion& motion, int t) { return std::span(motion).subspan(std::size_t(7 * t), 7); }

/// The largest share of half the picture that a ball needs; above 1 it is not all inside. The picture is a square.
double needs(const Viewpoint& view, const Eigen::Vector3d& centre, double radius) {
  const Eigen::Vector3d p = view.rotation.conjugate() * (centre - view.eye);
  if (p.z() >= 0) return 1e9;
  const double half = view.field * std::numbers::pi / 360;
  const double turned = std::max(std::abs(std::atan2(p.x(), -p.z())), std::abs(std::atan2(p.y(), -p.z())));
  return (turned + std::asin(radius / p.norm())) / half;
}

TEST(FrameMotion, HasTheWholeMotionInThePictureAndFillsIt) {
  for (const Eigen::Vector3f& to :
       {Eigen::Vector3f(0.3F, 0, 0), Eigen::Vector3f(0, 0.3F, 0.1F), Eigen::Vector3f(0, 0, 0.3F)}) {
    Scene scene = ball_on_floor();
    const Motion motion = straight({5, 5, 1}, Eigen::Vector3f(5, 5, 1) + to);
    const Framing framing = frame_motion(scene, {motion}, -1);
    EXPECT_FALSE(framing.follows);
    double most = 0;
    for (int t = 0; t < 20; ++t)
      most = std::max(most, needs(viewpoint(scene, framing, at(motion, t)), middle(at(motion, t)), 0.1));
    EXPECT_LT(most, 1) << to.transpose();
    EXPECT_GT(most, 0.3) << to.transpose();
    EXPECT_NEAR(scene.centre[0], 5 + to[0] / 2, 1e-6);
    EXPECT_LT(scene.extent, 1);
  }
}

TEST(FrameMotion, GoesAlongWithARobotThatTravels) {
  Scene scene = ball_on_floor();
  const Motion motion = straight({0, 0, 1}, {8, 0, 1.2F});
  const Framing framing = frame_motion(scene, {motion}, -1);
  EXPECT_TRUE(framing.follows);
  EXPECT_NEAR(framing.radius, 0.2, 1e-6) << "it goes along, but not up";
  for (const int t : {0, 10, 19})
    EXPECT_LT(needs(viewpoint(scene, framing, at(motion, t)), middle(at(motion, t)), 0.1), 1);
}

TEST(FrameMotion, ShowsWhatStandsNearButNotWhatIsFar) {
  Scene scene = ball_on_floor();
  scene.shapes.push_back({.shape = Shape::sphere, .body = 0, .size = {0.02, 0, 0}, .position = {0.35, 0, 1}});
  scene.shapes.push_back({.shape = Shape::box, .body = 0, .size = {0.5, 0.5, 0.5}, .position = {20, 0, 1}});
  const Motion motion = straight({0, 0, 1}, {0.2F, 0, 1});
  const Framing framing = frame_motion(scene, {motion}, -1);
  EXPECT_LT(needs(viewpoint(scene, framing, at(motion, 0)), {0.35, 0, 1}, 0.02), 1);
  EXPECT_LT(framing.radius, 0.5);
}

TEST(FrameMotion, LooksFromAboveWhereAllIsFlatAndAlongXWhereNothingMovesAlongX) {
  const auto direction = [](const std::array<double, 3>& arm, const Eigen::Vector3f& to) {
    Scene scene = ball_on_floor();  // a bar: two small balls
    scene.shapes[1].size = {0.02, 0, 0};
    scene.shapes[1].position = arm;
    scene.shapes.push_back(scene.shapes[1]);
    for (double& x : scene.shapes.back().position) x = -x;
    return frame_motion(scene, {straight({0, 0, 1}, to)}, -1).direction;
  };
  EXPECT_GT(direction({0.3, 0, 0}, {0.3F, 0.3F, 1}).z(), 0.7);
  EXPECT_GT(direction({0, 0.3, 0}, {0, 0, 1.5F}).x(), 0.9);
  EXPECT_LT(direction({0.3, 0, 0}, {0.1F, 0, 1.5F}).y(), -0.9);
}

TEST(FrameMotion, TakesTheModelsCameraThatSeesTheMotionOrTracksABody) {
  Scene scene = ball_on_floor();
  const Motion motion = straight({0, 0, 0}, {0.2F, 0, 0});
  scene.cameras = {{.name = "away", .position = {0, 0, -5}},  // it looks down, from below
                   {.name = "top", .position = {0, 0, 5}},
                   {.name = "track", .body = 1, .turns_with_body = false, .position = {0, 0, 3}}};
  EXPECT_EQ(frame_motion(scene, {motion}, -1).camera, 1);
  EXPECT_EQ(viewpoint(scene, frame_motion(scene, {motion}, -1), at(motion, 3)).eye, Eigen::Vector3d(0, 0, 5));
  EXPECT_EQ(frame_motion(scene, {motion}, 0).camera, 0);
  const Motion far = straight({0, 0, 0}, {20, 0, 0});  // leaves the picture of the second
  const Framing tracking = frame_motion(scene, {far}, -1);
  EXPECT_EQ(tracking.camera, 2);
  EXPECT_TRUE(viewpoint(scene, tracking, at(far, 19)).eye.isApprox(Eigen::Vector3d(20, 0, 3)));
}

TEST(Viewpoint, OfACameraOnABodyTurnsWithItAndOneWithATargetLooksAtIt) {
  Scene scene = ball_on_floor();
  const float half = std::sqrt(0.5F);  // a quarter turn about z
  const Motion turned{1, 2, 3, half, 0, 0, half};
  scene.cameras = {{.name = "eye", .body = 1, .position = {1, 0, 0}},
                   {.name = "spy", .target = 1, .position = {1, 2, 9}}};
  EXPECT_TRUE(viewpoint(scene, {.camera = 0}, turned).eye.isApprox(Eigen::Vector3d(1, 3, 3), 1e-6));
  const Viewpoint spy = viewpoint(scene, {.camera = 1}, turned);
  EXPECT_TRUE((spy.rotation * Eigen::Vector3d(0, 0, -1)).isApprox(Eigen::Vector3d(0, 0, -1), 1e-6));
}

TEST(FindCamera, RefusesOneThatIsNotThere) {
  Scene scene = ball_on_floor();
  EXPECT_EQ(find_camera(scene, ""), -1);
  const auto message = [&](const char* name) {
    try {
      find_camera(scene, name);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(message("side"), "--camera = side, but the model has no camera");
  scene.cameras = {{.name = "top"}, {.name = "track"}};
  EXPECT_EQ(find_camera(scene, "track"), 1);
  EXPECT_EQ(message("side"), "--camera = side, but the model has the cameras top, track");
}

}  // namespace
}  // namespace kedge
