#include "kedge/tasks/task_file.h"

#include <fmt/ranges.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <string_view>

#include "kedge/core/errors.h"
#include "kedge/core/regular_file.h"
#include "kedge/files/toml_value.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/rollout/episode.h"
#include "kedge/tasks/demonstration_table.h"
#include "kedge/tasks/task_sections.h"
#include "kedge/tasks/task_values.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr int kFormat = 1;
constexpr std::uint64_t kLargestRecording = std::uint64_t{1} << 32;  ///< bytes

/// The model of the task, checked.
struct Model {
  std::string path;
  std::shared_ptr<mjModel> compiled;
  ModelFiles files;
  std::vector<std::string> warnings;
};

/// @param folder  of the task file
Model read_model(const Value& root, const fs::path& folder, const std::stop_token& stop) {
  const Value key = root.require("model");
  Model model;
  model.path = (folder / key.text()).lexically_normal().string();
  std::error_code error;
  const auto status = fs::status(model.path, error);
  if (!fs::exists(status)) key.fail(fmt::format("there is no file {}", model.path));
  if (!fs::is_regular_file(status)) key.fail(fmt::format("{} is not a file", model.path));
  const auto allowed = root.find("model_folder");
  if (allowed && !fs::is_directory(folder / allowed->text(), error))
    allowed->fail(fmt::format("there is no folder {}", (folder / allowed->text()).lexically_normal().string()));
  try {
    model.files = read_model_files(model.path, allowed ? (folder / allowed->text()).string() : "");
  } catch (const InputError& e) {
    key.fail(e.what());
  }
  LoadedModel loaded;
  try {
    loaded = load_model(model.files, {}, stop);
  } catch (const InputError& e) {
    key.fail(fmt::format("{} {}", key.text(), e.what()));
  }
  if (!loaded.model) key.fail(fmt::format("MuJoCo refuses {}: {}", key.text(), one_line(loaded.error)));
  if (const std::string why = unsupported(*loaded.model); !why.empty())
    key.fail(fmt::format("kedge cannot use {}: {}", key.text(), why));
  model.compiled = std::move(loaded.model);
  for (const std::string& warning : loaded.warnings) model.warnings.push_back(one_line(warning));
  if (const std::vector<std::string>& outside = model.files.outside; !outside.empty())
    model.warnings.push_back(
        fmt::format("files from outside of the model's folder go into runs and pages: {}", fmt::join(outside, ", ")));
  return model;
}

/// All of a task but its name, its texts and its demonstration. Sets the time step of the model.
/// @param law_texts  out: the joint limits, for people
Task read_task(const Value& root, const std::shared_ptr<mjModel>& model, std::vector<std::string>& law_texts,
               toml::table& resolved) {
  Task task;
  const Clock clock = read_clock(root, *model, resolved);
  task.horizon = clock.horizon;
  task.control_step = clock.control_step;
  Actions actions = read_actions(root, *model, resolved);
  JointLimits limits = read_joint_limits(root, *model, actions, resolved);
  Observation observation = read_observation(root, *model, resolved);
  task.start = read_start(root, *model, resolved);
  task.cost = read_cost(root, *model, actions, task.horizon, resolved);
  task.success = read_success(root, *model, actions, task.horizon, resolved);
  task.observation = std::move(observation.index);
  task.observation_names = std::move(observation.names);
  task.context = read_context(root, *model, resolved);
  task.control_index = std::move(actions.control_index);
  task.action_names = std::move(actions.names);
  task.action_low = std::move(actions.low);
  task.action_high = std::move(actions.high);
  law_texts = std::move(limits.texts);
  model->opt.timestep = task.control_step / clock.substeps;
  task.system = std::make_shared<MujocoSystem>(model, clock.substeps, std::move(limits.laws));
  return task;
}

/// One control step from the mean start, with actions as near to 0 as their limits allow: NaN in a model shows here.
bool first_step_succeeds(const Task& task) {
  const auto system = task.system->clone();
  Episode episode(task, *system);
  episode.reset(task.start.mean);
  return !episode.step(VectorXd::Zero(task.da())).diverged;
}

/// The contents of the files, in their order, and what the task is made of.
std::string task_digest(const toml::table& resolved, const TaskFile& file) {
  std::vector<std::string_view> contents;
  for (const ModelFile& part : *file.model_files) contents.emplace_back(part.bytes);
  std::string recording;
  if (!file.demonstration_path.empty()) {
    recording = read_regular_file(file.demonstration_path, kLargestRecording);
    contents.emplace_back(recording);
  }
  return digest(write_toml(resolved), contents);
}

}  // namespace

TaskFile load_task(const fs::path& path, const std::vector<Override>& overrides, const std::stop_token& stop) {
  const std::string text = path.string();
  toml::table document = read_toml(text);
  for (const auto& [key, value] : overrides) override_value(document, key, value, "task.");
  const Value root(document, "", text);
  root.allow({"kedge", "name", "summary", "model", "horizon", "control_step", "substeps", "actions", "joint_limit",
              "observation", "context", "start", "demonstration", "cost", "success", "model_folder"});
  if (const Value format = root.require("kedge"); !format.is_number() || format.number() != kFormat)
    format.fail(fmt::format("this program reads task files of format {}, but this is {}", kFormat, format.describe()));

  TaskFile file;
  toml::table resolved{{"kedge", kFormat}};
  std::error_code error;
  const fs::path folder = fs::absolute(path, error).lexically_normal().parent_path();
  const auto name = root.find("name"), summary = root.find("summary");
  const std::string task_name = name ? read_identifier(*name) : folder.filename().string();
  const std::string task_summary = summary ? summary->text() : "";
  Model model = read_model(root, folder, stop);
  file.task = read_task(root, model.compiled, file.joint_limits, resolved);
  Task& task = file.task;
  task.name = task_name;
  task.summary = task_summary;
  if (const auto section = root.find("demonstration")) {
    DemonstrationTable table = read_demonstration(*section, task, model.compiled, folder.string(), stop);
    task.start.mean = start_of_demonstration(root, *model.compiled, table.demonstration, task.start.mean);
    task.demonstration = std::make_shared<const Demonstration>(std::move(table.demonstration));
    file.demonstration_path = std::move(table.file);
    file.demonstration_text = std::move(table.text);
    resolved.insert("demonstration", std::move(table.resolved));
  }
  validate(task);
  if (!first_step_succeeds(task))
    root.require("model").fail(
        fmt::format("the simulation of {} diverges in the first control step from the mean start, without action",
                    root.require("model").text()));

  file.model_path = std::move(model.path);
  file.warnings = std::move(model.warnings);
  for (const ModelFile& part : model.files.files) file.files.push_back(part.path);
  if (!file.demonstration_path.empty()) file.files.push_back(file.demonstration_path);
  file.model_files = std::make_shared<const std::vector<ModelFile>>(std::move(model.files.files));
  file.digest = task_digest(resolved, file);
  if (!task.success.empty()) resolved["success"].as_table()->insert("text", task.success[0].text);
  resolved.insert("name", task.name);
  if (summary) resolved.insert("summary", task.summary);
  resolved.insert("model", file.model_path);
  if (const auto allowed = root.find("model_folder"))
    resolved.insert("model_folder", (folder / allowed->text()).lexically_normal().string());
  if (!file.demonstration_path.empty()) resolved["demonstration"].as_table()->insert("file", file.demonstration_path);
  file.resolved_toml = write_toml(resolved);
  return file;
}

}  // namespace kedge
