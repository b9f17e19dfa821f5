#include "kedge/tasks/units.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/mujoco/model_parts.h"
#include "kedge/tasks/task_values.h"

namespace kedge {

namespace {

using std::numbers::pi;

double radians(double degrees) { return degrees * pi / 180.0; }

struct Warnings {
  const mjModel& m;
  std::vector<std::string> all;

  void add(const Value& value, const std::string& text) {
    try {
      value.fail(text);
    } catch (const InputError& e) {
      all.emplace_back(e.what());
    }
  }
};

/// The hinge or slide whose position is entry i of the state; -1: none.
int scalar_joint(const mjModel& m, Index i) {
  for (int j = 0; j < static_cast<int>(m.njnt); ++j)
    if (m.jnt_qposadr[j] == i && (m.jnt_type[j] == mjJNT_HINGE || m.jnt_type[j] == mjJNT_SLIDE)) return j;
  return -1;
}

std::string joint_name(const mjModel& m, int joint) { return positions(m)[static_cast<std::size_t>(joint)].name; }

bool in_range(const mjModel& m, int joint, double q) {
  // Soft limits give way a little, and numbers in task files are rounded.
  const double low = m.jnt_range[2 * joint], high = m.jnt_range[2 * joint + 1], slack = 0.01 * (high - low);
  return !m.jnt_limited[joint] || (q >= low - slack && q <= high + slack);
}

/// "; if they are degrees, write 0.785", where that would be within the range.
std::string if_degrees(const mjModel& m, int joint, double value) {
  if (m.jnt_type[joint] != mjJNT_HINGE || !in_range(m, joint, radians(value))) return "";
  return fmt::format("; {} degrees are {:.4g}", value, radians(value));
}

std::string range_text(const mjModel& m, int joint) {
  return fmt::format("the range of joint \"{}\", {:.4g} to {:.4g} {}", joint_name(m, joint), m.jnt_range[2 * joint],
                     m.jnt_range[2 * joint + 1], m.jnt_type[joint] == mjJNT_HINGE ? "rad" : "m");
}

/// More than a turn and a half, and a whole number of degrees that people write.
bool only_degrees(double value) { return std::abs(value) >= 3 * pi && std::fmod(value, 5.0) == 0.0; }

void judge_clock(const Value& root, const Task& task, Warnings& warnings) {
  const double seconds = task.horizon * task.control_step;
  const Value horizon = root.require("horizon");
  if (task.control_step >= kLongStep)
    warnings.add(root.require("control_step"),
                 fmt::format("{} s is a long time between two actions; {} ms are {}", task.control_step,
                             task.control_step, task.control_step / 1e3));
  else if (seconds < 0.1 - 1e-9)
    warnings.add(horizon,
                 fmt::format("{} control steps are {:.3g} s; the horizon counts steps, and {} s are {:.0f} of them",
                             task.horizon, seconds, task.horizon, task.horizon / task.control_step));
  if (seconds > 3600.0)
    warnings.add(horizon,
                 fmt::format("{} control steps are {:.3g} s, more than an hour; the horizon counts steps of {} s",
                             task.horizon, seconds, task.control_step));
}

void judge_start(const Value& root, const Task& task, Warnings& warnings) {
  const auto start = root.find("start");
  if (!start) return;
  const mjModel& m = warnings.m;
  const auto qpos = start->find("qpos"), from = start->find("from"), spread = start->find("qpos_spread");
  for (Index i = 0; i < static_cast<Index>(m.nq); ++i) {
    const int joint = scalar_joint(m, i);
    if (joint < 0) continue;
    const double mean = task.start.mean[i];
    if ((qpos || from) && !in_range(m, joint, mean))
      warnings.add(qpos ? *qpos : *from,
                   fmt::format("{:.4g} is outside of {}{}", mean, range_text(m, joint), if_degrees(m, joint, mean)));
    if (spread && m.jnt_type[joint] == mjJNT_HINGE && task.start.spread[i] > 1.01 * pi)
      warnings.add(
          *spread,
          fmt::format("{:.4g} rad for joint \"{}\" are more than half a turn; {:.4g} degrees are {:.4g}",
                      task.start.spread[i], joint_name(m, joint), task.start.spread[i], radians(task.start.spread[i])));
  }
}

/// Targets of the quaternion of a free or ball joint that no attitude has.
void judge_quaternion(const Value& target, const Residual& residual, Warnings& warnings) {
  const auto at = [&](std::size_t j) { return residual.index[j]; };
  for (const Part& joint : quaternions(warnings.m))
    for (std::size_t j = 0; j + 4 <= residual.index.size(); ++j) {
      if (at(j) != joint.first || at(j + 3) != joint.first + 3) continue;
      const double norm = residual.target.segment(static_cast<Index>(j), 4).norm();
      if (std::abs(norm - 1.0) > 1e-3)
        warnings.add(target, fmt::format("the quaternion of joint \"{}\" has norm {:.3g} there, but attitudes have 1; "
                                         "no turn is [1, 0, 0, 0]",
                                         joint.name, norm));
    }
}

/// True if all entries are places in the world, m, that a sensor reads.
bool all_places(const mjModel& m, const Residual& residual) {
  const auto is_place = [&](Index entry) {
    for (int i = 0; i < static_cast<int>(m.nsensor); ++i)
      if (entry >= m.sensor_adr[i] && entry < m.sensor_adr[i] + m.sensor_dim[i])
        return m.sensor_type[i] == mjSENS_FRAMEPOS || m.sensor_type[i] == mjSENS_SUBTREECOM;
    return false;
  };
  return residual.source == Source::sensor && std::ranges::all_of(residual.index, is_place);
}

/// Distances of more than a hundred times the size of everything: a robot does not come there.
void judge_distance(const Value& where, double distance, const Residual& residual, Warnings& warnings) {
  const double extent = warnings.m.stat.extent;
  if (!all_places(warnings.m, residual) || !(std::abs(distance) > 100 * extent)) return;
  warnings.add(where, fmt::format("{:.4g} m are far from a model whose size is {:.3g} m; {:.4g} mm are {:.4g}",
                                  distance, extent, distance, distance / 1e3));
}

/// @param section  with `of` and perhaps a target
void judge_target(const Value& section, const Residual& residual, Warnings& warnings) {
  const auto target = section.find("target");
  if (target) judge_distance(*target, residual.target.lpNorm<Eigen::Infinity>(), residual, warnings);
  if (!target || residual.source != Source::state || residual.matrix.size() > 0) return;
  const mjModel& m = warnings.m;
  judge_quaternion(*target, residual, warnings);
  for (std::size_t j = 0; j < residual.index.size(); ++j) {
    const int joint = scalar_joint(m, residual.index[j]);
    const double value = residual.target[static_cast<Index>(j)];
    if (joint < 0) continue;
    if (!residual.angle && !in_range(m, joint, value))
      warnings.add(*target,
                   fmt::format("{:.4g} is outside of {}{}", value, range_text(m, joint), if_degrees(m, joint, value)));
    else if (m.jnt_type[joint] == mjJNT_HINGE && only_degrees(value))
      warnings.add(*target, fmt::format("{:.4g} rad are {:.1f} turns of joint \"{}\"{}", value, value / (2 * pi),
                                        joint_name(m, joint), if_degrees(m, joint, value)));
  }
}

bool all_hinges(const mjModel& m, const Residual& residual) {
  if (residual.source != Source::state || residual.matrix.size() > 0) return false;
  for (const Index i : residual.index)
    if (const int joint = scalar_joint(m, i); joint < 0 || m.jnt_type[joint] != mjJNT_HINGE) return false;
  return true;
}

void judge_residuals(const Value& root, const Task& task, Warnings& warnings) {
  const std::vector<Value> costs = root.require("cost").elements();
  if (std::ranges::all_of(task.cost, [](const CostTerm& term) { return term.weight.isZero(0.0); }))
    warnings.add(root.require("cost"), "every weight is 0: there is nothing to learn");
  for (std::size_t i = 0; i < task.cost.size(); ++i)
    judge_target(Value(costs[i].node(), "cost." + task.cost[i].name, root.file()), task.cost[i].residual, warnings);
  for (std::size_t i = 0; i < task.termination.size(); ++i) {
    const Termination& end = task.termination[i];
    const Value element = root.require("termination").elements()[i];
    const Value section(element.node(), "termination." + end.name, root.file());
    judge_target(section, end.residual, warnings);
    if (end.cost == 0.0 && end.missing_step == 0.0)
      warnings.add(section.require("cost"),
                   "an end that costs nothing saves the costs of all steps that follow: it is "
                   "rewarded; give it a cost, or a missing_step");
    if (!all_hinges(warnings.m, end.residual)) continue;
    for (const double bound : {end.high[0], end.low[0]})
      if (std::isfinite(bound) && only_degrees(bound)) {
        warnings.add(section.require("range"), fmt::format("{:.4g} rad are {:.1f} turns; {:.4g} degrees are {:.4g}",
                                                           bound, bound / (2 * pi), bound, radians(bound)));
        break;
      }
  }
  if (task.success.empty()) return;
  const Success& success = task.success.front();
  const Value section = root.require("success");
  judge_target(section, success.residual, warnings);
  judge_distance(section.require("below"), success.below, success.residual, warnings);
  if (all_hinges(warnings.m, success.residual) && success.residual.angle && success.below > pi)
    warnings.add(section.require("below"),
                 fmt::format("every angle is nearer than {:.4g} rad; {:.4g} degrees are {:.4g}", success.below,
                             success.below, radians(success.below)));
}

/// The way that a motor at its limit moves its joint within one control step, from rest and without anything else.
void judge_limits(const Value& root, const Task& task, Warnings& warnings) {
  const mjModel& m = warnings.m;
  if (m.nv == 0) return;
  const std::unique_ptr<mjData, decltype(&mj_deleteData)> data(mj_makeData(&m), &mj_deleteData);
  std::copy_n(task.start.mean.data(), static_cast<std::size_t>(m.nq), data->qpos);
  mj_forward(&m, data.get());
  const auto nv = static_cast<Index>(m.nv);
  const MatrixXd identity = MatrixXd::Identity(nv, nv);
  MatrixXd inverse(nv, nv);  // of the inertia, by columns
  mj_solveM(&m, data.get(), inverse.data(), identity.data(), static_cast<int>(m.nv));
  const auto section = root.find("actions");
  const auto limit = section ? section->find("limit") : std::nullopt;
  const std::vector<Part> motors = actuators(m);
  for (Index i = 0; i < task.da(); ++i) {
    const std::string& name = task.action_names[static_cast<std::size_t>(i)];
    const auto drives = find(motors, name) ? motor(m, name) : std::nullopt;
    const double most = std::max(std::abs(task.action_low[i]), std::abs(task.action_high[i]));
    if (!drives || !std::isfinite(most)) continue;
    const int joint = static_cast<int>(driven_joint(m, name));
    const bool hinge = m.jnt_type[joint] == mjJNT_HINGE;
    const Index v = m.jnt_dofadr[joint];
    const double way = 0.5 * most * std::abs(drives->gear) * inverse(v, v) * task.control_step * task.control_step;
    if (way <= (hinge ? pi : 2 * m.stat.extent)) continue;
    warnings.add(
        limit ? *limit : root.require("model"),
        fmt::format(
            "{:.4g} for \"{}\", with gear {:.4g}, moves joint \"{}\" by {:.3g} {} within one control step; give a "
            "smaller limit, or is it in N mm?",
            most, name, drives->gear, drives->joint, way, hinge ? "rad" : "m"));
  }
}

/// The hinge whose angle is the control of a position servo; -1: it is none.
int served_hinge(const mjModel& m, const std::string& actuator) {
  const auto joint = static_cast<int>(driven_joint(m, actuator));
  if (joint < 0 || m.jnt_type[joint] != mjJNT_HINGE) return -1;
  const Index i = find(actuators(m), actuator)->first;
  const double gain = m.actuator_gainprm[mjNGAIN * i];
  const bool servo =
      m.actuator_biastype[i] == mjBIAS_AFFINE && gain > 0 && m.actuator_biasprm[mjNBIAS * i + 1] == -gain;
  return servo && m.actuator_gear[6 * i] == 1.0 ? joint : -1;
}

/// Position servos that are told angles far beyond those of their joint.
void judge_servos(const Value& root, const Task& task, Warnings& warnings) {
  const mjModel& m = warnings.m;
  const auto section = root.find("actions");
  const auto limit = section ? section->find("limit") : std::nullopt;
  const std::vector<Part> all = actuators(m);
  for (Index i = 0; i < task.da(); ++i) {
    const std::string& name = task.action_names[static_cast<std::size_t>(i)];
    const double most = std::max(std::abs(task.action_low[i]), std::abs(task.action_high[i]));
    const int joint = find(all, name) && std::isfinite(most) ? served_hinge(m, name) : -1;
    if (joint < 0) continue;
    const double reach = std::max(std::abs(m.jnt_range[2 * joint]), std::abs(m.jnt_range[2 * joint + 1]));
    if (m.jnt_limited[joint] ? most <= 3 * reach : !only_degrees(most)) continue;
    warnings.add(limit ? *limit : root.require("model"),
                 fmt::format("{:.4g} rad for \"{}\", a position servo, {}; {:.4g} degrees are {:.4g}", most, name,
                             m.jnt_limited[joint] ? "are far beyond " + range_text(m, joint)
                                                  : fmt::format("are {:.1f} turns", most / (2 * pi)),
                             most, radians(most)));
  }
}

/// Laws that begin where a joint's own range has ended.
void judge_joint_limits(const Value& root, Warnings& warnings) {
  const mjModel& m = warnings.m;
  const auto laws = root.find("joint_limit");
  if (!laws) return;
  for (const Value& law : laws->elements()) {
    const Value range = law.require("range");
    const auto [low, high] = read_bounds(range);
    for (const std::string& name : read_texts(law.require("actuators"))) {
      const auto joint = static_cast<int>(driven_joint(m, name));
      if (joint < 0 || m.jnt_type[joint] != mjJNT_HINGE) continue;
      const double most = std::isfinite(high) ? high : low;
      if (!std::isfinite(most) || (in_range(m, joint, most) && !only_degrees(most))) continue;
      warnings.add(range,
                   fmt::format("{:.4g} rad are beyond {}{}", most, range_text(m, joint), if_degrees(m, joint, most)));
      break;
    }
  }
}

void judge_model(const Value& root, Warnings& warnings) {
  const mjModel& m = warnings.m;
  for (int joint = 0; joint < static_cast<int>(m.njnt); ++joint) {
    if (m.jnt_type[joint] != mjJNT_HINGE || !m.jnt_limited[joint]) continue;
    const double low = m.jnt_range[2 * joint], high = m.jnt_range[2 * joint + 1];
    const std::string compiler = "its <compiler angle=\"degree\"/> or \"radian\" says in which unit ranges are";
    if (only_degrees(low) || only_degrees(high))
      warnings.add(root.require("model"), fmt::format("{} are many turns; {}", range_text(m, joint), compiler));
    else if (high - low < radians(6.5))
      warnings.add(root.require("model"),
                   fmt::format("{} is less than 6.5 degrees; {}", range_text(m, joint), compiler));
  }
}

}  // namespace

std::vector<std::string> start_warnings(const Value& root, const Task& task, const mjModel& model) {
  Warnings warnings{model, {}};
  judge_start(root, task, warnings);
  return std::move(warnings.all);
}

std::vector<std::string> unit_warnings(const Value& root, const Task& task, const mjModel& model) {
  Warnings warnings{model, {}};
  judge_model(root, warnings);  // wrong ranges there make others seem wrong
  judge_clock(root, task, warnings);
  judge_start(root, task, warnings);
  judge_residuals(root, task, warnings);
  judge_limits(root, task, warnings);
  judge_servos(root, task, warnings);
  judge_joint_limits(root, warnings);
  return std::move(warnings.all);
}

}  // namespace kedge
