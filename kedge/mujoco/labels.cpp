#include "kedge/mujoco/labels.h"

#include <fmt/format.h>
#include <mujoco/mujoco.h>

#include <array>

#include "kedge/mujoco/model_parts.h"

namespace kedge {

namespace {

void put(std::vector<Label>& labels, Index i, std::string text, std::string unit) {
  labels[static_cast<std::size_t>(i)] = {std::move(text), std::move(unit)};
}

/// "name", or "name[i]" where there are several.
std::string entry_name(const Part& part, Index i) {
  return part.size == 1 ? part.name : fmt::format("{}[{}]", part.name, i);
}

void label_joint(const Part& q, const Part& v, int type, Index nq, std::vector<Label>& labels) {
  static constexpr std::array quaternion{"qw", "qx", "qy", "qz"};
  static constexpr std::array axes{"x", "y", "z"};
  const auto position = [&](Index i, std::string text, const char* unit) {
    put(labels, q.first + i, std::move(text), unit);
  };
  const auto velocity = [&](Index i, std::string text, const char* unit) {
    put(labels, nq + v.first + i, std::move(text), unit);
  };
  if (type == mjJNT_HINGE || type == mjJNT_SLIDE) {
    position(0, q.name, type == mjJNT_HINGE ? "rad" : "m");
    velocity(0, q.name + " velocity", type == mjJNT_HINGE ? "rad/s" : "m/s");
    return;
  }
  const Index moves = type == mjJNT_FREE ? 3 : 0;
  for (Index i = 0; i < moves; ++i) {
    position(i, fmt::format("{} {}", q.name, axes[std::size_t(i)]), "m");
    velocity(i, fmt::format("{} velocity {}", q.name, axes[std::size_t(i)]), "m/s");
  }
  for (Index i = 0; i < 4; ++i) position(moves + i, fmt::format("{} {}", q.name, quaternion[std::size_t(i)]), "");
  for (Index i = 0; i < 3; ++i)
    velocity(moves + i, fmt::format("{} turning {}", q.name, axes[std::size_t(i)]), "rad/s");
}

/// @param hinge  the sensor or servo is of a hinge, not of a slide
const char* sensor_unit(int type, bool hinge) {
  switch (type) {
    case mjSENS_TOUCH:
    case mjSENS_FORCE: return "N";
    case mjSENS_TORQUE: return "N m";
    case mjSENS_ACCELEROMETER:
    case mjSENS_FRAMELINACC: return "m/s²";
    case mjSENS_FRAMEANGACC: return "rad/s²";
    case mjSENS_VELOCIMETER:
    case mjSENS_FRAMELINVEL:
    case mjSENS_SUBTREELINVEL:
    case mjSENS_TENDONVEL: return "m/s";
    case mjSENS_GYRO:
    case mjSENS_BALLANGVEL:
    case mjSENS_FRAMEANGVEL: return "rad/s";
    case mjSENS_MAGNETOMETER: return "T";
    case mjSENS_RANGEFINDER:
    case mjSENS_TENDONPOS:
    case mjSENS_FRAMEPOS:
    case mjSENS_SUBTREECOM: return "m";
    case mjSENS_SUBTREEANGMOM: return "kg m²/s";
    case mjSENS_JOINTPOS:
    case mjSENS_JOINTLIMITPOS: return hinge ? "rad" : "m";
    case mjSENS_JOINTVEL:
    case mjSENS_JOINTLIMITVEL: return hinge ? "rad/s" : "m/s";
    case mjSENS_JOINTLIMITFRC: return hinge ? "N m" : "N";
    default: return "";
  }
}

/// A control that is a wanted position or velocity of one joint: force = g (control - value).
std::string servo_unit(const mjModel& m, const std::string& actuator, std::size_t i) {
  const Index joint = driven_joint(m, actuator);
  if (joint < 0 || m.actuator_gear[6 * i] != 1.0 || m.actuator_gaintype[i] != mjGAIN_FIXED ||
      m.actuator_biastype[i] != mjBIAS_AFFINE)
    return "";
  const bool hinge = m.jnt_type[joint] == mjJNT_HINGE;
  const mjtNum gain = m.actuator_gainprm[mjNGAIN * i];
  const mjtNum* bias = m.actuator_biasprm + mjNBIAS * i;
  if (bias[0] == 0 && bias[1] == -gain) return hinge ? "rad" : "m";
  if (bias[0] == 0 && bias[1] == 0 && bias[2] == -gain) return hinge ? "rad/s" : "m/s";
  return "";
}

}  // namespace

std::vector<Label> state_labels(const MujocoSystem& system) {
  const mjModel& m = system.model();
  std::vector<Label> labels(static_cast<std::size_t>(system.nx()));
  const std::vector<Part> q = positions(m), v = velocities(m);
  for (std::size_t joint = 0; joint < q.size(); ++joint)
    label_joint(q[joint], v[joint], m.jnt_type[joint], static_cast<Index>(m.nq), labels);
  for (const Part& part : activations(m))
    for (Index i = 0; i < part.size; ++i)
      put(labels, static_cast<Index>(m.nq) + static_cast<Index>(m.nv) + part.first + i,
          entry_name(part, i) + " activation", "");
  return labels;
}

std::vector<Label> control_labels(const MujocoSystem& system) {
  const mjModel& m = system.model();
  std::vector<Label> labels(static_cast<std::size_t>(system.nu()));
  const std::vector<Part> all = actuators(m);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::optional<Motor> drives = motor(m, all[i].name);
    std::string unit = servo_unit(m, all[i].name, i);
    if (drives && drives->gear == 1.0) unit = m.jnt_type[driven_joint(m, all[i].name)] == mjJNT_HINGE ? "N m" : "N";
    for (Index k = 0; k < all[i].size; ++k) put(labels, all[i].first + k, entry_name(all[i], k), unit);
  }
  return labels;
}

std::vector<Label> sensor_labels(const MujocoSystem& system) {
  const mjModel& m = system.model();
  std::vector<Label> labels(static_cast<std::size_t>(system.nsensor()));
  const std::vector<Part> all = sensors(m);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool of_joint = m.sensor_objtype[i] == mjOBJ_JOINT;
    const bool hinge = of_joint && m.jnt_type[m.sensor_objid[i]] == mjJNT_HINGE;
    for (Index k = 0; k < all[i].size; ++k)
      put(labels, all[i].first + k, entry_name(all[i], k), sensor_unit(m.sensor_type[i], hinge));
  }
  return labels;
}

}  // namespace kedge
