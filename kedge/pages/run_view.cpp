#include "kedge/pages/run_view.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/toml_value.h"
#include "kedge/run/option_json.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

// ---- files

FileStamp stamp_of(const fs::path& file) {
  struct stat s = {};
  if (::stat(file.c_str(), &s) != 0 && ::lstat(file.c_str(), &s) != 0) return {};
  return {s.st_ino, static_cast<std::uint64_t>(s.st_size), s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
}

/// True if there is nothing of this name, not even a link that leads nowhere.
bool is_missing(const fs::path& file) {
  std::error_code error;
  return fs::symlink_status(file, error).type() == fs::file_type::not_found;
}

template <class Read>
auto read_unless_missing(const fs::path& file, const Read& read) {
  return std::make_shared<const decltype(read(file))>(is_missing(file) ? decltype(read(file))() : read(file));
}

std::vector<WarningKind> read_warning_kinds(const fs::path& file) {
  std::vector<WarningKind> kinds;
  std::map<std::string, std::size_t> places;
  for (Warning& w : read_warnings(file)) {
    const auto [at, added] = places.emplace(without_numbers(w.text), kinds.size());
    if (added) kinds.push_back({.text = "", .count = 0, .first = w.iteration, .last = 0});
    WarningKind& kind = kinds[at->second];
    kind.text = std::move(w.text);
    kind.last = w.iteration;
    ++kind.count;
  }
  return kinds;
}

// ---- JSON

/// {"columns": [...], "rows": [[...]]}
Json table_json(const MetricsTable& table, std::size_t from, std::size_t end) {
  Json rows = Json::array();
  for (std::size_t i = from; i < std::min(end, table.rows.size()); ++i) {
    Json row = Json::array();
    for (const double value : table.rows[i]) row.push_back(json_number(value));
    rows.push_back(std::move(row));
  }
  return {{"columns", table.columns}, {"rows", std::move(rows)}};
}

void add_run_file(Json& json, const RunFile& file, bool measures_success) {
  const Versions& v = file.versions;
  json["algorithm"] = file.algorithm;
  json["task"] = file.task;
  json["overrides"] = file.task_overrides;
  json["seed"] = std::to_string(file.seed);  // perhaps too large for a number of JavaScript
  json["asked"] = std::get<std::int64_t>(option_value(file.options, "iterations"));
  json["measures_success"] = measures_success;
  json["versions"] = {
      {"kedge", v.kedge}, {"commit", v.commit}, {"mujoco", v.mujoco}, {"compiler", v.compiler}, {"build", v.build}};
  json["options"] = options_json(file.options);
}

}  // namespace

Json summary_json(const ShownRun& run) {
  Json json = {{"directory", run.directory.string()},
               {"state", run.looked_at ? to_string(run.status.state) : "unread"},
               {"detail", run.status.detail},
               {"iterations", run.rows},
               {"generation", run.generation}};
  if (run.file) add_run_file(json, *run.file, run.measures_success);
  Json warnings = Json::array();
  for (const WarningKind& w : *run.warnings)
    warnings.push_back({{"text", w.text}, {"count", w.count}, {"first", w.first}, {"last", w.last}});
  const MetricsTable& steps = *run.steps;
  const int of = steps.column("iteration");
  json["warnings"] = std::move(warnings);
  json["steps_file"] = !steps.columns.empty();
  json["steps_of"] = of < 0 || steps.rows.empty() ? Json() : json_number(steps.rows[0][static_cast<std::size_t>(of)]);
  json["notes"] = run.notes;
  return json;
}

Json rows_json(const ShownRun& run, std::size_t from, std::size_t most) {
  from = std::min(from, run.rows);
  const std::size_t end = from + std::min(most, run.rows - from);
  return {{"generation", run.generation},
          {"from", from},
          {"total", run.rows},
          {"metrics", table_json(*run.metrics, from, end)},
          {"timings", table_json(*run.timings, from, end)}};
}

Json steps_json(const ShownRun& run) {
  Json json = {{"generation", run.generation}};
  json.update(table_json(*run.steps, 0, run.steps->rows.size()));
  return json;
}

std::string in_words(const std::exception& error) {
  if (const auto* of_files = dynamic_cast<const fs::filesystem_error*>(&error))
    return fmt::format("{}: {}", of_files->path1().string(), of_files->code().message());
  if (dynamic_cast<const std::bad_alloc*>(&error)) return "there is not enough memory to read it";
  return error.what();
}

// ---- reading

namespace {
constexpr const char* kTaskToml = "task/task.toml";
}  // namespace

RunReader::RunReader(fs::path directory) {
  shown_.directory = std::move(directory);
  shown_.metrics = shown_.timings = shown_.steps = std::make_shared<const MetricsTable>();
  shown_.warnings = std::make_shared<const std::vector<WarningKind>>();
}

bool RunReader::refresh() {
  const bool first = !std::exchange(shown_.looked_at, true);
  try {
    return look() || first;
  } catch (const std::exception& e) {
    const RunStatus damaged{.state = RunState::damaged, .iterations = 0, .detail = in_words(e)};
    const bool changed = first || shown_.status.state != RunState::damaged || shown_.status.detail != damaged.detail;
    shown_.status = damaged;
    stamps_.clear();  // everything is read again once this is over
    return changed;
  }
}

bool RunReader::look() {
  bool changed = !std::exchange(seen_, true);
  const bool locked = DirectoryLock::held(shown_.directory);
  bool status_changed = locked != std::exchange(locked_, locked) || changed;
  if (read_run_toml()) status_changed = true;
  // The checkpoint says how many rows count, so it is read before them.
  if (is_new("checkpoint.h5")) status_changed = true;
  if (status_changed) read_status();
  changed = read_tables() || status_changed || changed;
  // Whoever trains writes it again.
  const FileStamp policy = stamp_of(shown_.directory / "policy.h5");
  changed = policy != std::exchange(shown_.policy, policy) || changed;
  if (status_.state != RunState::training && status_.iterations > 0)
    changed =
        read_if_new("policy.h5", [](const fs::path& file) { hdf5::read_sealed(file, hdf5::Trailer::required); }) ||
        changed;
  if (!changed) return false;
  count_rows();
  judge();
  return true;
}

/// Has the file changed since it was last asked? It is looked at before it is read: what changes meanwhile is seen the next
/// time.
bool RunReader::is_new(const char* name) {
  const FileStamp now = stamp_of(shown_.directory / name);
  const auto [before, first] = stamps_.try_emplace(name);
  return std::exchange(before->second, now) != now || first;
}

template <class Read>
bool RunReader::read_if_new(const char* name, Read&& read) {
  if (!is_new(name)) return false;
  notes_.erase(name);
  try {
    read(shown_.directory / name);
  } catch (const std::exception& e) {
    notes_[name] = in_words(e);
  }
  return true;
}

bool RunReader::read_run_toml() {
  const bool changed = read_if_new("run.toml", [this](const fs::path&) {
    shown_.file.reset();
    shown_.file = read_run_file(shown_.directory);
  });
  if (changed) ++shown_.generation;
  // Of a run that is being created it comes later.
  const bool task_changed = read_if_new(kTaskToml, [this](const fs::path& file) {
    shown_.measures_success = read_toml(file.string()).contains("success");
  });
  return changed || task_changed;
}

bool RunReader::read_tables() {
  bool changed = false;
  const auto read = [&](const char* name, auto& place, const auto& reader) {
    changed = read_if_new(name,
                          [&](const fs::path& file) {
                            place = std::make_shared<std::remove_cvref_t<decltype(*place)>>();
                            place = read_unless_missing(file, reader);
                          }) ||
              changed;
  };
  read("metrics.csv", shown_.metrics, read_metrics);
  read("timings.csv", shown_.timings, read_metrics);
  read("steps.csv", shown_.steps, read_steps);
  read("warnings.csv", shown_.warnings, read_warning_kinds);
  return changed;
}

void RunReader::read_status() {
  try {
    status_ = run_status(shown_.directory);
  } catch (const std::exception& e) {
    status_ = {.state = RunState::damaged, .iterations = 0, .detail = in_words(e)};
  }
}

/// A row beyond the checkpoint belongs to an iteration that is not completed; a damaged run has no more to say.
void RunReader::count_rows() {
  const std::size_t all = shown_.metrics->rows.size();
  const std::size_t rows = status_.state == RunState::damaged
                               ? all
                               : std::min(all, static_cast<std::size_t>(std::max(0, status_.iterations)));
  if (rows < std::exchange(shown_.rows, rows)) ++shown_.generation;
}

/// Says of the run what its files say together.
void RunReader::judge() {
  shown_.status = status_;
  shown_.notes.clear();
  for (const auto& [file, note] : notes_) shown_.notes.push_back(note);
  if (status_.state == RunState::training || status_.state == RunState::damaged) return;
  for (const char* needed : {"run.toml", kTaskToml, "metrics.csv", "policy.h5"})
    if (notes_.contains(needed)) shown_.status.state = RunState::damaged;
  if (shown_.metrics->rows.size() < static_cast<std::size_t>(status_.iterations) && !notes_.contains("metrics.csv")) {
    shown_.status.state = RunState::damaged;
    shown_.status.detail = fmt::format("{}: has {} of {} iterations", (shown_.directory / "metrics.csv").string(),
                                       shown_.metrics->rows.size(), status_.iterations);
  }
}

}  // namespace kedge
