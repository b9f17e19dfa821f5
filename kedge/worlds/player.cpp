#include "kedge/worlds/player.h"

#include <fmt/format.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/math/slsqp.h"

namespace kedge {

namespace {

constexpr double kLookAhead = 2.0;         ///< s
constexpr double kShortestHit = 0.1;       ///< s
constexpr double kWeightOfSlides = 100.0;  ///< of a metre, in units of a radian

/// A polynomial of degree five from (q0, v0, a0) at 0 to (q1, v1, a1) at D.
struct Quintic {
  std::array<double, 6> c;

  Quintic(double D, double q0, double v0, double a0, double q1, double v1, double a1) {
    const double d = q1 - q0, D2 = D * D;
    c = {q0,
         v0,
         a0 / 2,
         (20 * d - (8 * v1 + 12 * v0) * D - (3 * a0 - a1) * D2) / (2 * D2 * D),
         (-30 * d + (14 * v1 + 16 * v0) * D + (3 * a0 - 2 * a1) * D2) / (2 * D2 * D2),
         (12 * d - 6 * (v1 + v0) * D + (a1 - a0) * D2) / (2 * D2 * D2 * D)};
  }
  [[nodiscard]] double position(double t) const {
    return c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))));
  }
  [[nodiscard]] double velocity(double t) const {
    return c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * 5 * c[5])));
  }
  [[nodiscard]] double acceleration(double t) const {
    return 2 * c[2] + t * (6 * c[3] + t * (12 * c[4] + t * 20 * c[5]));
  }
};

/// Flies the ball to the plane. @param time out: s
Ball predict(const TableTennisSystem& system, Ball ball, double plane, double& time) {
  const Court& court = system.court();
  const double h = system.sub_step();
  int bounces = 0;
  for (time = 0.0; time < kLookAhead; time += h) {
    Ball next = euler_step(court, ball, h);
    double f = 0.0;
    if (auto at = meets_table(court, ball, next, f)) {
      ++bounces;
      at->v = after_table(court, at->v);
      next = euler_step(court, *at, (1.0 - f) * h);
    }
    if ((ball.p[1] - plane) * court.side > 0.0 && (next.p[1] - plane) * court.side <= 0.0 && bounces > 0) {
      if (bounces > 1) throw InputError("the ball bounces more than once before it crosses the hitting plane");
      const double part = (plane - ball.p[1]) / (next.p[1] - ball.p[1]);
      time += part * h;
      return between(ball, next, part);
    }
    ball = next;
  }
  throw InputError(
      fmt::format("the ball does not bounce and then cross the hitting plane y = {} m within {} s", plane, kLookAhead));
}

/// The velocity with which a ball at p is at the target after `duration`.
Eigen::Vector3d shoot(const Court& court, const Eigen::Vector3d& p, const Eigen::Vector3d& target, double duration) {
  constexpr int kSteps = 60, kMostShots = 100;
  Eigen::Vector3d v = (target - p) / duration - 0.5 * duration * court.gravity;
  for (int i = 0; i < kMostShots; ++i) {
    Ball ball{p, v};
    for (int k = 0; k < kSteps; ++k) ball = rk4_step(court, ball, duration / kSteps);
    const Eigen::Vector3d miss = target - ball.p;
    v += miss / duration;
    if (miss.norm() < 1e-12) return v;
  }
  throw InputError(fmt::format("no velocity takes the ball to the aim in {} s", duration));
}

/// Two directions across a unit vector, [3, 2].
Eigen::Matrix<double, 3, 2> across(const Eigen::Vector3d& n) {
  Eigen::Matrix<double, 3, 2> T;
  T.col(0) = n.unitOrthogonal();
  T.col(1) = n.cross(T.col(0));
  return T;
}

/// The racket of a posture of the joints.
class Arm {
 public:
  Arm(const TableTennisSystem& system, VectorIn x)
      : system_(system.mujoco().clone()),
        mujoco_(dynamic_cast<MujocoSystem*>(system_.get())),
        drives_(system.drives()),
        site_(system.racket_site()),
        x_(x.head(mujoco_->nx())),
        n_(static_cast<Index>(drives_.size())) {}

  [[nodiscard]] Index joints() const { return n_; }
  [[nodiscard]] const std::vector<Drive>& drives() const { return drives_; }
  [[nodiscard]] VectorXd position() const { return x_(entries(&Drive::position)); }
  [[nodiscard]] bool slides(Index j) const { return model().jnt_type[joint(j)] == mjJNT_SLIDE; }
  /// Bounds of a joint, infinite where it has none.
  [[nodiscard]] std::pair<double, double> range(Index j) const {
    const Index id = joint(j);
    if (!model().jnt_limited[id]) return {-HUGE_VAL, HUGE_VAL};
    return {model().jnt_range[2 * id], model().jnt_range[2 * id + 1]};
  }
  /// @param q [n]
  const SiteMotion& look(VectorIn q) {
    x_(entries(&Drive::position)) = q;
    mujoco_->reset(x_);
    if (!mujoco_->site_motion(site_, motion_)) throw InputError(mujoco_->trouble());
    return motion_;
  }
  /// The columns of a Jacobian that belong to the joints. @return [3, n]
  [[nodiscard]] MatrixXd columns(const SiteMotion::Jacobian& J) const {
    std::vector<Index> dof = entries(&Drive::velocity);
    for (Index& d : dof) d -= static_cast<Index>(model().nq);
    return J(Eigen::all, dof);
  }

 private:
  [[nodiscard]] const mjModel& model() const { return mujoco_->model(); }
  [[nodiscard]] Index joint(Index j) const {
    return model().dof_jntid[drives_[static_cast<std::size_t>(j)].velocity - static_cast<Index>(model().nq)];
  }
  [[nodiscard]] std::vector<Index> entries(Index Drive::*entry) const {
    std::vector<Index> all;
    for (const Drive& drive : drives_) all.push_back(drive.*entry);
    return all;
  }

  std::unique_ptr<System> system_;
  MujocoSystem* mujoco_;
  std::vector<Drive> drives_;
  Index site_;
  VectorXd x_;
  Index n_;
  SiteMotion motion_;
};

/// Joints with the racket at a place, and its normal along n (step 4). @param weight, posture [n]
VectorXd reach(Arm& arm, const Racket& racket, const VectorXd& weight, const VectorXd& posture) {
  const Eigen::Matrix<double, 3, 2> T = across(racket.n);
  EqualityProblem problem;
  problem.f = [&](VectorIn q, VectorOut gradient) {
    gradient = 2.0 * weight.cwiseProduct(q - posture);
    return weight.dot((q - posture).cwiseAbs2());
  };
  problem.h = [&](VectorIn q, VectorOut h, MatrixOut gradients) {
    const SiteMotion& site = arm.look(q);
    const Eigen::Vector3d normal = site.rotation.col(2);
    h << site.position - racket.p, T.transpose() * normal;
    const MatrixXd Jp = arm.columns(site.Jp), Jr = arm.columns(site.Jr);
    gradients.leftCols(3) = Jp.transpose();
    for (Index j = 0; j < arm.joints(); ++j)  // the normal turns: dn = w x n
      gradients.row(j).tail(2) = (T.transpose() * Eigen::Vector3d(Jr.col(j)).cross(normal)).transpose();
  };
  problem.equations = 5;
  problem.lower.resize(arm.joints());
  problem.upper.resize(arm.joints());
  for (Index j = 0; j < arm.joints(); ++j) std::tie(problem.lower[j], problem.upper[j]) = arm.range(j);
  const SlsqpResult found = slsqp(problem, posture.cwiseMax(problem.lower).cwiseMin(problem.upper));
  if (!found.found) throw InputError(fmt::format("the racket does not reach the ball: {}", found.message));
  if (arm.look(found.x).rotation.col(2).dot(racket.n) < 0.0)
    throw InputError("the racket reaches the ball only with its back");
  return found.x;
}

/// Velocities of the joints at the hit (step 5).
VectorXd swing(Arm& arm, const VectorXd& q, const Racket& racket, const VectorXd& weight) {
  const SiteMotion& site = arm.look(q);
  MatrixXd A(5, arm.joints());
  A << arm.columns(site.Jp), across(racket.n).transpose() * arm.columns(site.Jr);
  VectorXd b = VectorXd::Zero(5);
  b.head(3) = racket.v;
  const MatrixXd WA = weight.cwiseInverse().asDiagonal() * A.transpose();
  const Eigen::LDLT<MatrixXd> solver(A * WA);
  VectorXd qd = WA * solver.solve(b);
  if (!((A * qd - b).norm() < 1e-6)) throw InputError("the joints cannot move the racket as the hit needs it");
  return qd;
}

}  // namespace

void StrokePlan::at(double t, VectorOut q, VectorOut qd, VectorOut qdd) const {
  for (Index j = 0; j < q.size(); ++j) {
    double from = 0.0;
    const Quintic piece = [&] {
      if (t < preparation) return Quintic(preparation, waiting[j], 0, 0, back[j], 0, 0);
      from = preparation;
      if (t < hit_time) return Quintic(hit_time - preparation, back[j], 0, 0, hit[j], hit_velocity[j], 0);
      from = hit_time;
      return Quintic(finish, hit[j], hit_velocity[j], 0, waiting[j], 0, 0);
    }();
    const double since = std::min(t, hit_time + finish) - from;
    q[j] = piece.position(since);
    qd[j] = piece.velocity(since);
    qdd[j] = piece.acceleration(since);
  }
}

StrokePlan plan_stroke(const TableTennisSystem& system, VectorIn x, const PlayerOptions& options) {
  const Court& court = system.court();
  Arm arm(system, x);
  if (options.posture.size() != arm.joints())
    throw InputError(fmt::format("posture has {} numbers, but the robot has {} joints with motors",
                                 options.posture.size(), arm.joints()));
  StrokePlan plan;
  plan.preparation = options.preparation;
  plan.finish = options.finish;
  plan.waiting = arm.position();
  const Ball launched{x.segment<3>(system.ball_position()), x.segment<3>(system.ball_velocity())};
  plan.ball = predict(system, launched, options.hitting_plane, plan.hit_time);
  const double duration = plan.hit_time - options.preparation;
  if (duration < kShortestHit)
    throw InputError(fmt::format("the ball is there after {:.3g} s, too early after a preparation of {} s",
                                 plan.hit_time, options.preparation));
  plan.out = shoot(court, plan.ball.p, {options.aim[0], options.aim[1], court.height()}, options.flight);

  const double e = court.racket_restitution;
  plan.racket.n = (plan.out - plan.ball.v).normalized();
  plan.racket.p = plan.ball.p - court.radius * plan.racket.n;
  plan.racket.v = (plan.out.dot(plan.racket.n) + e * plan.ball.v.dot(plan.racket.n)) / (1.0 + e) * plan.racket.n;

  VectorXd weight(arm.joints());
  for (Index j = 0; j < arm.joints(); ++j) weight[j] = arm.slides(j) ? kWeightOfSlides : 1.0;
  plan.hit = reach(arm, plan.racket, weight, options.posture);
  plan.hit_velocity = swing(arm, plan.hit, plan.racket, weight);
  plan.back = plan.hit - 0.5 * duration * plan.hit_velocity;
  for (Index j = 0; j < arm.joints(); ++j)
    plan.back[j] = std::clamp(plan.back[j], arm.range(j).first, arm.range(j).second);
  return plan;
}

Stroke play_stroke(const TableTennisSystem& system, const StrokePlan& plan, VectorIn x, const PlayerOptions& options,
                   VectorIn low, VectorIn high, int sub_steps) {
  const auto robot = system.by_sub_steps(), model = system.by_sub_steps();
  const std::vector<Drive> drives = system.drives();
  const auto n = static_cast<Index>(drives.size());
  VectorXd q(n), qd(n), qdd(n), u(n), now = x, control = VectorXd::Zero(system.nu());
  MatrixXd inertia(n, n);
  Stroke stroke{MatrixXd(system.nu(), sub_steps), x, 0.0};
  robot->reset(x);
  for (int i = 0; i < sub_steps; ++i) {
    plan.at(i * system.sub_step(), q, qd, qdd);
    for (Index j = 0; j < n; ++j) {
      const Drive& drive = drives[static_cast<std::size_t>(j)];
      const double error = q[j] - now[drive.position];
      qdd[j] += options.stiffness * error + options.damping * (qd[j] - now[drive.velocity]);
      stroke.error = std::max(stroke.error, std::abs(error));
    }
    if (!model->inverse_dynamics(now, qdd, u, inertia))
      throw InputError(fmt::format("the inverse dynamics fails at sub-step {} of the stroke", i));
    for (Index j = 0; j < n; ++j) {
      const Index at = drives[static_cast<std::size_t>(j)].control;
      control[at] = std::clamp(u[j], low[at], high[at]);
    }
    stroke.control.col(i) = control;
    if (!robot->step(control))
      throw InputError(fmt::format("the simulation diverges at sub-step {} of the stroke: {}", i, robot->trouble()));
    robot->state(now);
  }
  stroke.end = now;
  return stroke;
}

}  // namespace kedge
