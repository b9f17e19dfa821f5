#include "kedge/run/train.h"

#include <cctype>
#include <limits>
#include <string_view>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/toml_value.h"
#include "kedge/run/origin.h"
#include "kedge/run/run_task.h"
#include "kedge/run/verdict.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTaskPrefix = "task.";

RunIdentity identity(const RunFile& file) {
  return {.algorithm = file.algorithm,
          .task = file.task,
          .task_digest = file.task_digest,
          .options_digest = options_digest(file),
          .seed = file.seed};
}

/// runs/<task>-<algorithm>-s<seed>, with -2, -3, ... where that is taken.
fs::path free_directory(const RunFile& file, bool force) {
  std::string name = fmt::format("{}-{}-s{}", file.task, file.algorithm, file.seed);
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '_';
  fs::path path = fs::path("runs") / name;
  for (int n = 2; !force && fs::exists(fs::symlink_status(path)); ++n)
    path = fs::path("runs") / fmt::format("{}-{}", name, n);
  return path;
}

/// The program that continues a run is not the one that began it.
std::vector<std::string> version_warnings(const Versions& then) {
  const Versions now = versions();
  std::vector<std::string> warnings;
  const auto compare = [&](const char* what, const std::string& a, const std::string& b) {
    if (a != b)
      warnings.push_back(
          fmt::format("the run began with {} {}, this is {}: results may differ in the last bits", what, a, b));
  };
  compare("kedge", then.kedge + " " + then.commit, now.kedge + " " + now.commit);
  compare("MuJoCo", then.mujoco, now.mujoco);
  compare("compiler", then.compiler + ", " + then.build, now.compiler + ", " + now.build);
  return warnings;
}

/// @throws InputError that names the checkpoint
void check_state(const Algorithm& algorithm, const OpenRun& run, const Fields& state) {
  try {
    algorithm.check_state(run.task.task, run.file.options, state);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", (run.directory.path() / "checkpoint.h5").string(), error.what()));
  }
}

/// @throws InputError if run.toml or the copy of the task could not be read again
void require_readable(const RunFile& file, const TaskFile& task) {
  const std::string source = file.task_source.string();
  try {
    static_cast<void>(parse_toml(run_file_text(file), source));
    static_cast<void>(parse_toml(resolved_text(task), source));
  } catch (const InputError&) {
    throw InputError(fmt::format("{}: the path, or what --set says of the task, is not UTF-8", one_line(source)));
  }
}

/// The state before the first iteration. @throws InputError if what it starts from has changed since the run was planned
Snapshot first_state(const Algorithm& algorithm, const Task& task, const RunFile& file) {
  if (file.from.empty()) return algorithm.start(task, file.options);
  const TvLinearGaussian policy = starting_policy(task, find_origin(file.from));
  if (means_digest(policy) != file.from_digest)
    throw InputError(fmt::format("{}: has changed since the run was begun; begin again with kedge train", file.from));
  return algorithm.start_from(task, file.options, policy);
}

/// A trajectory to start from becomes the demonstration of the task; anything else is noted in the file.
void read_from(const TrainRequest& request, const Algorithm& algorithm, RunFile& file,
               std::vector<Override>& overrides) {
  if (!request.from) return;
  const Origin origin = find_origin(*request.from);
  const std::string path = fs::absolute(origin.file.string()).lexically_normal().string();
  if (becomes_demonstration(origin, algorithm))
    overrides.emplace_back("demonstration", fmt::format("{{ file = {} }}", value_text(OptionValue{path})));
  else
    file.from = path;
}

/// @throws InputError if the run that is to be replaced holds what the new one starts from
void require_outside(const fs::path& from, const fs::path& run) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(run, error);
  for (fs::path folder = fs::weakly_canonical(from, error); folder != folder.parent_path();
       folder = folder.parent_path())
    if (folder == whole)
      throw InputError(fmt::format("--from: {} is in {}, which --force replaces; choose another --out", from.string(),
                                   run.string()));
}

double metric(const Iteration& iteration, std::string_view name) {
  for (const auto& [key, value] : iteration.metrics)
    if (key == name) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

Progress progress(const Iteration& iteration, const Snapshot& after, int asked) {
  return {.iterations_done = after.loop.iteration,
          .iterations = asked,
          .rollouts_total = after.loop.rollouts_total,
          .return_mean = metric(iteration, "return_mean"),
          .return_median = metric(iteration, "return_median"),
          .iteration = &iteration};
}

}  // namespace

PlannedRun plan_run(const TrainRequest& request) {
  const Algorithm& algorithm = find_algorithm(request.algorithm);
  PlannedRun plan{.file = {}, .task = {}, .out = request.out, .force = request.force, .stop = request.stop};
  RunFile& file = plan.file;
  file.algorithm = algorithm.name;
  file.seed = request.seed;
  file.record_updates = request.record_updates;
  file.versions = versions();

  const fs::path task_file = find_task(request.task);
  file.options = options_beside(algorithm, task_file);
  if (request.config) read_options(file.options, *request.config);
  std::vector<Override> overrides;
  for (const std::string& text : request.set) {
    const Assignment set = parse_assignment(text);
    if (set.key.starts_with(kTaskPrefix)) {
      overrides.emplace_back(set.key.substr(kTaskPrefix.size()), set.value);
    } else {
      assign_option(file.options, set.key, set.value);
    }
  }
  if (request.iterations) assign_option(file.options, "iterations", std::to_string(*request.iterations));

  algorithm.check(file.options);
  if (request.record_updates && !algorithm.records_updates)
    throw InputError(fmt::format("--record-updates: {} has no updates within trust regions to record", algorithm.name));

  read_from(request, algorithm, file, overrides);
  plan.task = load_task(task_file, overrides, request.stop);
  observe_what_is_needed(algorithm, task_file, plan.task, overrides, request.stop);
  const Needs needs = algorithm.needs(plan.task.task, file.options, request.threads);
  require_memory(algorithm.name, needs);
  plan.seconds = seconds_of(needs, seconds_per_step(plan.task.task), request.threads);
  plan.bytes = needs.bytes;
  if (!file.from.empty()) file.from_digest = means_digest(starting_policy(plan.task.task, find_origin(file.from)));
  static_cast<void>(first_state(algorithm, plan.task.task, file));  // refuses what the algorithm cannot learn
  file.task = plan.task.task.name;
  file.task_source = fs::absolute(task_file).lexically_normal();
  file.task_digest = plan.task.digest;
  for (const auto& [key, value] : overrides) file.task_overrides.push_back(fmt::format("{}={}", key, value));
  require_readable(file, plan.task);
  return plan;
}

OpenRun create_run(PlannedRun plan) {
  const fs::path path = plan.out ? *plan.out : free_directory(plan.file, plan.force);
  if (plan.force && !plan.file.from.empty()) require_outside(plan.file.from, path);
  RunDirectory directory = RunDirectory::create(path, run_file_text(plan.file), plan.force);
  TaskFile task;
  try {
    copy_task(plan.task, directory.directory());
    // What is trained is the copy: it is what resume and evaluate will read.
    task = load_run_task(path, plan.file, plan.stop);
  } catch (const InputError&) {
    std::move(directory).discard();  // nothing is left of what the user got wrong
    throw;
  }
  std::vector<std::string> warnings = plan.task.warnings;
  if (!directory.left().empty())
    warnings.push_back(fmt::format("{}: left what is not of the run: {}", path.string(), list(directory.left())));
  return {std::move(plan.file), std::move(task), std::move(directory), std::move(warnings)};
}

OpenRun open_run(const fs::path& path, std::optional<int> iterations, const std::stop_token& stop) {
  const RunStatus status = run_status(path);
  RunFile file = read_run_file(path);
  if (iterations) assign_option(file.options, "iterations", std::to_string(*iterations));
  const std::string name = path.string();
  if (status.state == RunState::damaged)
    throw InputError(fmt::format("{}: cannot be continued: {}", name, status.detail));
  if (status.state == RunState::failed)
    throw InputError(fmt::format("{}: ended by numerical failure after {} iterations and would fail again: {}", name,
                                 status.iterations, status.detail));
  RunDirectory directory = RunDirectory::open(path);

  const auto total = std::get<std::int64_t>(option_value(file.options, "iterations"));
  if (total < status.iterations)
    throw InputError(fmt::format("--iterations = {}, but must be >= {}: {} has completed that many", total,
                                 status.iterations, name));
  if (status.state == RunState::finished && total == status.iterations)
    throw InputError(
        fmt::format("{}: is finished, all {} iterations are done; --iterations N goes on to N", name, total));
  if (!directory.began()) {
    // Killed before its first checkpoint: the copy of the task may be incomplete.
    std::vector<Override> overrides;
    for (const std::string& text : file.task_overrides) {
      const Assignment override = parse_assignment(text);
      overrides.emplace_back(override.key, override.value);
    }
    const TaskFile original = load_task(file.task_source, overrides, stop);
    if (original.digest != file.task_digest)
      throw InputError(
          fmt::format("{}: was killed before it began, and {} has changed since; begin again with kedge train", name,
                      file.task_source.string()));
    directory.take_over();
    copy_task(original, directory.directory());
  }
  TaskFile task = load_run_task(path, file, stop);
  std::vector<std::string> warnings = version_warnings(file.versions);
  return {std::move(file), std::move(task), std::move(directory), std::move(warnings), iterations.has_value()};
}

RunEnd train(OpenRun& run, const HowToRun& how) {
  const Algorithm& algorithm = find_algorithm(run.file.algorithm);
  const Task& task = run.task.task;
  algorithm.check(run.file.options);
  require_memory(algorithm.name, algorithm.needs(task, run.file.options, how.threads));
  PolicyInfo info = policy_info(task);
  info.noise_meant = algorithm.noise_meant;
  std::optional<Fields> from;
  if (run.directory.began()) {
    const auto check = [&](const Fields& state) {
      check_state(algorithm, run, state);
      if (run.changed) run.directory.require_own_run_toml();
    };
    from = run.directory.resume(identity(run.file), info, check).state;
  } else {
    const Snapshot first = first_state(algorithm, task, run.file);
    run.directory.begin(identity(run.file), info, first, run.file.record_updates);
    if (!run.file.from.empty()) from = first.fields;
  }
  if (run.changed) run.directory.replace_run_toml(run_file_text(run.file));
  const auto asked = std::get<std::int64_t>(option_value(run.file.options, "iterations"));
  const TrainingEnd end =
      algorithm.train({.task = task,
                       .options = run.file.options,
                       .run = {.seed = run.file.seed,
                               .threads = how.threads,
                               .stop = how.stop,
                               .record_updates = run.file.record_updates},
                       .from = from ? &*from : nullptr,
                       .observe = [&](const Iteration& iteration, const Snapshot& after, const UpdateRecord* record) {
                         run.directory.commit(iteration, after, record);
                         if (how.observe) how.observe(progress(iteration, after, static_cast<int>(asked)));
                       }});
  run.directory.finish(end.stop, end.message, end.state);
  return {end.stop, end.message, end.state.loop.iteration};
}

}  // namespace kedge
