#include "kedge/tasks/task_file.h"

#include <fmt/ranges.h>
#include <mujoco/mujoco.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <tuple>

#include "kedge/core/errors.h"
#include "kedge/core/regular_file.h"
#include "kedge/files/toml_value.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/mujoco/refusal.h"
#include "kedge/mujoco/step_derivatives.h"
#include "kedge/rollout/episode.h"
#include "kedge/tasks/demonstration_table.h"
#include "kedge/tasks/quantities.h"
#include "kedge/tasks/task_sections.h"
#include "kedge/tasks/task_values.h"
#include "kedge/tasks/units.h"

namespace kedge {

namespace fs = std::filesystem;

struct ResolvedTask {
  toml::table table;
};

namespace {

constexpr int kFormat = 1;
constexpr std::uint64_t kLargestRecording = std::uint64_t{1} << 32;  ///< bytes

/// The model of the task, checked.
struct Model {
  std::string path;
  std::shared_ptr<mjModel> compiled;
  ModelFiles files;
  std::string with_sensors;  ///< its XML with the sensors that the task needs; empty: none
  std::vector<std::string> warnings;
};

/// @param key  of the model, for messages
std::shared_ptr<mjModel> compiled(const Value& key, const ModelFiles& files, std::vector<std::string>& warnings,
                                  const std::stop_token& stop) {
  LoadedModel loaded;
  try {
    loaded = load_model(files, {}, stop);
  } catch (const InputError& e) {
    key.fail(fmt::format("{} {}", key.text(), e.what()));
  }
  if (!loaded.model) key.fail(mujoco_refuses(key.text(), loaded.error));
  if (const std::string why = unsupported(*loaded.model); !why.empty())
    key.fail(fmt::format("kedge cannot use {}: {}", key.text(), why));
  for (const std::string& warning : loaded.warnings) {
    if (warning.find("NaN") != std::string::npos)
      key.fail(fmt::format("kedge cannot use {}: {}", key.text(), one_line(warning)));
    warnings.push_back(one_line(warning));
  }
  if (has_delays(*loaded.model))
    warnings.emplace_back(
        "the model has delays: what is on its way is no part of the state; algorithms that need derivatives "
        "(ilqr, vgps and its baselines) refuse it");
  return std::move(loaded.model);
}

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
  model.compiled = compiled(key, model.files, model.warnings, stop);
  if (const std::vector<FrameSensor> sensors = required_frame_sensors(root, *model.compiled); !sensors.empty()) {
    ModelFiles files;
    try {
      files = with_sensors(model.files, sensors);
    } catch (const InputError& e) {
      key.fail(fmt::format("{} {}; declare sensors in it, and name them as \"sensor:NAME\"", key.text(), e.what()));
    }
    std::vector<std::string> same_warnings;
    model.compiled = compiled(key, files, same_warnings, stop);
    model.with_sensors = std::move(files.files.front().bytes);
  }
  if (const std::vector<std::string>& outside = model.files.outside; !outside.empty())
    model.warnings.push_back(
        fmt::format("files from outside of the model's folder go into runs and pages: {}", fmt::join(outside, ", ")));
  return model;
}

/// True of a file that begins as XML does, after white space and a byte-order mark: a model, where a task is wanted.
bool is_model(const fs::path& path) {
  const FileDescriptor file = open_regular_file(path);
  std::array<char, 256> head{};
  const ssize_t n = ::read(file.number(), head.data(), head.size());
  const std::string_view text(head.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  const std::size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && text[first] == '<';
}

constexpr std::string_view kGoal = "goal:";

/// Calls visit(table, place) for the task's costs, its early ends and its measure of success, in order; place is "cost.NAME".
template <class Visit>
void for_each_residual(toml::table& document, const Visit& visit) {
  for (const char* key : {"cost", "termination"})
    if (toml::array* tables = document[key].as_array())
      for (toml::node& element : *tables)
        if (toml::table* table = element.as_table()) {
          const auto name = (*table)["name"].value<std::string>();
          visit(*table, name ? fmt::format("{}.{}", key, one_line(*name, 60)) : key);
        }
  if (toml::table* success = document["success"].as_table()) visit(*success, "success");
}

/// Puts the numbers of [goal] where a target is "goal:NAME".
/// @return the names, one for each cost and the success; empty where a target is something else
std::vector<std::string> insert_goals(toml::table& document, const std::string& file) {
  std::vector<std::string> names;
  for_each_residual(document, [&](toml::table& residual, const std::string& place) {
    const toml::node* target = residual.get("target");
    const auto text = target ? target->value_exact<std::string>() : std::nullopt;
    names.emplace_back(text && text->starts_with(kGoal) ? text->substr(kGoal.size()) : "");
    if (names.back().empty()) return;
    const Value where(*target, place + ".target", file);
    const toml::table* goals = document["goal"].as_table();
    std::vector<std::string> known;
    if (goals)
      for (const auto& [key, node] : *goals) known.emplace_back(key.str());
    const toml::node* goal = goals ? goals->get(names.back()) : nullptr;
    if (!goal)
      where.fail(known.empty()
                     ? "the file has no [goal]"
                     : fmt::format("[goal] has no \"{}\"{}", one_line(names.back(), 60), hint(names.back(), known)));
    goal->visit([&](const auto& node) { residual.insert_or_assign("target", node); });
  });
  std::vector<std::string> used;
  std::ranges::copy_if(names, std::back_inserter(used), [](const std::string& name) { return !name.empty(); });
  if (const toml::table* goals = document["goal"].as_table())
    for (const auto& [key, node] : *goals)
      if (std::ranges::find(used, key.str()) == used.end())
        Value(node, fmt::format("goal.{}", one_line(key.str(), 60)), file)
            .fail(fmt::format("no cost and no success uses it: none has target = \"{}{}\"{}", kGoal,
                              one_line(key.str(), 60), used.empty() ? "" : hint(key.str(), used)));
  return names;
}

/// Writes the goals to the resolved file, so that they can be changed there, too. @param names of `insert_goals`
void resolve_goals(const toml::table& document, const std::vector<std::string>& names, toml::table& resolved) {
  const toml::table* goals = document["goal"].as_table();
  if (!goals) return;
  resolved.insert("goal", *goals);
  std::size_t i = 0;
  for_each_residual(resolved, [&](toml::table& residual, const std::string&) {
    if (const std::string& name = names[i++]; !name.empty())
      residual.insert_or_assign("target", fmt::format("{}{}", kGoal, name));
  });
}

/// One control step from a state, with actions as near to 0 as their limits allow: NaN in a model shows here.
/// @return why it diverges; nothing if it does not
std::optional<std::string> first_step_trouble(const Task& task, VectorIn x0) {
  const auto system = task.system->clone();
  Episode episode(task, *system);
  episode.reset(x0);
  if (!episode.diverged() && !episode.step(VectorXd::Zero(task.da())).diverged) return std::nullopt;
  return episode.why();
}

/// Refuses a range that the mean start is not in: episodes would end after a step.
void require_start_in_range(const Value& root, const Task& task) {
  if (task.termination.empty()) return;
  const auto system = task.system->clone();
  VectorXd y(system->nsensor());
  system->reset(task.start.mean);
  system->settle();
  system->sensors(y);
  if (const Termination* end = termination_at(task, task.start.mean, y)) {
    const auto at = static_cast<std::size_t>(end - task.termination.data());
    const Value section = root.require("termination").elements()[at];
    Value(section.require("range").node(), fmt::format("termination.{}.range", end->name), root.file())
        .fail("the mean start is outside of it already");
  }
}

/// Refuses a task whose first step diverges, at the line of the start if the model's own pose does not.
void require_first_step(const Value& root, const Task& task, const mjModel& model) {
  const auto why = first_step_trouble(task, task.start.mean);
  if (!why) return;
  const std::string text = "diverges in the first control step from the mean start, without action";
  VectorXd own = VectorXd::Zero(task.nx());
  own.head(static_cast<Index>(model.nq)) = Eigen::Map<const VectorXd>(model.qpos0, static_cast<Index>(model.nq));
  const Value model_key = root.require("model");
  if (const auto start = root.find("start"); start && !first_step_trouble(task, own)) {
    if (const std::vector<std::string> units = start_warnings(root, task, model); !units.empty())
      throw InputError(units.front() + "; the simulation diverges from there");
    const std::string what =
        fmt::format("the simulation of {} {}, but not from the model's own pose: {}", model_key.text(), text, *why);
    // The part of the state that is to blame is the one without which it does not diverge.
    const Index nq = static_cast<Index>(model.nq), nv = static_cast<Index>(model.nv), na = static_cast<Index>(model.na);
    for (const auto& [key, first, size] : {std::tuple{"qpos", Index{0}, nq}, {"qvel", nq, nv}, {"act", nq + nv, na}}) {
      VectorXd without = task.start.mean;
      without.segment(first, size) = own.segment(first, size);
      if (const auto given = start->find(key); given && !first_step_trouble(task, without)) given->fail(what);
    }
    for (const char* key : {"qpos", "qvel", "act", "from"})
      if (const auto given = start->find(key)) given->fail(what);
  }
  const std::string what = fmt::format("the simulation of {} {}: {}", model_key.text(), text, *why);
  if (task.control_step >= kLongStep)
    root.require("control_step").fail(fmt::format("is {} s; {}", task.control_step, what));
  model_key.fail(what);
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

/// The words of all nx entries of the state: those of the model, then what a world adds.
std::string whole_state(const mjModel& model, Index nx) {
  std::string words = R"(["qpos", "qvel")";
  if (model.na > 0) words += R"(, "act")";
  if (nx > model.nq + model.nv + model.na) words += R"(, "world")";
  return words + "]";
}

}  // namespace

double longest_compilation() { return LoadLimits{}.seconds; }

TaskFile load_task(const fs::path& path, const std::vector<Override>& overrides, const std::stop_token& stop) {
  const std::string text = path.string();
  if (is_model(path))
    throw InputError(fmt::format("{}: is a model, not a task; `kedge init {}` writes a first task for it", text, text));
  toml::table document = read_toml(text);
  for (const auto& [key, value] : overrides) override_value(document, key, value, "task.");
  const std::vector<std::string> goals = insert_goals(document, text);
  const Value root(document, "", text);
  root.allow({"kedge", "name", "summary", "model", "horizon", "control_step", "substeps", "actions", "joint_limit",
              "observation", "context", "start", "demonstration", "cost", "success", "goal", "model_folder",
              "termination", "world"});
  if (const Value format = root.require("kedge"); !format.is_number() || format.number() != kFormat)
    format.fail(fmt::format("this program reads task files of format {}, but this is {}", kFormat, format.describe()));

  TaskFile file;
  toml::table resolved{{"kedge", kFormat}};
  std::error_code error;
  const fs::path folder = fs::absolute(path, error).lexically_normal().parent_path();
  const auto name = root.find("name"), summary = root.find("summary");
  const std::string task_name = name ? read_identifier(*name) : identifier_of(folder.filename().string());
  const std::string task_summary = summary ? summary->text() : "";
  Model model = read_model(root, folder, stop);
  file.task = read_task(root, model.compiled, file.joint_limits, resolved);
  Task& task = file.task;
  task.name = task_name;
  task.summary = task_summary;
  file.whole_state = whole_state(*model.compiled, task.nx());
  if (const auto section = root.find("demonstration")) {
    const auto recording = [](const Override& o) {
      return o.first == "demonstration" || o.first == "demonstration.file";
    };
    const auto larger = root.find("model_folder");
    const fs::path allowed = larger ? folder / larger->text() : folder;
    DemonstrationTable table =
        read_demonstration(*section, task, model.compiled, folder.string(),
                           std::ranges::any_of(overrides, recording) ? "" : allowed.string(), stop);
    task.start.mean = start_of_demonstration(root, *model.compiled, table.demonstration, task.start.mean);
    task.demonstration = std::make_shared<const Demonstration>(std::move(table.demonstration));
    file.demonstration_path = std::move(table.file);
    file.demonstration_text = std::move(table.text);
    resolved.insert("demonstration", std::move(table.resolved));
  }
  validate(task);
  require_first_step(root, task, *model.compiled);
  require_start_in_range(root, task);

  file.model_path = std::move(model.path);
  file.model_with_sensors = std::move(model.with_sensors);
  file.warnings = std::move(model.warnings);
  for (std::string& warning : unit_warnings(root, task, *model.compiled)) file.warnings.push_back(std::move(warning));
  for (const ModelFile& part : model.files.files) file.files.push_back(part.path);
  if (!file.demonstration_path.empty()) file.files.push_back(file.demonstration_path);
  file.model_files = std::make_shared<const std::vector<ModelFile>>(std::move(model.files.files));
  resolve_goals(document, goals, resolved);
  file.digest = task_digest(resolved, file);
  name_numbers(*model.compiled, resolved);
  // A text that kedge makes is made again: it says the targets of then.
  if (const auto success = root.find("success"); success && success->find("text"))
    resolved["success"].as_table()->insert("text", task.success[0].text);
  resolved.insert("name", task.name);
  if (summary) resolved.insert("summary", task.summary);
  if (const auto allowed = root.find("model_folder"))
    file.model_folder = (folder / allowed->text()).lexically_normal().string();
  file.resolved = std::make_shared<const ResolvedTask>(ResolvedTask{std::move(resolved)});
  return file;
}

std::string resolved_text(const TaskFile& file, const TaskPaths& paths) {
  toml::table text = file.resolved->table;
  text.insert("model", paths.model);
  if (!file.model_folder.empty()) text.insert("model_folder", paths.model_folder);
  if (!file.demonstration_path.empty()) text["demonstration"].as_table()->insert("file", paths.demonstration);
  return write_toml(text);
}

std::string resolved_text(const TaskFile& file) {
  return resolved_text(file, {file.model_path, file.model_folder, file.demonstration_path});
}

}  // namespace kedge
