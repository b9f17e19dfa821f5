#include "kedge/pages/framing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

namespace {

using Eigen::Vector3d;

constexpr double kField = 45.0;   ///< degrees
constexpr double kMargin = 1.06;  ///< of the distance, around the ball
constexpr double kTravels = 3.0;  ///< times its own radius that a robot sweeps before the camera goes along
constexpr double kNear = 1.5;     ///< times the radius of the motion within which what stands still is shown too
constexpr double kFlat = 0.3;     ///< of the larger extents, below which a motion has no extent

struct Ball {
  Vector3d centre = Vector3d::Zero();
  double radius = 0.0;
};

Vector3d vector_of(const std::array<double, 3>& v) { return Vector3d(v.data()); }

/// Radius around the shape's own centre; negative for what has no end.
double radius_of(const Scene& scene, const SceneShape& shape) {
  const auto& [a, b, c] = shape.size;
  switch (shape.shape) {
    case Shape::plane:
    case Shape::height_field: return -1.0;
    case Shape::sphere: return a;
    case Shape::capsule: return a + b;
    case Shape::cylinder: return std::hypot(a, b);
    case Shape::ellipsoid: return std::max({a, b, c});
    case Shape::box: return std::hypot(a, b, c);
    case Shape::mesh: break;
  }
  const std::vector<float>& v = scene.meshes[static_cast<std::size_t>(shape.data)].vertices;
  double largest = 0.0;
  for (std::size_t i = 0; i + 2 < v.size(); i += 3)
    largest = std::max(largest, std::hypot(double(v[i]), v[i + 1], v[i + 2]));
  return largest;
}

struct Pose {
  Vector3d position = Vector3d::Zero();
  Eigen::Quaterniond rotation = Eigen::Quaterniond::Identity();
};

/// @param poses [bodies - 1, 7] @param body 0: the world
Pose pose_of(std::span<const float> poses, int body) {
  if (body == 0) return {};
  const float* p = poses.data() + std::ptrdiff_t{7} * (body - 1);
  return {Vector3d(p[0], p[1], p[2]), Eigen::Quaterniond(p[3], p[4], p[5], p[6])};
}

std::span<const float> moment(const Motion& motion, std::size_t stride, std::size_t t) {
  return std::span(motion).subspan(t * stride, stride);
}

/// Calls `see(poses)` for each moment of each motion.
template <class F>
void at_each_moment(const Scene& scene, const std::vector<Motion>& motions, const F& see) {
  const std::size_t stride = 7 * (scene.bodies.size() - 1);
  for (const Motion& motion : motions)
    for (std::size_t t = 0; (t + 1) * stride <= motion.size(); ++t) see(moment(motion, stride, t));
}

/// The bodies that are not always in one pose; all if none moves. The world is not among them.
std::vector<char> moving_bodies(const Scene& scene, const std::vector<Motion>& motions) {
  const std::size_t stride = 7 * (scene.bodies.size() - 1);
  const std::span<const float> first = moment(motions.front(), stride, 0);
  std::vector<char> moving(scene.bodies.size(), 0);
  at_each_moment(scene, motions, [&](std::span<const float> poses) {
    for (std::size_t i = 0; i < stride; ++i)
      if (std::abs(poses[i] - first[i]) > 1e-5F) moving[1 + i / 7] = 1;
  });
  if (std::ranges::count(moving, 1) == 0) std::fill(moving.begin() + 1, moving.end(), 1);
  return moving;
}

/// A shape that has an end.
struct Bounded {
  const SceneShape* shape;
  double radius;
};

Ball ball_of(const Bounded& bounded, std::span<const float> poses) {
  const Pose body = pose_of(poses, bounded.shape->body);
  return {body.position + body.rotation * vector_of(bounded.shape->position), bounded.radius};
}

/// Balls around shapes, and the box of their places.
class Swept {
 public:
  void add(const Ball& ball) {
    low_ = low_.cwiseMin(ball.centre.array() - ball.radius);
    high_ = high_.cwiseMax(ball.centre.array() + ball.radius);
    balls_.push_back(ball);
  }
  [[nodiscard]] bool empty() const { return balls_.empty(); }
  [[nodiscard]] Vector3d centre() const { return 0.5 * (low_ + high_); }
  [[nodiscard]] Vector3d extents() const { return high_ - low_; }
  [[nodiscard]] double radius_around(const Vector3d& centre) const {
    double radius = 0.0;
    for (const Ball& b : balls_) radius = std::max(radius, (b.centre - centre).norm() + b.radius);
    return radius;
  }
  [[nodiscard]] const std::vector<Ball>& balls() const { return balls_; }

 private:
  std::vector<Ball> balls_;
  Eigen::Array3d low_ = Eigen::Array3d::Constant(std::numeric_limits<double>::infinity()), high_ = -low_;
};

/// From where a motion of these extents is seen best.
Vector3d direction_for(const Vector3d& extents) {
  if (extents.z() < kFlat * std::max(extents.x(), extents.y())) return Vector3d(0.15, -0.8, 1.1).normalized();
  if (extents.x() < kFlat * extents.y()) return Vector3d(1, -0.25, 0.35).normalized();
  return Vector3d(0.25, -1, 0.35).normalized();
}

bool sees(const Viewpoint& view, const std::vector<Ball>& balls) {
  const double half = std::tan(view.field * std::numbers::pi / 360);
  return std::ranges::all_of(balls, [&](const Ball& ball) {
    const Vector3d p = view.rotation.conjugate() * (ball.centre - view.eye);
    return p.z() < 0 && std::max(std::abs(p.x()), std::abs(p.y())) <= -p.z() * half;
  });
}

/// The axes of a camera that looks at a place, z of the world upwards in its picture.
Eigen::Quaterniond looking_from(const Vector3d& away) {
  const Vector3d z = away.normalized();
  Vector3d x = Vector3d::UnitZ().cross(z);
  if (x.norm() < 1e-9) x = Vector3d::UnitX();
  Eigen::Matrix3d axes;
  axes << x.normalized(), z.cross(x.normalized()), z;
  return Eigen::Quaterniond(axes);
}

Viewpoint through_camera(const SceneCamera& camera, std::span<const float> poses) {
  const Pose body = pose_of(poses, camera.body);
  const Vector3d place = vector_of(camera.position);
  const auto& [w, x, y, z] = camera.rotation;
  Viewpoint view{.eye = body.position + (camera.turns_with_body ? Vector3d(body.rotation * place) : place),
                 .rotation = Eigen::Quaterniond(w, x, y, z),
                 .field = camera.field};
  if (camera.target >= 0)
    view.rotation = looking_from(view.eye - pose_of(poses, camera.target).position);
  else if (camera.turns_with_body)
    view.rotation = body.rotation * view.rotation;
  return view;
}

/// The model's first camera that serves for the whole motion; -1: none does.
int serving_camera(const Scene& scene, const std::vector<Ball>& motion) {
  for (std::size_t i = 0; i < scene.cameras.size(); ++i) {
    const SceneCamera& camera = scene.cameras[i];
    const bool fixed = camera.body == 0 && camera.target < 0;
    const bool tracks = camera.body > 0 && !camera.turns_with_body;
    if (tracks || (fixed && sees(through_camera(camera, {}), motion))) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

int find_camera(const Scene& scene, const std::string& name) {
  if (name.empty()) return -1;
  const auto found = std::ranges::find(scene.cameras, name, &SceneCamera::name);
  if (found != scene.cameras.end()) return static_cast<int>(found - scene.cameras.begin());
  std::vector<std::string> names;
  for (const SceneCamera& camera : scene.cameras) names.push_back(camera.name);
  throw InputError(fmt::format("--camera = {}, but the model {}", one_line(name, 60),
                               names.empty() ? "has no camera" : "has the cameras " + list(names)));
}

Vector3d middle(std::span<const float> poses) {
  Vector3d sum = Vector3d::Zero();
  for (std::size_t i = 0; i < poses.size(); i += 7) sum += Vector3d(poses[i], poses[i + 1], poses[i + 2]);
  return sum / std::max(1.0, double(poses.size()) / 7.0);
}

Framing frame_motion(Scene& scene, const std::vector<Motion>& motions, int camera) {
  const std::vector<char> moving = moving_bodies(scene, motions);
  std::vector<Bounded> moved, still;
  for (const SceneShape& shape : scene.shapes)
    if (const double radius = radius_of(scene, shape); radius >= 0)
      (moving[static_cast<std::size_t>(shape.body)] ? moved : still).push_back({&shape, radius});
  Swept all, robot;  // in the world, and as seen by a camera that goes along, but not up and down
  at_each_moment(scene, motions, [&](std::span<const float> poses) {
    Vector3d about = middle(poses);
    about.z() = 0.0;
    for (const Bounded& shape : moved) {
      const Ball ball = ball_of(shape, poses);
      all.add(ball);
      robot.add({ball.centre - about, ball.radius});
    }
  });
  Framing framing;
  framing.camera = camera;
  if (all.empty()) {  // a model without shapes
    framing.centre = vector_of(scene.centre);
    framing.radius = scene.extent;
    return framing;
  }
  if (framing.camera < 0) framing.camera = serving_camera(scene, all.balls());
  const Vector3d robot_middle(0, 0, robot.centre().z());
  framing.follows = all.radius_around(all.centre()) > kTravels * robot.radius_around(robot_middle);
  framing.direction = direction_for(framing.follows ? robot.extents() : all.extents());
  const std::span<const float> first = moment(motions.front(), 7 * (scene.bodies.size() - 1), 0);
  if (!framing.follows) {
    const Vector3d centre = all.centre();
    const double near = kNear * all.radius_around(centre);
    for (const Bounded& shape : still)
      if (const Ball ball = ball_of(shape, first); (ball.centre - centre).norm() + ball.radius <= near) all.add(ball);
  }
  framing.centre = all.centre();
  if (framing.follows) framing.centre << middle(first).head<2>(), robot_middle.z();
  framing.radius = framing.follows ? robot.radius_around(robot_middle) : all.radius_around(framing.centre);
  std::copy_n(framing.centre.data(), 3, scene.centre.begin());
  scene.extent = 1.5 * framing.radius;
  return framing;
}

Viewpoint viewpoint(const Scene& scene, const Framing& framing, std::span<const float> poses) {
  if (framing.camera >= 0) return through_camera(scene.cameras[static_cast<std::size_t>(framing.camera)], poses);
  Vector3d at = framing.centre;
  if (framing.follows) at.head<2>() = middle(poses).head<2>();
  const double distance = kMargin * framing.radius / std::sin(kField * std::numbers::pi / 360);
  return {.eye = at + distance * framing.direction, .rotation = looking_from(framing.direction), .field = kField};
}

}  // namespace kedge
