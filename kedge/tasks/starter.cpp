#include "kedge/tasks/starter.h"

#include <fmt/ranges.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/toml_value.h"
#include "kedge/mujoco/frame_sensors.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/mujoco/refusal.h"
#include "kedge/tasks/task_values.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr double kControlStep = 0.03;  ///< s, about: what a first task is controlled at
constexpr double kDuration = 1.5;      ///< s, about
constexpr int kLeastHorizon = 25, kLongestHorizon = 100;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

std::string quoted_list(const std::vector<Part>& parts) {
  std::vector<std::string> all;
  for (const Part& part : parts) all.push_back(quoted(part.name));
  return fmt::format("[{}]", fmt::join(all, ", "));
}

std::string numbers(const mjtNum* from, Index n) {
  std::vector<std::string> all;
  for (Index i = 0; i < n; ++i) all.push_back(fmt::format("{:.6g}", from[i]));
  return fmt::format("[{}]", fmt::join(all, ", "));
}

/// A weight of the effort that makes full effort cost about 0.1 of an error of 1. @return one for each action
std::string effort_weights(const mjModel& m) {
  std::vector<std::string> all;
  for (Index u = 0; u < static_cast<Index>(m.nu); ++u) {
    const double half = 0.5 * (m.actuator_ctrlrange[2 * u + 1] - m.actuator_ctrlrange[2 * u]);
    all.push_back(fmt::format("{:.2g}", m.actuator_ctrllimited[u] && half > 0 ? 0.1 / (half * half) : 0.01));
  }
  return fmt::format("[{}]", fmt::join(all, ", "));
}

std::string limits_text(const mjModel& m) {
  std::string text;
  for (const Part& part : actuators(m))
    for (Index i = 0; i < part.size; ++i) {
      const Index u = part.first + i;
      text += m.actuator_ctrllimited[u]
                  ? fmt::format("#   {} in [{:.4g}, {:.4g}]\n", one_line(part.name), m.actuator_ctrlrange[2 * u],
                                m.actuator_ctrlrange[2 * u + 1])
                  : fmt::format("#   {} without limits in the model: give some with `limit`\n", one_line(part.name));
    }
  return text;
}

std::string joints_text(const mjModel& m) {
  std::string text;
  const std::vector<Part> q = positions(m), v = velocities(m);
  for (std::size_t j = 0; j < q.size(); ++j)
    text += fmt::format("#   {}: {} in qpos, {} in qvel\n", one_line(q[j].name), q[j].size, v[j].size);
  return text;
}

/// The keyframe to start from, or nothing.
std::string keyframe(const mjModel& m) {
  if (m.nkey < 1) return "";
  const char* name = mj_id2name(&m, mjOBJ_KEY, 0);
  return name && *name ? name : "0";
}

/// Every position and velocity at the end, and the motion: what most tasks change first.
std::string costs_text(const mjModel& m, const mjtNum* pose) {
  const std::string target = numbers(pose, static_cast<Index>(m.nq));
  return fmt::format(
      "# A cost is weight * r^2, summed over entries and steps; r = (what it is of) - target. This one holds the pose "
      "of the\n"
      "# start: change the targets, or name what shall move: of = \"qpos:JOINT\", \"qvel:JOINT\", \"site:NAME[z]\", "
      "\"sensor:NAME\", \"action\".\n"
      "[[cost]]\nname = \"pose\"\nof = \"qpos\"\ntarget = {0}\n\n"
      "[[cost]]\nname = \"pose_at_the_end\"\nof = \"qpos\"\ntarget = {0}\nweight = 10\nsteps = \"final\"\n\n"
      "[[cost]]\nname = \"rates\"\nof = \"qvel\"\nweight = 0.01\nsteps = [\"all\", \"final\"]\n\n"
      "[[cost]]\nname = \"effort\"  # every action needs a cost\nof = \"action\"\nweight = {1}\n\n"
      "[success]\ntext = \"every position is within 0.1 of its target over the last 5 steps\"\nof = \"qpos\"\ntarget = "
      "{0}\n"
      "statistic = \"max_abs\"\nbelow = 0.1  # rad, m\nsteps = \"last 5\"\n",
      target, effort_weights(m));
}

std::shared_ptr<mjModel> compiled(const fs::path& path, const std::stop_token& stop) {
  const std::string name = path.string();
  std::error_code error;
  if (!fs::is_regular_file(path, error)) throw InputError(fmt::format("{}: there is no such model", one_line(name)));
  const ModelFiles files = read_model_files(name);
  LoadedModel loaded;
  try {
    loaded = load_model(files, {}, stop);
  } catch (const InputError& e) {
    throw InputError(fmt::format("{}: {}", one_line(name), e.what()));
  }
  if (!loaded.model) throw InputError(fmt::format("{}: {}", name, mujoco_refuses("it", loaded.error)));
  if (const std::string why = unsupported(*loaded.model); !why.empty())
    throw InputError(fmt::format("{}: kedge cannot use it: {}", name, why));
  return loaded.model;
}

}  // namespace

std::string starter_task(const fs::path& path, const fs::path& folder, const std::stop_token& stop) {
  const std::shared_ptr<mjModel> model = compiled(path, stop);
  const mjModel& m = *model;
  const double dt = m.opt.timestep;
  const int substeps = static_cast<int>(std::clamp(std::round(kControlStep / dt), 1.0, 10000.0));
  const double control_step = substeps * dt;
  const int horizon =
      std::clamp(static_cast<int>(std::round(kDuration / control_step)), kLeastHorizon, kLongestHorizon);
  const std::string key = keyframe(m);
  const fs::path relative =
      fs::absolute(path).lexically_normal().lexically_relative(fs::absolute(folder).lexically_normal());

  std::string text = fmt::format(
      "# A first task for {}: hold the pose of the start. Change it step by step;\n"
      "# `kedge validate` says at once what is wrong, and docs/tasks.md describes every key.\n"
      "kedge = 1\nname = {}\nmodel = {}\n"
      "horizon = {}  # control steps: {:.3g} s. Learning is easier with few\n"
      "control_step = {}  # s\nsubsteps = {}\n\n"
      "# The actuators, all of them driven:\n{}"
      "[actions]\nactuators = {}\n# limit = 1.0  # a number, one for each, or {{ ACTUATOR = [low, high] }}\n\n"
      "# The joints, seen by the policy with positions and velocities:\n{}"
      "[observation]\nparts = [\"qpos\", \"qvel\"{}]\n\n",
      one_line(path.filename().string()), quoted(identifier_of(path.stem().string())),
      quoted(relative.generic_string()), horizon, horizon * control_step, control_step, substeps, limits_text(m),
      quoted_list(actuators(m)), joints_text(m), m.na > 0 ? ", \"act\"" : "");
  text += fmt::format("[start]\n{}qvel_spread = 0.01  # a little, so that the policy learns to react\n",
                      key.empty() ? "# qpos = { JOINT = 0.1 }  # default: the model's own pose\n"
                                  : fmt::format("from = {}\n", quoted("keyframe:" + key)));
  if (quaternions(m).empty()) text += "qpos_spread = 0.01\n";
  text += "\n";
  if (m.nsensor > 0)
    text += fmt::format("# Sensors for costs and success, \"sensor:NAME\": {}\n\n", quoted_list(sensors(m)));
  if (const std::vector<std::string> sites = object_names(m, *find_frame_kind("site")); !sites.empty())
    text += fmt::format("# Sites for costs and success, \"site:NAME\", \"site:NAME - body:OTHER\": {}\n\n",
                        one_line(list(sites), 400));
  return text + costs_text(m, key.empty() ? m.qpos0 : m.key_qpos);
}

}  // namespace kedge
