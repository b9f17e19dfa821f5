#include "kedge/worlds/table_tennis.h"

#include <fmt/format.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr double kFarthestMiss = 0.5;  ///< m from the centre at which a crossing of the racket's plane still counts
constexpr double kLargestError = 2.0;  ///< m
constexpr double kFar = 10.0;          ///< m: off_centre before the first step
constexpr int kMostImpacts = 4;        ///< in one sub-step; after these the ball rests
constexpr double kMissed = 1.0, kHit = 2.0;

/// A geom of the model by name. @throws InputError
Index geom(const mjModel& m, const char* name, int type, const char* type_name) {
  const int id = mj_name2id(&m, mjOBJ_GEOM, name);
  if (id < 0 || m.geom_type[id] != type)
    throw InputError(fmt::format("table_tennis needs a geom \"{}\", a {}", name, type_name));
  return id;
}

/// A box that stands still, along the axes of the world.
struct Box {
  Eigen::Vector3d middle, half;
};
Box still_box(const mjModel& m, const char* name) {
  const Index id = geom(m, name, mjGEOM_BOX, "box");
  const Eigen::Map<const Eigen::Vector4d> turn(m.geom_quat + 4 * id);
  if (m.geom_bodyid[id] != 0 || turn != Eigen::Vector4d(1, 0, 0, 0))
    throw InputError(
        fmt::format("table_tennis needs the geom \"{}\" in the world's body, along the axes of the world", name));
  return {Eigen::Map<const Eigen::Vector3d>(m.geom_pos + 3 * id),
          Eigen::Map<const Eigen::Vector3d>(m.geom_size + 3 * id)};
}

/// The first of the joints ball_x, ball_y, ball_z. @throws InputError
Index ball_joint(const mjModel& m) {
  const int first = mj_name2id(&m, mjOBJ_JOINT, "ball_x");
  for (int i = 0; i < 3; ++i) {
    const char* const name = std::array{"ball_x", "ball_y", "ball_z"}[static_cast<std::size_t>(i)];
    const int joint = mj_name2id(&m, mjOBJ_JOINT, name);
    const Eigen::Vector3d axis = Eigen::Vector3d::Unit(i);
    const bool fits = joint >= 0 && joint == first + i && m.jnt_type[joint] == mjJNT_SLIDE &&
                      Eigen::Map<const Eigen::Vector3d>(m.jnt_axis + 3 * joint) == axis &&
                      m.body_parentid[m.jnt_bodyid[joint]] == 0 && m.dof_damping[m.jnt_dofadr[joint]] == 0.0 &&
                      m.dof_armature[m.jnt_dofadr[joint]] == 0.0;
    if (!fits)
      throw InputError(
          "table_tennis needs slides ball_x, ball_y and ball_z, in this order, of one body in the world's, along the "
          "axes of the world, without damping and armature");
  }
  return first;
}

}  // namespace

/// The next impact of a flight, or the crossing of the racket's plane beside the blade.
struct TableTennisSystem::Contact {
  enum class What { none, table, net, racket } what = What::none;
  double f = 2.0;  ///< instant, fraction of the sub-step
  Ball at{};
};

Court court_of(const std::shared_ptr<const mjModel_>& model, const TableTennisOptions& options) {
  const mjModel& m = *model;
  const Box table = still_box(m, "table"), net = still_box(m, "net");
  Court court;
  court.low = (table.middle - table.half).head<2>();
  court.high = (table.middle + table.half).head<2>();
  court.surface = table.middle[2] + table.half[2];
  court.net = net.middle[1];
  court.net_top = net.middle[2] + net.half[2];
  court.net_thickness = net.half[1];
  court.net_width = net.half[0];
  court.radius = m.geom_size[3 * geom(m, "ball", mjGEOM_SPHERE, "sphere")];
  court.blade = m.geom_size[3 * geom(m, "blade", mjGEOM_CYLINDER, "cylinder")];
  court.side = options.goal[1] < court.net ? -1.0 : 1.0;
  court.table_restitution = options.table_restitution;
  court.table_tangential = options.table_tangential;
  court.racket_restitution = options.racket_restitution;
  court.net_restitution = options.net_restitution;

  // The drag, by flying the ball: MuJoCo's own formula counts, whatever its version.
  const Index joint = ball_joint(m), dof = m.jnt_dofadr[joint];
  MujocoSystem system(model, 1);
  VectorXd x = VectorXd::Zero(system.nx());
  x.head(m.nq) = Eigen::Map<const VectorXd>(m.qpos0, m.nq);
  const VectorXd u = VectorXd::Zero(system.nu());
  const auto flight = [&](const Eigen::Vector3d& v) -> Eigen::Vector3d {
    x.segment(m.nq + dof, 3) = v;
    return system.acceleration(x, u).segment(dof, 3);
  };
  court.gravity = flight(Eigen::Vector3d::Zero());
  const Eigen::Vector3d slow(0.0, 1.0, 0.0), fast(3.0, -4.0, 5.0);
  court.drag = (court.gravity - flight(slow))[1];
  const double off = (acceleration(court, fast) - flight(fast)).norm();
  if (!(off < 1e-9))
    throw InputError(fmt::format(
        "table_tennis needs a ball whose drag is -C |v| v: fluidshape=\"ellipsoid\" with fluidcoef=\"c 0 0 0 0\", no "
        "viscosity, no contacts; its acceleration is off by {:.3g} m/s^2",
        off));
  return court;
}

TableTennisSystem::TableTennisSystem(const std::shared_ptr<const mjModel_>& model, int substeps,
                                     const TableTennisOptions& options, std::vector<JointLimit> joint_limits)
    : inner_(model, 1, std::move(joint_limits)),
      model_(model),
      substeps_(substeps),
      options_(options),
      court_(court_of(model, options)) {
  const mjModel& m = *model;
  const Index joint = ball_joint(m);
  ball_q_ = m.jnt_qposadr[joint];
  ball_v_ = static_cast<Index>(m.nq) + m.jnt_dofadr[joint];
  site_ = mj_name2id(&m, mjOBJ_SITE, "racket");
  if (site_ < 0) throw InputError("table_tennis needs a site \"racket\", whose z axis is the normal of the face");
  if (m.opt.integrator != mjINT_EULER) throw InputError("table_tennis needs the integrator Euler");
  h_ = m.opt.timestep;
  x_.setZero(inner_.nx());
  y_.setZero(nsensor());
}

TableTennisSystem::TableTennisSystem(const TableTennisSystem& other)
    : inner_(other.model_, 1, other.inner_.joint_limits()),
      model_(other.model_),
      substeps_(other.substeps_),
      options_(other.options_),
      court_(other.court_),
      ball_q_(other.ball_q_),
      ball_v_(other.ball_v_),
      site_(other.site_),
      h_(other.h_),
      x_(VectorXd::Zero(other.x_.size())),
      y_(VectorXd::Zero(other.y_.size())) {}

std::unique_ptr<TableTennisSystem> TableTennisSystem::by_sub_steps() const {
  auto system = std::make_unique<TableTennisSystem>(*this);
  system->substeps_ = 1;
  return system;
}

const std::vector<Part>& TableTennisSystem::state_parts() {
  static const std::vector<Part> parts = {{"bounce_noise", 0, 2}, {"bounces", 2, 1}, {"crossed", 3, 1},
                                          {"off_centre", 4, 1},   {"landing", 5, 2}, {"net_clearance", 7, 1}};
  return parts;
}

const std::vector<Part>& TableTennisSystem::sensor_parts() {
  static const std::vector<Part> parts = {{"landing_error", 0, 2}, {"off_centre", 2, 1}, {"landing", 3, 2},
                                          {"net_clearance", 5, 1}, {"hit", 6, 1},        {"illegal", 7, 1}};
  return parts;
}

VectorXd TableTennisSystem::start() {
  VectorXd record = VectorXd::Zero(kRecord);
  record[4] = kFar;
  return record;
}

void TableTennisSystem::difference(VectorIn from, VectorIn to, VectorOut dx) const {
  const Index n = inner_.nx();
  inner_.difference(from.head(n), to.head(n), dx.head(inner_.ndx()));
  dx.tail(kRecord) = to.tail(kRecord) - from.tail(kRecord);
}

void TableTennisSystem::integrate(VectorIn x, VectorIn dx, VectorOut moved) const {
  const Index n = inner_.nx();
  inner_.integrate(x.head(n), dx.head(inner_.ndx()), moved.head(n));
  moved.tail(kRecord) = x.tail(kRecord) + dx.tail(kRecord);
}

void TableTennisSystem::tangent(VectorIn x, MatrixOut G) const {
  const Index n = inner_.nx();
  G.setZero();
  inner_.tangent(x.head(n), G.topLeftCorner(n, inner_.ndx()));
  G.bottomRightCorner(kRecord, kRecord).setIdentity();
}

void TableTennisSystem::reset(VectorIn x) {
  inner_.reset(x.head(inner_.nx()));
  record_ = record_of(x);
  y_.setZero();
}

TableTennisSystem::Record TableTennisSystem::record_of(VectorIn x) {
  const auto r = x.tail(kRecord);
  return {r.head<2>(), r[2], r[3], r[4], r.segment<2>(5), r[7]};
}

void TableTennisSystem::state(VectorOut x) const {
  const Record& r = record_;
  inner_.state(x.head(inner_.nx()));
  auto record = x.tail(kRecord);
  record.head<2>() = r.noise;
  record[2] = r.bounces;
  record[3] = r.crossed;
  record[4] = r.off_centre;
  record.segment<2>(5) = r.landing;
  record[7] = r.clearance;
}

void TableTennisSystem::sensors(VectorOut y) const { y = y_; }

bool TableTennisSystem::legal(const Record& r) const {
  const bool there = (r.landing[1] - court_.net) * court_.side > 0.0 && court_.on_table(r.landing[0], r.landing[1]);
  return r.crossed == kHit && r.bounces == 1.0 && r.clearance > 0.0 && there;
}

std::optional<Mark> TableTennisSystem::mark(VectorIn x) const {
  const Record r = record_of(x);
  if (r.crossed != kHit) return std::nullopt;
  return Mark{{r.landing[0], r.landing[1], court_.surface}, legal(r)};
}

MatrixXd TableTennisSystem::path(MatrixIn states) const {
  constexpr double step = 0.02, longest = 2.0;  // s
  std::vector<Eigen::Vector3d> points;
  for (Index i = 0; i < states.cols(); ++i) points.emplace_back(states.col(i).segment<3>(ball_q_));
  Ball ball{points.back(), states.col(states.cols() - 1).segment<3>(ball_v_)};
  for (double t = 0.0; t < longest; t += step) {
    const Ball next = rk4_step(court_, ball, step);
    double part = 0.0;
    const auto lands = meets_table(court_, ball, next, part);
    ball = lands ? *lands : next;
    points.push_back(ball.p);
    if (lands || ball.p[2] < court_.radius) break;
  }
  MatrixXd path(3, static_cast<Index>(points.size()));
  for (Index i = 0; i < path.cols(); ++i) path.col(i) = points[static_cast<std::size_t>(i)];
  return path;
}

void TableTennisSystem::write_sensors(VectorOut y) const {
  const Record& r = record_;
  Eigen::Vector2d error(kLargestError, 0.0);
  if (r.crossed > 0.0) {
    error = r.landing - options_.goal;
    if (const double size = error.norm(); size > kLargestError) error *= kLargestError / size;
  }
  y.head<2>() = error;
  y[2] = r.off_centre;
  y.segment<2>(3) = r.landing;
  y[5] = r.clearance;
  y[6] = r.crossed == kHit ? 1.0 : 0.0;
  y[7] = legal(r) ? 0.0 : 1.0;
}

bool TableTennisSystem::racket_now(Racket& racket) {
  if (!inner_.site_motion(site_, motion_)) return false;
  racket = {motion_.position, motion_.rotation.col(2), motion_.velocity, motion_.angular_velocity};
  return true;
}

void TableTennisSystem::settle() {
  inner_.settle();
  inner_.sensors(y_.head(inner_.nsensor()));
  write_sensors(y_.tail(kSensors));
}

bool TableTennisSystem::step(VectorIn u) {
  write_sensors(y_.tail(kSensors));
  Racket before, after;
  if (record_.crossed < kHit && !racket_now(before)) return false;
  inner_.state(x_);
  for (int i = 0; i < substeps_; ++i) {
    const Ball from{x_.segment<3>(ball_q_), x_.segment<3>(ball_v_)};
    const bool moved = inner_.step(u);
    if (i == 0) inner_.sensors(y_.head(inner_.nsensor()));
    if (!moved || (record_.crossed < kHit && !racket_now(after))) return false;
    inner_.state(x_);
    const Ball flown{x_.segment<3>(ball_q_), x_.segment<3>(ball_v_)};
    Ball ball = flown;
    collide({0.0, from, flown}, before, after, ball);
    if (ball.v != flown.v) {
      x_.segment<3>(ball_q_) = ball.p;
      x_.segment<3>(ball_v_) = ball.v;
      inner_.reset(x_);
    }
    before = after;
  }
  return true;
}

TableTennisSystem::Contact TableTennisSystem::next_contact(const Sweep& sweep, const Racket& before,
                                                           const Racket& after, bool racket) const {
  using What = Contact::What;
  Contact first;
  const Ball &a = sweep.a, &b = sweep.b;
  const auto offer = [&](What what, double part, const Ball& ball) {
    const double f = sweep.from + part * (1.0 - sweep.from);
    if (f < first.f) first = {what, f, ball};
  };
  double part = 0.0;
  if (const auto ball = meets_table(court_, a, b, part)) offer(What::table, part, *ball);
  const double side = a.p[1] > court_.net ? 1.0 : -1.0,
               face = court_.net + side * (court_.net_thickness + court_.radius);
  if (const double from = side * (a.p[1] - face), to = side * (b.p[1] - face); from >= 0.0 && to < 0.0) {
    part = from / (from - to);
    Ball ball = between(a, b, part);
    ball.p[1] = face;
    if (std::abs(ball.p[0]) < court_.net_width && ball.p[2] > court_.surface && ball.p[2] < court_.net_top)
      offer(What::net, part, ball);
  }
  if (racket) {
    const Racket start = between(before, after, sweep.from);
    const double from = start.n.dot(a.p - start.p), to = after.n.dot(b.p - after.p), s = from > 0.0 ? 1.0 : -1.0;
    if (s * from >= court_.radius && s * to < court_.radius) {
      part = (s * from - court_.radius) / (s * (from - to));
      offer(What::racket, part, between(a, b, part));
    }
  }
  return first;
}

void TableTennisSystem::note_crossing(const Ball& at, const Racket& racket, double distance) {
  const Landing flight = landing(court_, {at.p, after_racket(court_, at, racket)});
  record_.off_centre = distance;
  record_.landing = flight.at;
  record_.clearance = flight.clearance;
}

Ball TableTennisSystem::bounce(const Contact& contact, const Racket& racket) {
  Ball ball = contact.at;
  if (contact.what == Contact::What::table) {
    ball.v = after_table(court_, ball.v);
    if ((ball.p[1] - court_.net) * court_.side < 0.0) {
      if (record_.bounces == 0.0) ball.v.head<2>() += record_.noise;
      record_.bounces += 1.0;
    }
  } else if (contact.what == Contact::What::net) {
    ball.v[1] *= -court_.net_restitution;
  } else {
    const Eigen::Vector3d arm = ball.p - racket.p;
    const double distance = (arm - arm.dot(racket.n) * racket.n).norm();
    if (distance < court_.blade) {
      note_crossing(ball, racket, distance);
      record_.crossed = kHit;
      ball.v = after_racket(court_, ball, racket);
    } else if (distance < kFarthestMiss && (record_.crossed == 0.0 || distance < record_.off_centre)) {
      note_crossing(ball, racket, distance);
      record_.crossed = kMissed;
    }
  }
  return ball;
}

void TableTennisSystem::collide(const Sweep& whole, const Racket& before, const Racket& after, Ball& ball) {
  Sweep sweep = whole;
  bool racket = record_.crossed < kHit;
  for (int i = 0;; ++i) {
    const Contact contact = next_contact(sweep, before, after, racket);
    if (contact.what == Contact::What::none) break;
    if (i == kMostImpacts) {
      sweep.b = {contact.at.p, Eigen::Vector3d(contact.at.v[0], contact.at.v[1], 0.0)};
      break;
    }
    if (contact.what == Contact::What::racket) racket = false;
    const Ball bounced = bounce(contact, between(before, after, contact.f));
    if (bounced.v == contact.at.v) continue;  // beside the blade
    sweep = {contact.f, bounced, euler_step(court_, bounced, (1.0 - contact.f) * h_)};
  }
  ball = sweep.b;
  if (record_.crossed == 0.0) record_.off_centre = std::min(record_.off_centre, (ball.p - after.p).norm());
}

bool TableTennisSystem::inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) {
  return inner_.inverse_dynamics(x.head(inner_.nx()), acceleration, u, inertia);
}

World table_tennis(const std::shared_ptr<const mjModel_>& model, int substeps, const TableTennisOptions& options,
                   std::vector<JointLimit> joint_limits) {
  return {std::make_shared<TableTennisSystem>(model, substeps, options, std::move(joint_limits)),
          TableTennisSystem::state_parts(), TableTennisSystem::start(), TableTennisSystem::sensor_parts()};
}

}  // namespace kedge
