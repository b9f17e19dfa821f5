#include "kedge/study/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kedge/core/errors.h"
#include "kedge/files/json.h"
#include "kedge/files/metrics_file.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/run_task.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
namespace fs = std::filesystem;

/// One run as it was read.
struct RunData {
  fs::path directory;
  RunStatus status;
  RunFile file;
  std::vector<double> rollouts, returns, median_returns;  ///< by iteration
  std::vector<double> deterministic;                      ///< by iteration; empty where it is not reported
  std::vector<double> seconds;                            ///< by iteration, cumulative; empty without timings.csv
  std::optional<double> noisy_success, reference;         ///< as in ComparedRun, ComparisonGroup
};

std::vector<double> column(const MetricsTable& table, const char* name, const fs::path& file) {
  const int at = table.column(name);
  if (at < 0) throw InputError(fmt::format("{}: has no column '{}'", file.string(), name));
  std::vector<double> values;
  for (const auto& row : table.rows) values.push_back(row[static_cast<std::size_t>(at)]);
  return values;
}

/// All columns of timings.csv are seconds of one phase, but the first.
std::vector<double> cumulative_seconds(const FileName& file) {
  std::vector<double> result;
  double total = 0.0;
  for (const auto& row : read_metrics(file).rows) {
    for (std::size_t i = 1; i < row.size(); ++i) total += row[i];
    result.push_back(total);
  }
  return result;
}

RunData read_run(const fs::path& directory) {
  RunData run{.directory = directory,
              .status = run_status(directory),
              .file = {},
              .rollouts = {},
              .returns = {},
              .median_returns = {},
              .deterministic = {},
              .seconds = {},
              .noisy_success = {},
              .reference = {}};
  if (run.status.state == RunState::damaged)
    throw InputError(fmt::format("{}: {}", directory.string(), run.status.detail));
  run.file = read_run_file(directory);
  if (run.status.iterations == 0) return run;
  const Directory opened = open_run_directory(directory);
  const fs::path metrics_file = directory / kMetricsFile;
  const MetricsTable metrics = read_metrics(opened / kMetricsFile);
  if (metrics.rows.size() < static_cast<std::size_t>(run.status.iterations))
    throw InputError(fmt::format("{}: is damaged: it has {} of {} iterations", metrics_file.string(),
                                 metrics.rows.size(), run.status.iterations));
  run.rollouts = column(metrics, "rollouts_total", metrics_file);
  run.returns = column(metrics, "return_mean", metrics_file);
  run.median_returns = column(metrics, "return_median", metrics_file);
  if (metrics.column("return_deterministic") >= 0)
    run.deterministic = column(metrics, "return_deterministic", metrics_file);
  if (metrics.column("success_rate") >= 0) run.noisy_success = column(metrics, "success_rate", metrics_file).back();
  if (metrics.column("initial_cost") >= 0) run.reference = -column(metrics, "initial_cost", metrics_file).back();
  // An iteration in which every rollout diverged is worse than any return.
  for (std::vector<double>* values : {&run.returns, &run.median_returns, &run.deterministic})
    for (double& value : *values)
      if (std::isnan(value)) value = -std::numeric_limits<double>::infinity();
  // Only metrics.csv must be whole: without times there is no curve over them, and the rest is as it is.
  try {
    if (exists(opened / kTimingsFile)) run.seconds = cumulative_seconds(opened / kTimingsFile);
  } catch (const InputError&) {
    run.seconds.clear();
  }
  if (run.seconds.size() < run.returns.size()) run.seconds.clear();
  return run;
}

/// What runs of one group have in common.
std::string group_key(const RunFile& file) { return file.algorithm + " " + options_digest(file); }

/// The algorithm, and the options in which the groups differ.
std::vector<std::string> group_labels(const std::vector<const RunFile*>& groups) {
  std::vector<std::string> labels;
  for (const RunFile* group : groups) {
    std::string label = group->algorithm;
    for (const Option& option : group->options) {
      if (option.name == "iterations") continue;
      const auto same = [&](const RunFile* other) {
        if (other->algorithm != group->algorithm) return true;
        for (const Option& o : other->options)
          if (o.name == option.name) return o.value == option.value;
        return false;
      };
      if (std::all_of(groups.begin(), groups.end(), same)) continue;
      const auto* word = std::get_if<std::string>(&option.value);
      label += fmt::format(" {}={}", option.name, word ? *word : value_text(option.value));
    }
    labels.push_back(std::move(label));
  }
  return labels;
}

Estimate estimate(const std::vector<double>& values, const Statistic& statistic) {
  return {statistic(values), bootstrap_interval({values}, statistic)};
}

std::vector<CurvePoint> group_curve(std::vector<const RunData*> runs) {
  std::erase_if(runs, [](const RunData* run) { return run->returns.empty(); });
  if (runs.empty()) return {};
  std::size_t length = std::numeric_limits<std::size_t>::max();
  bool timed = true;
  for (const RunData* run : runs) {
    length = std::min(length, run->returns.size());
    timed = timed && !run->seconds.empty();
  }
  std::vector<CurvePoint> curve;
  std::vector<double> values(runs.size()), seconds(runs.size());
  for (std::size_t i = 0; i < length; ++i) {
    for (std::size_t r = 0; r < runs.size(); ++r) {
      values[r] = runs[r]->returns[i];
      if (timed) seconds[r] = runs[r]->seconds[i];
    }
    CurvePoint point;
    point.iteration = static_cast<int>(i);
    point.rollouts = static_cast<std::int64_t>(runs[0]->rollouts[i]);
    point.seconds = timed ? median(seconds) : nan;
    point.median = estimate(values, [](auto v) { return median(v); });
    point.iqm = estimate(values, interquartile_mean);
    point.mean = estimate(values, [](auto v) { return mean(v); });
    point.lower_quartile = quantile(values, 0.25);
    point.upper_quartile = quantile(values, 0.75);
    for (std::size_t r = 0; r < runs.size(); ++r)
      values[r] = i < runs[r]->deterministic.size() ? runs[r]->deterministic[i] : nan;
    point.deterministic =
        std::none_of(values.begin(), values.end(), [](double v) { return std::isnan(v); }) ? median(values) : nan;
    curve.push_back(point);
  }
  return curve;
}

std::optional<double> group_reference(const std::vector<const RunData*>& runs) {
  std::vector<double> values;
  for (const RunData* run : runs)
    if (run->reference) values.push_back(*run->reference);
  return values.empty() ? std::nullopt : std::optional(median(values));
}

void evaluate_final(const RunData& run, const CompareOptions& options, ComparedRun& result) {
  const TaskFile loaded = load_run_task(run.directory, run.file);
  const PolicyFile file = load_policy(open_run_directory(run.directory) / kPolicyFile);
  Run how;
  how.seed = run.file.seed;
  how.threads = options.threads;
  const auto evaluation =
      evaluate(loaded.task, as_policy(file.policy), {.rollouts = options.final_rollouts, .deterministic = true}, how);
  if (evaluation->returns.empty()) {
    result.final_return = -std::numeric_limits<double>::infinity();
  } else {
    result.final_return = median(evaluation->returns);
  }
  if (!loaded.task.success.empty()) result.final_success = evaluation->success_rate();
}

/// @throws InputError if a group lacks a seed that another has
void require_equal_seeds(const std::vector<ComparisonGroup>& groups) {
  const auto has = [](const ComparisonGroup& group, std::uint64_t seed) {
    return std::any_of(group.runs.begin(), group.runs.end(), [&](const ComparedRun& r) { return r.seed == seed; });
  };
  for (const ComparisonGroup& some : groups)
    for (const ComparedRun& run : some.runs)
      for (const ComparisonGroup& other : groups)
        if (!has(other, run.seed))
          throw InputError(fmt::format("'{}' has no run of seed {}, but '{}' has; --partial compares what is there",
                                       other.label, run.seed, some.label));
}

std::string number(double value) { return fmt::format("{}", value); }

}  // namespace

Comparison compare(const std::vector<fs::path>& directories, const CompareOptions& options) {
  Comparison result;
  std::vector<RunData> runs;
  std::vector<fs::path> seen;
  for (const fs::path& directory : directories) {
    if (!fs::is_directory(directory)) throw InputError(fmt::format("{}: is not a run directory", directory.string()));
    const fs::path canonical = fs::canonical(directory);
    if (std::find(seen.begin(), seen.end(), canonical) != seen.end()) continue;
    seen.push_back(canonical);
    if (!fs::exists(directory / "run.toml"))
      throw InputError(fmt::format("{}: is not a run directory: it has no run.toml", directory.string()));
    try {
      runs.push_back(read_run(directory));
    } catch (const InputError& e) {
      if (!options.partial) throw;
      result.notes.push_back(fmt::format("left out: {}", e.what()));
      continue;
    }
    if (runs.back().returns.empty() && runs.back().status.state != RunState::failed) {
      result.notes.push_back(fmt::format("left out: {}: no iteration is completed", directory.string()));
      runs.pop_back();
    }
  }
  if (runs.empty()) {
    throw InputError(result.notes.empty() ? "no run to compare"
                                          : fmt::format("no run to compare; {}", result.notes.front()));
  }
  for (const RunData& run : runs) {
    const RunFile &first = runs[0].file, &other = run.file;
    if (other.task_digest == first.task_digest) continue;
    const auto name = [](const RunFile& f) {
      std::string text = f.task;
      for (const std::string& o : f.task_overrides) text += fmt::format(" with {}", o);
      return text;
    };
    throw InputError(fmt::format("runs of different tasks cannot be compared: {} learned '{}', {} learned '{}'{}",
                                 runs[0].directory.string(), name(first), run.directory.string(), name(other),
                                 name(first) == name(other) ? " from another version of its files" : ""));
  }
  result.task = runs[0].file.task;

  // Group the runs, in the order of their first appearance.
  std::vector<std::string> keys;
  std::vector<std::vector<const RunData*>> grouped;
  for (const RunData& run : runs) {
    const std::string key = group_key(run.file);
    const auto at = std::find(keys.begin(), keys.end(), key);
    const auto g = static_cast<std::size_t>(at - keys.begin());
    if (at == keys.end()) {
      keys.push_back(key);
      grouped.emplace_back();
    }
    const auto twin = std::find_if(grouped[g].begin(), grouped[g].end(),
                                   [&](const RunData* other) { return other->file.seed == run.file.seed; });
    if (twin != grouped[g].end()) {
      result.notes.push_back(fmt::format("left out: {}: same options and seed {} as {}", run.directory.string(),
                                         run.file.seed, (*twin)->directory.string()));
      continue;
    }
    grouped[g].push_back(&run);
  }

  std::vector<const RunFile*> first_files;
  for (const auto& group : grouped) first_files.push_back(&group[0]->file);
  const std::vector<std::string> labels = group_labels(first_files);
  for (std::size_t g = 0; g < grouped.size(); ++g) {
    auto& members = grouped[g];
    std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->file.seed < b->file.seed; });
    ComparisonGroup group{.label = labels[g],
                          .runs = {},
                          .curve = group_curve(members),
                          .panel = "",
                          .reference = group_reference(members),
                          .algorithm = first_files[g]->algorithm,
                          .options = first_files[g]->options};
    for (const RunData* run : members) {
      ComparedRun compared{.directory = run->directory,
                           .seed = run->file.seed,
                           .state = run->status.state,
                           .iterations = static_cast<int>(run->returns.size()),
                           .final_return = {},
                           .final_success = {},
                           .rollouts = run->rollouts,
                           .median_returns = run->median_returns,
                           .noisy_success = run->noisy_success};
      if (compared.state != RunState::finished)
        result.notes.push_back(fmt::format("{}: {} after {} iterations", run->directory.string(),
                                           to_string(compared.state), compared.iterations));
      if (options.evaluate_final && compared.state == RunState::finished) {
        try {
          evaluate_final(*run, options, compared);
        } catch (const InputError& e) {
          if (!options.partial) throw;
          result.notes.push_back(fmt::format("final policy not evaluated: {}", e.what()));
        }
      }
      if (run->returns.size() > group.curve.size())
        result.notes.push_back(
            fmt::format("{}: iterations after {} are not shown: another run of its group has no more",
                        run->directory.string(), group.curve.size()));
      group.runs.push_back(std::move(compared));
    }
    result.groups.push_back(std::move(group));
  }
  if (!options.partial) require_equal_seeds(result.groups);
  return result;
}

std::vector<CurvePoint> table_points(const std::vector<CurvePoint>& curve, int points) {
  std::vector<CurvePoint> result;
  const auto last = static_cast<int>(curve.size()) - 1;
  int before = -1;
  for (int k = 0; k < points && last >= 0; ++k) {
    const int at = points == 1 ? last : static_cast<int>(std::lround(static_cast<double>(last) * k / (points - 1)));
    if (at == before) continue;
    result.push_back(curve[static_cast<std::size_t>(at)]);
    before = at;
  }
  return result;
}

std::vector<double> final_returns(const Comparison& comparison) {
  std::vector<double> values;
  for (const ComparisonGroup& group : comparison.groups)
    for (const ComparedRun& run : group.runs)
      if (run.final_return && std::isfinite(*run.final_return)) values.push_back(*run.final_return);
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<ProfilePoint> performance_profile(const ComparisonGroup& group, const std::vector<double>& thresholds) {
  std::vector<ProfilePoint> profile;
  for (const double tau : thresholds) {
    const auto count = std::ranges::count_if(
        group.runs, [&](const ComparedRun& run) { return run.final_return && *run.final_return >= tau; });
    std::vector<double> reached(group.runs.size(), 0.0);
    std::fill_n(reached.begin(), count, 1.0);
    const Statistic share = [](auto v) { return mean(v); };
    profile.push_back({tau, {share(reached), bootstrap_interval({reached}, share, 0.95, 500)}});
  }
  return profile;
}

std::string comparison_csv(const Comparison& comparison) {
  std::string text =
      "task,group,runs,iteration,rollouts,seconds,median,median_low,median_high,iqm,iqm_low,iqm_high,mean,mean_low,"
      "mean_high,quartile_low,quartile_high\n";
  for (const ComparisonGroup& group : comparison.groups) {
    for (const CurvePoint& p : group.curve) {
      text += fmt::format("{},{},{},{},{},{}", comparison.task, group.label, group.runs.size(), p.iteration, p.rollouts,
                          number(p.seconds));
      for (const Estimate& e : {p.median, p.iqm, p.mean})
        text += fmt::format(",{},{},{}", number(e.value), number(e.interval.low), number(e.interval.high));
      text += fmt::format(",{},{}\n", number(p.lower_quartile), number(p.upper_quartile));
    }
  }
  return text;
}

namespace {

/// "name":[one number of each item]
template <class Items, class Get>
std::string column_json(const char* name, const Items& items, Get get) {
  std::string text = fmt::format("\"{}\":[", name);
  for (const auto& item : items) text.append(&item == &*items.begin() ? "" : ",").append(json_extended(get(item)));
  return text + "]";
}

/// {"value": , "low": , "high": }, or null without values
std::string statistic_json(const std::vector<double>& values, const Statistic& statistic) {
  if (values.empty()) return "null";
  const Estimate e = estimate(values, statistic);
  return fmt::format("{{\"value\":{},\"low\":{},\"high\":{}}}", json_extended(e.value), json_extended(e.interval.low),
                     json_extended(e.interval.high));
}

std::string curve_json(const std::vector<CurvePoint>& curve) {
  std::vector<std::string> columns;
  const auto add = [&](const std::string& name, auto get) { columns.push_back(column_json(name.c_str(), curve, get)); };
  add("iteration", [](const CurvePoint& p) { return p.iteration; });
  add("rollouts", [](const CurvePoint& p) { return static_cast<double>(p.rollouts); });
  add("seconds", [](const CurvePoint& p) { return p.seconds; });
  const auto add_estimate = [&](const std::string& name, Estimate CurvePoint::*field) {
    add(name, [field](const CurvePoint& p) { return (p.*field).value; });
    add(name + "_low", [field](const CurvePoint& p) { return (p.*field).interval.low; });
    add(name + "_high", [field](const CurvePoint& p) { return (p.*field).interval.high; });
  };
  add_estimate("median", &CurvePoint::median);
  add_estimate("iqm", &CurvePoint::iqm);
  add_estimate("mean", &CurvePoint::mean);
  add("quartile_low", [](const CurvePoint& p) { return p.lower_quartile; });
  add("quartile_high", [](const CurvePoint& p) { return p.upper_quartile; });
  return fmt::format("{{{}}}", fmt::join(columns, ","));
}

std::string run_json(const ComparedRun& run) {
  const auto itself = [](double v) { return v; };
  return fmt::format(
      "{{\"directory\":{},\"seed\":\"{}\",\"state\":\"{}\",\"iterations\":{},\"final_return\":{},"
      "\"final_success\":{},{},{}}}",
      json_string(run.directory.string()), run.seed, to_string(run.state), run.iterations,
      run.final_return ? json_extended(*run.final_return) : "null",
      run.final_success ? json_extended(*run.final_success) : "null", column_json("rollouts", run.rollouts, itself),
      column_json("median_returns", run.median_returns, itself));
}

}  // namespace

std::string comparison_json(const Comparison& comparison) {
  const std::vector<double> thresholds = final_returns(comparison);
  std::string text = fmt::format("{{\"task\":{},\"notes\":{},\"groups\":[", json_string(comparison.task),
                                 json_array(comparison.notes));
  for (const ComparisonGroup& group : comparison.groups) {
    std::vector<double> returns, success;
    for (const ComparedRun& run : group.runs) {
      if (run.final_return) returns.push_back(*run.final_return);
      if (run.final_success) success.push_back(*run.final_success);
    }
    const std::vector<ProfilePoint> profile = performance_profile(group, thresholds);
    const auto average = [](auto v) { return mean(v); };
    text += fmt::format(
        "{}{{\"label\":{},\"algorithm\":{},\"options\":{},\"reference\":{},\"curve\":{},\"final\":{{\"runs\":{},"
        "\"median\":{},\"iqm\":{}"
        ","
        "\"success\":{},\"solved\":{}}},\"profile\":{{{},{},{},{}}},\"runs\":[",
        &group == &comparison.groups.front() ? "" : ",", json_string(group.label), json_string(group.algorithm),
        options_json(group.options), group.reference ? json_extended(*group.reference) : "null",
        curve_json(group.curve), returns.size(), statistic_json(returns, [](auto v) { return median(v); }),
        statistic_json(returns, interquartile_mean), statistic_json(success, average),
        std::count_if(success.begin(), success.end(), [](double rate) { return rate >= 1.0; }),
        column_json("tau", profile, [](const ProfilePoint& p) { return p.tau; }),
        column_json("share", profile, [](const ProfilePoint& p) { return p.share.value; }),
        column_json("low", profile, [](const ProfilePoint& p) { return p.share.interval.low; }),
        column_json("high", profile, [](const ProfilePoint& p) { return p.share.interval.high; }));
    for (const ComparedRun& run : group.runs) text.append(&run == &group.runs.front() ? "" : ",").append(run_json(run));
    text += "]}";
  }
  return text + "]}\n";
}

}  // namespace kedge
