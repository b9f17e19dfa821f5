#include "kedge/pages/run_view.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/json.h"
#include "kedge/files/toml_value.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

/// {"columns": [...], "rows": [[...]]}
std::string table_json(const MetricsTable& table, std::size_t from, std::size_t end) {
  std::string text = fmt::format("{{\"columns\":{},\"rows\":[", json_array(table.columns));
  for (std::size_t i = from; i < std::min(end, table.rows.size()); ++i) {
    text += i > from ? ",[" : "[";
    for (std::size_t j = 0; j < table.rows[i].size(); ++j)
      text.append(j > 0 ? "," : "").append(json_extended(table.rows[i][j]));
    text += "]";
  }
  return text + "]}";
}

}  // namespace

RunView::RunView(fs::path directory) : directory_(std::move(directory)) {
  static_cast<void>(run_status(directory_));
  refresh();
}

RunView::Stamp RunView::stamp(const fs::path& file) {
  struct stat s = {};
  if (::stat(file.c_str(), &s) != 0) return {};
  return {s.st_ino, static_cast<std::uint64_t>(s.st_size), s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
}

void RunView::read_status() {
  try {
    status_ = run_status(directory_);
  } catch (const InputError& e) {
    status_ = {.state = RunState::damaged, .iterations = 0, .detail = e.what()};
  }
}

bool RunView::refresh() {
  bool changed = !std::exchange(seen_, true);
  // Looked at before it is read: what changes meanwhile is seen the next time.
  const auto is_new = [&](const char* name) {
    const Stamp now = stamp(directory_ / name);
    const auto [before, first] = stamps_.try_emplace(name);
    return std::exchange(before->second, now) != now || first;
  };
  const auto read = [&](const char* name, auto&& read_it) {
    if (!is_new(name)) return false;
    changed = true;
    notes_.erase(name);
    try {
      read_it(directory_ / name);
    } catch (const InputError& e) {
      notes_[name] = e.what();
    } catch (const SystemError& e) {
      notes_[name] = e.what();
    }
    return true;
  };

  const bool locked = DirectoryLock::held(directory_);
  bool status_changed = locked != std::exchange(locked_, locked) || changed;
  if (read("run.toml", [&](const fs::path&) {
        file_read_ = false;
        file_ = read_run_file(directory_);
        file_read_ = true;
        const fs::path task = directory_ / "task" / "task.toml";
        measures_success_ = read_toml(task.string()).contains("success");
      })) {
    ++generation_;
    status_changed = true;
  }
  // The checkpoint says how many rows count, so it is read before them.
  if (is_new("checkpoint.h5")) status_changed = true;
  if (status_changed) read_status();
  changed = changed || status_changed;
  const auto read_rows = [](MetricsTable& table) {
    return [&table](const fs::path& file) {
      table = {};
      if (fs::exists(file)) table = read_metrics(file);
    };
  };
  read("metrics.csv", read_rows(metrics_));
  read("timings.csv", read_rows(timings_));
  read("steps.csv", [&](const fs::path& file) {
    steps_ = {};
    if (fs::exists(file)) steps_ = read_steps(file);
  });
  read("warnings.csv", [&](const fs::path& file) {
    warnings_.clear();
    if (!fs::exists(file)) return;
    std::map<std::string, std::size_t> places;
    for (Warning& w : read_warnings(file)) {
      const auto [at, added] = places.emplace(without_numbers(w.text), warnings_.size());
      if (added) warnings_.push_back({.text = "", .count = 0, .first = w.iteration, .last = 0});
      WarningKind& kind = warnings_[at->second];
      kind.text = std::move(w.text);
      kind.last = w.iteration;
      ++kind.count;
    }
  });

  // Whoever trains writes it again.
  if (status_.state != RunState::training && status_.iterations > 0)
    read("policy.h5", [](const fs::path& file) { hdf5::read_sealed(file, hdf5::Trailer::required); });

  // A row behind the checkpoint belongs to an iteration that is not completed; a damaged run has no more to say.
  const std::size_t rows = status_.state == RunState::damaged
                               ? metrics_.rows.size()
                               : std::min(metrics_.rows.size(), static_cast<std::size_t>(status_.iterations));
  if (rows < rows_) ++generation_;
  rows_ = rows;
  return changed;
}

RunStatus RunView::shown_status() const {
  RunStatus shown = status_;
  if (shown.state == RunState::training || shown.state == RunState::damaged) return shown;
  for (const char* needed : {"run.toml", "metrics.csv", "policy.h5"})
    if (notes_.contains(needed)) shown.state = RunState::damaged;
  if (metrics_.rows.size() < static_cast<std::size_t>(status_.iterations) && !notes_.contains("metrics.csv")) {
    shown.state = RunState::damaged;
    shown.detail = fmt::format("{}: has {} of {} iterations", (directory_ / "metrics.csv").string(),
                               metrics_.rows.size(), status_.iterations);
  }
  return shown;
}

std::string RunView::summary_json() const {
  const RunStatus status = shown_status();
  std::string text = fmt::format(
      "{{\"directory\":{},\"state\":\"{}\",\"detail\":{},\"iterations\":{},\"generation\":{}",
      json_string(directory_.string()), to_string(status.state), json_string(status.detail), rows_, generation_);
  if (file_read_) {
    const Versions& v = file_.versions;
    text += fmt::format(
        ",\"algorithm\":{},\"task\":{},\"overrides\":{},\"seed\":\"{}\",\"asked\":{},\"measures_success\":{},"
        "\"versions\":{{\"kedge\":{},\"commit\":{},\"mujoco\":{},\"compiler\":{},\"build\":{}}},\"options\":{}",
        json_string(file_.algorithm), json_string(file_.task), json_array(file_.task_overrides), file_.seed,
        value_text(option_value(file_.options, "iterations")), measures_success_, json_string(v.kedge),
        json_string(v.commit), json_string(v.mujoco), json_string(v.compiler), json_string(v.build),
        options_json(file_.options));
  }
  text += ",\"warnings\":[";
  for (const WarningKind& w : warnings_)
    text += fmt::format("{}{{\"text\":{},\"count\":{},\"first\":{},\"last\":{}}}", &w == &warnings_.front() ? "" : ",",
                        json_string(w.text), w.count, w.first, w.last);
  const int of = steps_.column("iteration");
  text +=
      fmt::format("],\"steps_file\":{},\"steps_of\":{},\"notes\":[", !steps_.columns.empty(),
                  of < 0 || steps_.rows.empty() ? "null" : json_extended(steps_.rows[0][static_cast<std::size_t>(of)]));
  for (auto note = notes_.begin(); note != notes_.end(); ++note)
    text.append(note == notes_.begin() ? "" : ",").append(json_string(note->second));
  return text + "]}";
}

std::string RunView::rows_json(std::size_t from, std::size_t most) const {
  from = std::min(from, rows_);
  const std::size_t end = from + std::min(most, rows_ - from);
  return fmt::format("{{\"generation\":{},\"from\":{},\"total\":{},\"metrics\":{},\"timings\":{}}}", generation_, from,
                     rows_, table_json(metrics_, from, end), table_json(timings_, from, end));
}

std::string RunView::steps_json() const {
  const std::string table = table_json(steps_, 0, steps_.rows.size());
  return fmt::format("{{\"generation\":{},{}", generation_, table.substr(1));
}

}  // namespace kedge
