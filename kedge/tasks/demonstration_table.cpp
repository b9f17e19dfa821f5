#include "kedge/tasks/demonstration_table.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/tasks/demonstrate.h"
#include "kedge/tasks/simbicon.h"
#include "kedge/tasks/task_values.h"
#include "kedge/tasks/wave.h"
#include "kedge/worlds/player.h"

namespace kedge {

namespace {

/// A number of a controller, by the name of its key.
struct Parameter {
  const char* key;
  double* value;  ///< the default, until the file says otherwise
  double (Value::*read)() const;
};

void read_parameters(const Value& section, std::vector<std::string> other_keys,
                     const std::vector<Parameter>& parameters, toml::table& resolved) {
  for (const Parameter& parameter : parameters) other_keys.emplace_back(parameter.key);
  section.allow(other_keys);
  for (const Parameter& parameter : parameters) {
    if (const auto given = section.find(parameter.key)) *parameter.value = ((*given).*parameter.read)();
    resolved.insert(parameter.key, *parameter.value);
  }
}

/// The motors of all actions.
std::vector<Motor> motors(const Value& controller, const Task& task, const mjModel& model) {
  std::vector<Motor> all;
  const std::vector<Part> actuator = actuators(model);
  for (const std::string& name : task.action_names) {
    const auto found = find(actuator, name) ? motor(model, name) : std::nullopt;
    if (!found)
      controller.fail(
          fmt::format("the controller \"{}\" needs actions that are motors of hinges and slides, but \"{}\" is not",
                      controller.text(), name));
    all.push_back(*found);
  }
  return all;
}

Demonstration simbicon(const Value& section, const Task& task, const std::shared_ptr<const mjModel>& model, int steps,
                       const std::stop_token& stop, toml::table& resolved) {
  const Value controller = section.require("controller");
  SimbiconOptions options;
  std::vector<std::string> names;
  for (const SimbiconGait& gait : simbicon_gaits()) names.emplace_back(gait.name);
  const auto gait = section.find("gait");
  options.gait = simbicon_gaits()[gait ? gait->choice(names) : 0];
  resolved.insert("gait", options.gait.name);
  read_parameters(section, {"controller", "steps", "gait", "skip"},
                  {{"stiffness", &options.stiffness, &Value::positive},
                   {"damping", &options.damping, &Value::not_negative},
                   {"torque_limit", &options.torque_limit, &Value::positive},
                   {"velocity_feedback", &options.gait.lift.velocity_feedback, &Value::number},
                   {"start_speed", &options.start_speed, &Value::number},
                   {"after_strike", &options.after_strike, &Value::not_negative}},
                  resolved);
  if (const auto skip = section.find("skip")) options.skip = skip->integer(0, 100000);
  resolved.insert("skip", options.skip);
  try {
    const SimbiconBody body = simbicon_body(*model, motors(controller, task, *model));
    return simbicon_walk(task, model, body, options, steps, stop);
  } catch (const InputError& e) {
    controller.fail(fmt::format("\"simbicon\": {}", e.what()));
  }
}

Demonstration swim(const Value& section, const Task& task, const mjModel& model, int steps, const std::stop_token& stop,
                   toml::table& resolved) {
  WaveOptions options;
  read_parameters(section, {"controller", "steps"},
                  {{"amplitude", &options.amplitude, &Value::positive},
                   {"frequency", &options.frequency, &Value::positive},
                   {"lag", &options.lag, &Value::number},
                   {"ramp", &options.ramp, &Value::positive},
                   {"stiffness", &options.stiffness, &Value::positive},
                   {"damping", &options.damping, &Value::not_negative}},
                  resolved);
  const std::vector<Motor> chain = motors(section.require("controller"), task, model);
  const DemonstrationLaw controller = wave(chain, options, task.control_step);
  const auto until_stopped = [&](int t, VectorIn x, VectorOut a) {
    if (stop.stop_requested()) throw Cancelled("interrupted while a demonstration was made");
    return controller(t, x, a);
  };
  return record(task, until_stopped, task.start.mean, steps);
}

/// A stroke of the analytic table-tennis player: its torques, averaged over each control step, in the task's own simulation.
Demonstration table_tennis_stroke(const Value& section, const Task& task, int steps, toml::table& resolved) {
  const Value controller = section.require("controller");
  const auto* system = dynamic_cast<const TableTennisSystem*>(task.system.get());
  if (!system) controller.fail("the controller \"player\" needs a [world] of the kind \"table_tennis\"");
  const Court& court = system->court();
  PlayerOptions options;
  read_parameters(section, {"controller", "steps", "posture", "hitting_plane", "aim", "ball_velocity"},
                  {{"flight", &options.flight, &Value::positive},
                   {"preparation", &options.preparation, &Value::positive},
                   {"finish", &options.finish, &Value::positive},
                   {"stiffness", &options.stiffness, &Value::not_negative},
                   {"damping", &options.damping, &Value::not_negative}},
                  resolved);
  const auto numbers = [&](const char* key, VectorXd otherwise) {
    if (const auto given = section.find(key)) otherwise = read_numbers(*given, otherwise.size(), &Value::number);
    resolved.insert(key, to_toml(otherwise));
    return otherwise;
  };
  const double far = court.side < 0.0 ? court.low[1] : court.high[1];
  const Index n = static_cast<Index>(system->drives().size());
  options.aim = numbers("aim", Eigen::Vector2d(0.5 * (court.low[0] + court.high[0]), 0.5 * (court.net + far)));
  options.posture = read_numbers(section.require("posture"), n, &Value::number);
  resolved.insert("posture", to_toml(options.posture));
  options.hitting_plane = section.require("hitting_plane").number();
  resolved.insert("hitting_plane", options.hitting_plane);
  VectorXd seen = task.start.mean;  // with the ball that the player sees
  seen.segment<3>(system->ball_velocity()) = numbers("ball_velocity", seen.segment<3>(system->ball_velocity()));
  try {
    const auto sub_steps = static_cast<Index>(std::lround(task.control_step / system->sub_step()));
    const StrokePlan plan = plan_stroke(*system, seen, options);
    VectorXd low = VectorXd::Zero(system->nu()), high = low;
    low(task.control_index) = task.action_low;
    high(task.control_index) = task.action_high;
    const Stroke stroke = play_stroke(*system, plan, seen, options, low, high, steps * static_cast<int>(sub_steps));
    const MatrixXd control = stroke.control(task.control_index, Eigen::all);
    const auto averaged = [&](int t, VectorIn, VectorOut a) {
      a = control.middleCols(t * sub_steps, sub_steps).rowwise().mean();
      return true;
    };
    return record(task, averaged, task.start.mean, steps);
  } catch (const InputError& e) {
    controller.fail(fmt::format("\"player\": {}", e.what()));
  }
}

Demonstration recording(const Value& file, const std::string& path, const Task& task) {
  Demonstration shown;
  try {
    shown = load_demonstration(path, trajectory_names(task), task.name);
  } catch (const InputError& e) {
    file.fail(e.what());
  }
  if (shown.state.rows() != task.nx() || shown.action.rows() != task.da())
    file.fail(fmt::format("{} has {} states and {} actions a step, but this task has {} and {}", path,
                          shown.state.rows(), shown.action.rows(), task.nx(), task.da()));
  return shown;
}

/// A task file of somebody else carries no other files into runs. @param allowed  folder; empty: any file is
void require_inside(const Value& file, const std::string& path, const std::string& allowed) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (allowed.empty() || !fs::is_regular_file(path, error)) return;  // what is no file cannot be read
  const fs::path whole = fs::weakly_canonical(path, error), folder = fs::weakly_canonical(allowed, error);
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), whole.begin(), whole.end());
  if (error || (end != folder.end() && !end->empty()))
    file.fail(
        fmt::format("{} is outside of {}; name it on the command line (--set task.demonstration.file=..., --from), "
                    "or allow a larger folder with the key model_folder",
                    path, allowed));
}

}  // namespace

DemonstrationTable read_demonstration(const Value& section, const Task& task,
                                      const std::shared_ptr<const mjModel>& model, const std::string& folder,
                                      const std::string& allowed, const std::stop_token& stop) {
  if (!section.is_table()) section.fail(fmt::format("must be a table, but is {}", section.describe()));
  DemonstrationTable table;
  const auto file = section.find("file"), controller = section.find("controller");
  int steps = task.horizon;
  if (const auto given = section.find("steps")) {
    steps = given->integer(1, task.horizon);
    table.resolved.insert("steps", steps);
  }
  Demonstration& shown = table.demonstration;
  if (file && controller) file->fail("a demonstration is read from a file or made by a controller, not both");
  if (file) {
    section.allow({"file", "steps"});
    table.file = (std::filesystem::path(folder) / file->text()).lexically_normal().string();
    table.text = fmt::format("the recording {}", table.file);
    require_inside(*file, table.file, allowed);
    shown = recording(*file, table.file, task);
    const Index kept = std::min(shown.steps(), steps);
    shown = {MatrixXd(shown.state.leftCols(kept + 1)), MatrixXd(shown.action.leftCols(kept))};
  } else {
    const Value name = section.require("controller");
    const std::size_t which = name.choice({"simbicon", "wave", "player"});
    table.resolved.insert("controller", name.text());
    shown = which == 0   ? simbicon(section, task, model, steps, stop, table.resolved)
            : which == 1 ? swim(section, task, *model, steps, stop, table.resolved)
                         : table_tennis_stroke(section, task, steps, table.resolved);
    table.text = fmt::format("the controller {}", name.text());
    if (const auto gait = table.resolved["gait"].value<std::string>()) table.text += fmt::format(", gait {}", *gait);
    if (shown.steps() < steps)
      name.fail(fmt::format("the simulation diverges under this controller at step {} of {}", shown.steps(), steps));
  }
  return table;
}

}  // namespace kedge
