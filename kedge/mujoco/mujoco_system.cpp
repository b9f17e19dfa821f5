#include "kedge/mujoco/mujoco_system.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/mujoco/guard.h"
#include "kedge/mujoco/model_parts.h"
#include "kedge/mujoco/step_derivatives.h"

namespace kedge {

namespace {

bool good(const mjtNum* values, Index n) {
  for (Index i = 0; i < n; ++i)
    if (!(std::abs(values[i]) <= mjMAXVAL)) return false;  // false for NaN
  return true;
}

/// Is the option flag of this name set? The bits of the flags, and which flags exist, differ between versions.
template <int N>
bool flag(const char* const (&names)[N], int bits, std::string_view name) {
  for (int i = 0; i < N; ++i)
    if (name == names[i]) return (bits & (1 << i)) != 0;
  return false;
}

/// Since 2.3.
template <class Model>
bool has_plugins(const Model& m) {
  if constexpr (requires { m.nplugin; })
    return m.nplugin > 0;
  else
    return false;
}

/// Does a step change nothing that a later step reads but state, warm start, time and warnings? So it is up to 2.x, where
/// MuJoCo's own reset clears megabytes. Later versions have more (sleeping bodies, delayed controls), and a quick reset.
constexpr bool kStepsLeaveNoTrace = mjVERSION_HEADER < 300;

/// Number of actuators: since 3.x an actuator can have several controls.
template <class Model>
Index actuator_count(const Model& m) {
  if constexpr (requires { m.nactuator; })
    return static_cast<Index>(m.nactuator);
  else
    return static_cast<Index>(m.nu);
}

bool passed(const JointLimit& limit, double q) { return !(q >= limit.low && q <= limit.high); }

/// The control of a limit that is passed.
double held(const JointLimit& limit, double q, double velocity) {
  const double bound = std::clamp(q, limit.low, limit.high);
  return std::clamp(limit.stiffness * (bound - q) - limit.damping * velocity, limit.control_low, limit.control_high);
}

/// The joint of a degree of freedom and its body, for people.
std::string joint_text(const mjModel& m, Index dof) {
  const Index joint = m.dof_jntid[dof];
  const auto name = [&](int type, Index i) {
    const char* text = mj_id2name(&m, type, static_cast<int>(i));
    return text && *text ? fmt::format("\"{}\"", one_line(text, 60)) : fmt::format("{}", i);
  };
  return fmt::format("joint {} of body {}", name(mjOBJ_JOINT, joint),
                     name(mjOBJ_BODY, static_cast<Index>(m.jnt_bodyid[joint])));
}

/// The joint that has entry i of qpos.
std::string position_text(const mjModel& m, Index i) {
  Index joint = 0;
  while (joint + 1 < static_cast<Index>(m.njnt) && m.jnt_qposadr[joint + 1] <= i) ++joint;
  return joint_text(m, static_cast<Index>(m.jnt_dofadr[joint]));
}

/// What MuJoCo warned about, with what helps; or which number of the state is bad.
std::string warning_text(const mjModel& m, const mjData& d) {
  const bool arena = !kStepsLeaveNoTrace;  // since 3.x contacts and constraints share one memory
  const auto info = [&](mjtWarning kind) { return static_cast<Index>(d.warning[kind].lastinfo); };
  const auto seen = [&](mjtWarning kind) { return d.warning[kind].number > 0; };
  constexpr const char* soften = "a smaller time step, softer contacts or weaker actions help";
  if (seen(mjWARN_CONTACTFULL))
    return arena ? "MuJoCo: the contact buffer is full; <size memory=...> in the model makes room"
                 : fmt::format(
                       "MuJoCo: the contact buffer is full, {} contacts; <size nconmax=... njmax=...> in the "
                       "model makes room",
                       info(mjWARN_CONTACTFULL));
  if (seen(mjWARN_CNSTRFULL))
    return arena
               ? "MuJoCo: the constraint buffer is full; <size memory=...> in the model makes room"
               : fmt::format("MuJoCo: the constraint buffer is full, {} rows; <size njmax=...> in the model makes room",
                             info(mjWARN_CNSTRFULL));
  if (seen(mjWARN_BADQPOS))
    return fmt::format("MuJoCo: bad qpos at {} (not a number, or beyond 1e10)", position_text(m, info(mjWARN_BADQPOS)));
  if (seen(mjWARN_BADQVEL))
    return fmt::format("MuJoCo: bad qvel at {} (not a number, or beyond 1e10)", joint_text(m, info(mjWARN_BADQVEL)));
  if (seen(mjWARN_BADQACC))
    return fmt::format("MuJoCo: bad qacc at {} (not a number, or beyond 1e10); {}", joint_text(m, info(mjWARN_BADQACC)),
                       soften);
  if (seen(mjWARN_INERTIA))
    return fmt::format("MuJoCo: the inertia is singular at {}; more mass or armature helps",
                       joint_text(m, info(mjWARN_INERTIA)));
  for (const mjWarningStat& warning : d.warning)
    if (warning.number > 0)
      return fmt::format("MuJoCo: {}",
                         one_line(mju_warningText(static_cast<int>(&warning - d.warning), warning.lastinfo)));
  return fmt::format("the state is not finite or beyond 1e10; {}", soften);
}

}  // namespace

std::string unsupported(const mjModel_& m) {
  if (m.nv == 0) return "it has no joints";
  if (m.nu == 0)
    return "it has no actuators; give each joint that is driven a <motor> in <actuator> (a URDF cannot have one: save "
           "it "
           "as MJCF, with MuJoCo's `compile arm.urdf arm.xml`, and add them there)";
  if (flag(mjDISABLESTRING, m.opt.disableflags, "Actuation"))
    return "its flag actuation=\"disable\" makes actions useless";
  if (flag(mjENABLESTRING, m.opt.enableflags, "Sensornoise"))
    return "its flag sensornoise=\"enable\" cannot be reproduced";
  if (has_plugins(m)) return "it uses plugins, whose state kedge cannot reset";
  for (Index i = 0; i < actuator_count(m); ++i)
    if (m.actuator_dyntype[i] == mjDYN_USER || m.actuator_gaintype[i] == mjGAIN_USER ||
        m.actuator_biastype[i] == mjBIAS_USER)
      return fmt::format("actuator {} is of type user, which needs code that is not in the model", i);
  for (Index i = 0; i < static_cast<Index>(m.nsensor); ++i)
    if (m.sensor_type[i] == mjSENS_USER)
      return fmt::format("sensor {} is of type user, which needs code that is not in the model", i);
  return "";
}

const MujocoSystem* mujoco_of(const System& system) {
  if (const auto* own = dynamic_cast<const MujocoSystem*>(&system)) return own;
  const auto* around = dynamic_cast<const AroundMujoco*>(&system);
  return around ? &around->mujoco() : nullptr;
}

void MujocoSystem::DeleteData::operator()(mjData_* data) const { mj_deleteData(data); }

MujocoSystem::MujocoSystem(std::shared_ptr<const mjModel_> model, int substeps, std::vector<JointLimit> joint_limits)
    : model_(std::move(model)),
      substeps_(substeps),
      joint_limits_(std::move(joint_limits)),
      sensors_(VectorXd::Zero(static_cast<Index>(model_->nsensordata))),
      scratch_(static_cast<Index>(model_->nq)) {
  install_mujoco_handlers();
  mjData* data = nullptr;
  if (!call_mujoco([&] { data = mj_makeData(model_.get()); }) || !data)
    throw SystemError("MuJoCo cannot allocate the memory of a simulation");
  data_.reset(data);
  for (const Part& actuator : actuators(*model_)) {
    const auto found = motor(*model_, actuator.name);
    if (!found || std::ranges::find(drives_, found->q, &Drive::position) != drives_.end()) continue;
    drives_.push_back({actuator.first, found->q, found->v});
    gear_.push_back(found->gear);
  }
}

Index MujocoSystem::nx() const { return static_cast<Index>(model_->nq + model_->nv + model_->na); }
Index MujocoSystem::nu() const { return static_cast<Index>(model_->nu); }
Index MujocoSystem::nsensor() const { return static_cast<Index>(model_->nsensordata); }

std::unique_ptr<System> MujocoSystem::clone() const {
  return std::make_unique<MujocoSystem>(model_, substeps_, joint_limits_);
}

Index MujocoSystem::ndx() const { return static_cast<Index>(2 * model_->nv + model_->na); }

void MujocoSystem::difference(VectorIn from, VectorIn to, VectorOut dx) const {
  const Index nq = static_cast<Index>(model_->nq), nv = static_cast<Index>(model_->nv);
  mj_differentiatePos(model_.get(), dx.data(), 1.0, from.data(), to.data());
  dx.tail(ndx() - nv) = to.tail(nx() - nq) - from.tail(nx() - nq);
}

void MujocoSystem::integrate(VectorIn x, VectorIn dx, VectorOut moved) const {
  const Index nq = static_cast<Index>(model_->nq), nv = static_cast<Index>(model_->nv);
  moved.head(nq) = x.head(nq);
  mj_integratePos(model_.get(), moved.data(), dx.data(), 1.0);
  moved.tail(nx() - nq) = x.tail(nx() - nq) + dx.tail(ndx() - nv);
}

void MujocoSystem::tangent(VectorIn x, MatrixOut G) const {
  const Index nq = static_cast<Index>(model_->nq), nv = static_cast<Index>(model_->nv);
  G.setZero();
  G.bottomRightCorner(nx() - nq, ndx() - nv).setIdentity();
  for (Index j = 0; j < static_cast<Index>(model_->njnt); ++j) {
    Index q = static_cast<Index>(model_->jnt_qposadr[j]), v = static_cast<Index>(model_->jnt_dofadr[j]);
    const int type = model_->jnt_type[j];
    if (type == mjJNT_SLIDE || type == mjJNT_HINGE) {
      G(q, v) = 1.0;
      continue;
    }
    if (type == mjJNT_FREE) {
      G.block(q, v, 3, 3).setIdentity();
      q += 3;
      v += 3;
    }
    // Angular velocity w in the body's frame: d(quaternion)/dt = quaternion * (0, w) / 2.
    for (Index i = 0; i < 3; ++i) {
      const Eigen::Vector3d half_axis = 0.5 * Eigen::Vector3d::Unit(i);
      mju_mulQuatAxis(&G(q, v + i), x.data() + q, half_axis.data());
    }
  }
}

void MujocoSystem::reset(VectorIn x) {
  mjData& d = *data_;
  if (!clean_ || !kStepsLeaveNoTrace) mj_resetData(model_.get(), &d);
  clean_ = true;
  trouble_.clear();
  d.time = 0.0;
  const double* from = x.data();
  std::copy_n(from, model_->nq, d.qpos);
  std::copy_n(from + model_->nq, model_->nv, d.qvel);
  std::copy_n(from + model_->nq + model_->nv, model_->na, d.act);
  sensors_.setZero();
}

void MujocoSystem::hold(VectorIn x, VectorOut u) const {
  for (const JointLimit& limit : joint_limits_) {
    const double q = x[limit.qpos], velocity = x[model_->nq + limit.qvel];
    if (std::isfinite(q) && std::isfinite(velocity) && passed(limit, q)) u[limit.control] = held(limit, q, velocity);
  }
}

void MujocoSystem::apply_control(VectorIn u) {
  mjData& d = *data_;
  std::copy_n(u.data(), model_->nu, d.ctrl);
  for (const JointLimit& limit : joint_limits_)
    if (passed(limit, d.qpos[limit.qpos])) d.ctrl[limit.control] = held(limit, d.qpos[limit.qpos], d.qvel[limit.qvel]);
}

/// 1 where the control of a limit that is passed follows its joint, 0 where it is cut off.
double MujocoSystem::slope(const JointLimit& limit) const {
  const double control = data_->ctrl[limit.control];
  return control > limit.control_low && control < limit.control_high ? 1.0 : 0.0;
}

bool MujocoSystem::markov() const { return !has_delays(*model_); }

Differentiable::Outcome MujocoSystem::derivatives(VectorIn x, VectorIn u, const DifferenceSteps& steps,
                                                  StepDerivatives& out) {
  if (!markov()) {
    clean_ = false;
    trouble_ = "the model has delays: what is on its way is no part of the state, so a step has no derivatives";
    return Outcome::diverged;
  }
  if (!has_step_derivatives(*model_) || flag(mjENABLESTRING, model_->opt.enableflags, "Sleep"))
    return Outcome::unsupported;
  mjData& d = *data_;
  reset(x);
  std::fill_n(d.qacc_warmstart, model_->nv, 0.0);
  StepDifferences differences(*model_, d);
  StepDerivatives sub;
  for (int i = 0; i < substeps_; ++i) {
    apply_control(u);
    DifferenceSteps of_sub_step = steps;
    of_sub_step.sensors = steps.sensors && i == 0;
    std::vector<std::pair<const JointLimit*, double>> holding;  // limits that are passed now, and their slopes
    for (const JointLimit& limit : joint_limits_) {
      if (!passed(limit, d.qpos[limit.qpos])) continue;
      holding.emplace_back(&limit, slope(limit));
      const double middle = 0.5 * (limit.control_low + limit.control_high);
      of_sub_step.control_step[limit.control] = d.ctrl[limit.control] > middle ? -steps.control : steps.control;
    }
    note(differences.step(of_sub_step, sub));
    if (!clean_) return Outcome::diverged;
    if (!(sub.A.allFinite() && sub.B.allFinite() && sub.C.allFinite() && sub.D.allFinite())) {
      clean_ = false;
      trouble_ = "the derivatives are not finite";
      return Outcome::diverged;
    }
    const auto follow_joint = [&](const JointLimit& limit, double slope, MatrixXd& by_state, MatrixXd& by_control) {
      auto by_own = by_control.col(limit.control);
      by_state.col(limit.qvel) -= slope * limit.stiffness * by_own;
      by_state.col(model_->nv + limit.qvel) -= slope * limit.damping * by_own;
      by_own.setZero();  // whatever the policy wants
    };
    for (const auto& [limit, slope] : holding) {
      follow_joint(*limit, slope, sub.A, sub.B);
      follow_joint(*limit, slope, sub.C, sub.D);
    }
    if (i == 0) {
      out = sub;
    } else {
      out.B = (sub.A * out.B + sub.B).eval();
      out.A = (sub.A * out.A).eval();
    }
  }
  return Outcome::found;
}

bool MujocoSystem::step(VectorIn u) {
  mjData& d = *data_;
  const bool returned = call_mujoco([&] {
    std::fill_n(d.qacc_warmstart, model_->nv, 0.0);
    apply_control(u);
    mj_step(model_.get(), &d);
    // The first sub-step evaluates the sensors at the state and control of the control step; with RK4 only its first
    // stage does.
    std::copy_n(d.sensordata, sensors_.size(), sensors_.data());
    for (int i = 1; i < substeps_; ++i) {
      apply_control(u);
      mj_step(model_.get(), &d);
    }
  });
  note(returned);
  return clean_;
}

void MujocoSystem::note(bool returned) {
  if (!clean_) return;
  clean_ = returned && healthy();
  if (clean_) return;
  if (!returned)
    trouble_ = fmt::format("MuJoCo: {}", one_line(mujoco_guard().error));
  else
    trouble_ = warning_text(*model_, *data_);
}

bool MujocoSystem::healthy() const {
  const mjData& d = *data_;
  for (const mjWarningStat& warning : d.warning)
    if (warning.number > 0) return false;
  return good(d.qpos, static_cast<Index>(model_->nq)) && good(d.qvel, static_cast<Index>(model_->nv)) &&
         good(d.act, static_cast<Index>(model_->na));
}

void MujocoSystem::settle() {
  mjData& d = *data_;
  std::fill_n(d.ctrl, model_->nu, 0.0);
  // mj_forward normalises quaternions in qpos: put them back.
  std::copy_n(d.qpos, model_->nq, scratch_.data());
  const bool returned = call_mujoco([&] {
    std::fill_n(d.qacc_warmstart, model_->nv, 0.0);
    mj_forward(model_.get(), &d);
  });
  std::copy_n(scratch_.data(), model_->nq, d.qpos);
  note(returned);
  if (clean_)
    std::copy_n(d.sensordata, sensors_.size(), sensors_.data());
  else
    sensors_.setConstant(std::numeric_limits<double>::quiet_NaN());
}

void MujocoSystem::state(VectorOut x) const {
  const mjData& d = *data_;
  double* to = std::copy_n(d.qpos, model_->nq, x.data());
  to = std::copy_n(d.qvel, model_->nv, to);
  std::copy_n(d.act, model_->na, to);
}

void MujocoSystem::sensors(VectorOut y) const { y = sensors_; }

VectorXd MujocoSystem::acceleration(VectorIn x, VectorIn u) {
  reset(x);
  mjData& d = *data_;
  std::copy_n(u.data(), model_->nu, d.ctrl);
  clean_ = call_mujoco([&] {
             std::fill_n(d.qacc_warmstart, model_->nv, 0.0);
             mj_forward(model_.get(), &d);
           }) &&
           healthy();
  if (!clean_) return VectorXd::Constant(static_cast<Index>(model_->nv), std::numeric_limits<double>::quiet_NaN());
  return Eigen::Map<const VectorXd>(d.qacc, static_cast<Index>(model_->nv));
}

bool MujocoSystem::site_motion(Index site, SiteMotion& motion) {
  const mjModel& m = *model_;
  mjData& d = *data_;
  const auto nv = static_cast<Index>(m.nv);
  motion.Jp.resize(3, nv);
  motion.Jr.resize(3, nv);
  std::copy_n(d.qpos, m.nq, scratch_.data());  // mj_kinematics normalises quaternions: put them back
  note(call_mujoco([&] {
    mj_kinematics(&m, &d);
    mj_comPos(&m, &d);
    mj_jacSite(&m, &d, motion.Jp.data(), motion.Jr.data(), static_cast<int>(site));
  }));
  std::copy_n(scratch_.data(), m.nq, d.qpos);
  if (!clean_) return false;
  const Eigen::Map<const VectorXd> qvel(d.qvel, nv);
  motion.position = Eigen::Map<const Eigen::Vector3d>(d.site_xpos + 3 * site);
  motion.rotation = Eigen::Map<const Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(d.site_xmat + 9 * site);
  motion.velocity = motion.Jp * qvel;
  motion.angular_velocity = motion.Jr * qvel;
  return true;
}

namespace {

/// The bodies of objects: a kinematic tree that can move and of which none of these drives moves a joint.
std::vector<bool> object_bodies(const mjModel& m, const std::vector<Drive>& drives) {
  const auto root = [&](Index body) { return static_cast<std::size_t>(m.body_rootid[body]); };
  std::vector<bool> object(static_cast<std::size_t>(m.nbody), false);  // of the roots first
  for (Index dof = 0; dof < static_cast<Index>(m.nv); ++dof) object[root(m.dof_bodyid[dof])] = true;
  for (const Drive& drive : drives) object[root(m.dof_bodyid[drive.velocity - static_cast<Index>(m.nq)])] = false;
  for (std::size_t i = 0; i < object.size(); ++i) object[i] = object[root(static_cast<Index>(i))];
  return object;
}

/// Of the constraint forces of `mj_inverse`, those of contacts with objects. In inverse dynamics no constraint depends on
/// another, so that the rest is what the model without them would have. @return [nv]
VectorXd forces_of_objects(const mjModel& m, mjData& d, const std::vector<Drive>& drives) {
  const std::vector<bool> object = object_bodies(m, drives);
  const auto is_object = [&](int geom) { return geom >= 0 && object[static_cast<std::size_t>(m.geom_bodyid[geom])]; };
  VectorXd rows = VectorXd::Zero(d.nefc), forces = VectorXd::Zero(m.nv);
  for (int i = 0; i < d.nefc; ++i) {
    if (d.efc_type[i] < mjCNSTR_CONTACT_FRICTIONLESS) continue;
    const mjContact& contact = d.contact[d.efc_id[i]];
    if (is_object(contact.geom1) || is_object(contact.geom2)) rows[i] = d.efc_force[i];
  }
  if (!rows.isZero(0.0)) mj_mulJacTVec(&m, &d, forces.data(), rows.data());
  return forces;
}

}  // namespace

bool MujocoSystem::inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) {
  reset(x);
  mjData& d = *data_;
  const mjModel& m = *model_;
  const auto nv = static_cast<Index>(m.nv);
  const auto dof = [&](std::size_t i) { return drives_[i].velocity - static_cast<Index>(m.nq); };
  std::fill_n(d.qacc, m.nv, 0.0);
  for (std::size_t i = 0; i < drives_.size(); ++i) d.qacc[dof(i)] = acceleration[static_cast<Index>(i)];
  note(call_mujoco([&] { mj_inverse(&m, &d); }));
  if (!clean_) return false;
  const bool damped = m.opt.integrator == mjINT_EULER && !flag(mjDISABLESTRING, m.opt.disableflags, "Eulerdamp");
  const VectorXd objects = forces_of_objects(m, d, drives_);
  VectorXd column(nv), unit = VectorXd::Zero(nv);
  for (std::size_t j = 0; j < drives_.size(); ++j) {
    const double implicit = damped ? m.opt.timestep * m.dof_damping[dof(j)] : 0.0;
    unit[dof(j)] = 1.0;
    mj_mulM(&m, &d, column.data(), unit.data());
    column[dof(j)] += implicit;
    unit[dof(j)] = 0.0;
    for (std::size_t i = 0; i < drives_.size(); ++i)
      inertia(static_cast<Index>(i), static_cast<Index>(j)) = column[dof(i)] / gear_[i];
    const auto at = static_cast<Index>(j);
    u[at] = (d.qfrc_inverse[dof(j)] + objects[dof(j)] + implicit * acceleration[at]) / gear_[j];
  }
  return u.allFinite() && inertia.allFinite();
}

}  // namespace kedge
