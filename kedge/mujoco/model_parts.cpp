#include "kedge/mujoco/model_parts.h"

#include <algorithm>

namespace kedge {

namespace {

std::string object_name(const mjModel& m, mjtObj type, Index i) {
  const char* name = mj_id2name(&m, type, static_cast<int>(i));
  return name && *name ? name : std::to_string(i);
}

/// Since 3.x an actuator can have several controls.
template <class Model>
std::vector<Part> all_actuators(const Model& m) {
  std::vector<Part> parts;
  if constexpr (requires { m.actuator_ctrladr; }) {
    for (Index i = 0; i < static_cast<Index>(m.nactuator); ++i)
      parts.push_back({object_name(m, mjOBJ_ACTUATOR, i), m.actuator_ctrladr[i], m.actuator_ctrlnum[i]});
  } else {
    for (Index i = 0; i < static_cast<Index>(m.nu); ++i) parts.push_back({object_name(m, mjOBJ_ACTUATOR, i), i, 1});
  }
  return parts;
}

/// Before 2.3.1 activations belong to the last actuators, one each.
template <class Model>
std::vector<Part> all_activations(const Model& m) {
  std::vector<Part> parts;
  if constexpr (requires { m.actuator_actadr; }) {
    const Index n = static_cast<Index>(all_actuators(m).size());
    for (Index i = 0; i < n; ++i)
      if (m.actuator_actadr[i] >= 0)
        parts.push_back({object_name(m, mjOBJ_ACTUATOR, i), m.actuator_actadr[i], m.actuator_actnum[i]});
  } else {
    for (Index i = 0; i < m.na; ++i) parts.push_back({object_name(m, mjOBJ_ACTUATOR, m.nu - m.na + i), i, 1});
  }
  return parts;
}

Index actuator_number(const mjModel& m, const std::string& actuator) {
  const std::vector<std::string> all = names(actuators(m));
  return std::find(all.begin(), all.end(), actuator) - all.begin();
}

/// @param first  entry at which each joint begins  @param of_free, of_ball  entries of such a joint; others have one
std::vector<Part> joints(const mjModel& m, const int* first, Index of_free, Index of_ball) {
  std::vector<Part> parts;
  for (Index i = 0; i < static_cast<Index>(m.njnt); ++i) {
    const int type = m.jnt_type[i];
    const Index size = type == mjJNT_FREE ? of_free : type == mjJNT_BALL ? of_ball : 1;
    parts.push_back({object_name(m, mjOBJ_JOINT, i), first[i], size});
  }
  return parts;
}

}  // namespace

std::vector<Part> positions(const mjModel& m) { return joints(m, m.jnt_qposadr, 7, 4); }

std::vector<Part> velocities(const mjModel& m) { return joints(m, m.jnt_dofadr, 6, 3); }

std::vector<Part> quaternions(const mjModel& m) {
  std::vector<Part> parts;
  for (const Part& joint : positions(m))
    if (joint.size > 1) parts.push_back({joint.name, joint.first + joint.size - 4, 4});
  return parts;
}

std::vector<Part> actuators(const mjModel& m) { return all_actuators(m); }

std::vector<Part> activations(const mjModel& m) { return all_activations(m); }

std::vector<Part> sensors(const mjModel& m) {
  std::vector<Part> parts;
  for (Index i = 0; i < static_cast<Index>(m.nsensor); ++i)
    parts.push_back({object_name(m, mjOBJ_SENSOR, i), m.sensor_adr[i], m.sensor_dim[i]});
  return parts;
}

const Part* find(const std::vector<Part>& parts, const std::string& name) {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& part) { return part.name == name; });
  return found == parts.end() ? nullptr : &*found;
}

std::vector<std::string> names(const std::vector<Part>& parts) {
  std::vector<std::string> all;
  for (const Part& part : parts) all.push_back(part.name);
  return all;
}

Index driven_joint(const mjModel& m, const std::string& actuator) {
  const Index i = actuator_number(m, actuator);
  const Index joint = m.actuator_trntype[i] == mjTRN_JOINT ? m.actuator_trnid[2 * i] : -1;
  return joint >= 0 && (m.jnt_type[joint] == mjJNT_HINGE || m.jnt_type[joint] == mjJNT_SLIDE) ? joint : -1;
}

std::optional<Motor> motor(const mjModel& m, const std::string& actuator) {
  const Index joint = driven_joint(m, actuator), i = actuator_number(m, actuator);
  if (joint < 0 || m.actuator_dyntype[i] != mjDYN_NONE || m.actuator_gaintype[i] != mjGAIN_FIXED ||
      m.actuator_biastype[i] != mjBIAS_NONE)
    return std::nullopt;
  const double gear = m.actuator_gear[6 * i] * m.actuator_gainprm[mjNGAIN * i];
  if (gear == 0.0) return std::nullopt;
  return Motor{object_name(m, mjOBJ_JOINT, joint), m.jnt_qposadr[joint], static_cast<Index>(m.nq) + m.jnt_dofadr[joint],
               gear};
}

}  // namespace kedge
