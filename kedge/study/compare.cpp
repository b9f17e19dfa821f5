#include "kedge/study/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kedge/core/errors.h"
#include "kedge/files/csv.h"
#include "kedge/files/metrics_file.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/run_files.h"
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

/// Runs that differ only in their seed, by seed.
using Members = std::vector<const RunData*>;

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
  RunData run;
  run.directory = directory;
  run.status = run_status(directory);
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

/// Returns the label of each group: the algorithm, and the options in which the groups differ.
std::vector<std::string> group_labels(const std::vector<Members>& groups) {
  std::vector<std::string> labels;
  for (const Members& members : groups) {
    const RunFile& file = members[0]->file;
    std::string label = file.algorithm;
    for (const Option& option : file.options) {
      if (option.name == "iterations") continue;
      const auto same = [&](const Members& others) {
        const RunFile& other = others[0]->file;
        return other.algorithm != file.algorithm || option_value(other.options, option.name) == option.value;
      };
      if (std::all_of(groups.begin(), groups.end(), same)) continue;
      const auto* word = std::get_if<std::string>(&option.value);
      label += fmt::format(" {}={}", option.name, word ? *word : value_text(option.value));
    }
    const auto same_start = [&](const Members& others) { return others[0]->file.from_digest == file.from_digest; };
    if (!std::all_of(groups.begin(), groups.end(), same_start) && !file.from.empty()) {
      const fs::path from = file.from;
      label += fmt::format(" from {}", (from.parent_path().filename() / from.filename()).generic_string());
    }
    labels.push_back(std::move(label));
  }
  return labels;
}

std::vector<CurvePoint> group_curve(Members runs) {
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

std::optional<double> group_reference(const Members& runs) {
  std::vector<double> values;
  for (const RunData* run : runs)
    if (run->reference) values.push_back(*run->reference);
  return values.empty() ? std::nullopt : std::optional(median(values));
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

/// Reads the runs, each once. What is left out is said in `notes`.
std::vector<RunData> read_all(const std::vector<fs::path>& directories, bool partial, std::vector<std::string>& notes) {
  std::vector<RunData> runs;
  std::vector<fs::path> seen;
  for (const fs::path& directory : directories) {
    static_cast<void>(open_run_directory(directory));
    const fs::path canonical = fs::canonical(directory);
    if (std::find(seen.begin(), seen.end(), canonical) != seen.end()) continue;
    seen.push_back(canonical);
    try {
      runs.push_back(read_run(directory));
    } catch (const InputError& e) {
      if (!partial) throw;
      notes.push_back(fmt::format("left out: {}", e.what()));
      continue;
    }
    if (runs.back().returns.empty() && runs.back().status.state != RunState::failed) {
      notes.push_back(fmt::format("left out: {}: no iteration is completed", directory.string()));
      runs.pop_back();
    }
  }
  if (runs.empty())
    throw InputError(notes.empty() ? "no run to compare" : fmt::format("no run to compare; {}", notes.front()));
  return runs;
}

/// @throws InputError if the runs learned different tasks
void require_one_task(const std::vector<RunData>& runs) {
  const auto name = [](const RunFile& f) {
    std::string text = f.task;
    for (const std::string& o : f.task_overrides) text += fmt::format(" with {}", o);
    return text;
  };
  const RunFile& first = runs[0].file;
  for (const RunData& run : runs)
    if (run.file.task_digest != first.task_digest)
      throw InputError(fmt::format("runs of different tasks cannot be compared: {} learned '{}', {} learned '{}'{}",
                                   runs[0].directory.string(), name(first), run.directory.string(), name(run.file),
                                   name(first) == name(run.file) ? " from another version of its files" : ""));
}

/// Groups the runs, in the order of their first appearance. A second run of the same seed is left out.
std::vector<Members> group_by_options(const std::vector<RunData>& runs, std::vector<std::string>& notes) {
  std::vector<std::string> keys;
  std::vector<Members> groups;
  for (const RunData& run : runs) {
    const std::string key = group_key(run.file);
    const auto g = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
    if (g == keys.size()) {
      keys.push_back(key);
      groups.emplace_back();
    }
    const auto twin = std::find_if(groups[g].begin(), groups[g].end(),
                                   [&](const RunData* other) { return other->file.seed == run.file.seed; });
    if (twin == groups[g].end())
      groups[g].push_back(&run);
    else
      notes.push_back(fmt::format("left out: {}: same options and seed {} as {}", run.directory.string(), run.file.seed,
                                  (*twin)->directory.string()));
  }
  for (Members& members : groups)
    std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->file.seed < b->file.seed; });
  return groups;
}

ComparedRun summarise_run(const RunData& run, const CompareOptions& options, std::vector<std::string>& notes) {
  ComparedRun compared{.directory = run.directory,
                       .seed = run.file.seed,
                       .state = run.status.state,
                       .iterations = static_cast<int>(run.returns.size()),
                       .final_return = {},
                       .final_success = {},
                       .rollouts = run.rollouts,
                       .median_returns = run.median_returns,
                       .noisy_success = run.noisy_success};
  if (compared.state != RunState::finished) {
    notes.push_back(fmt::format("{}: {} after {} iterations", run.directory.string(), to_string(compared.state),
                                compared.iterations));
    return compared;
  }
  if (!options.evaluate_final) return compared;
  try {
    const FinalResult final = final_result(run.directory, run.file, options.final_rollouts, options.threads);
    compared.final_return = final.value;
    compared.final_success = final.success;
  } catch (const InputError& e) {
    if (!options.partial) throw;
    notes.push_back(fmt::format("final policy not evaluated: {}", e.what()));
  }
  return compared;
}

ComparisonGroup summarise(const Members& members, const std::string& label, const CompareOptions& options,
                          std::vector<std::string>& notes) {
  ComparisonGroup group{.label = label,
                        .runs = {},
                        .curve = group_curve(members),
                        .panel = "",
                        .reference = group_reference(members),
                        .algorithm = members[0]->file.algorithm,
                        .options = members[0]->file.options};
  for (const RunData* run : members) {
    group.runs.push_back(summarise_run(*run, options, notes));
    if (run->returns.size() > group.curve.size())
      notes.push_back(fmt::format("{}: iterations after {} are not shown: another run of its group has no more",
                                  run->directory.string(), group.curve.size()));
  }
  return group;
}

}  // namespace

FinalResult final_result(const fs::path& directory, const RunFile& run, int rollouts, int threads) {
  const TaskFile loaded = load_run_task(directory, run);
  const PolicyFile file = load_policy(open_run_directory(directory) / kPolicyFile);
  Run how;
  how.seed = run.seed;
  how.threads = threads;
  const auto evaluation =
      evaluate(loaded.task, as_policy(file.policy), {.rollouts = rollouts, .deterministic = true}, how);
  FinalResult result;
  result.value = evaluation->returns.empty() ? -std::numeric_limits<double>::infinity() : median(evaluation->returns);
  if (!loaded.task.success.empty()) result.success = evaluation->success_rate();
  return result;
}

Comparison compare(const std::vector<fs::path>& directories, const CompareOptions& options) {
  Comparison result;
  const std::vector<RunData> runs = read_all(directories, options.partial, result.notes);
  require_one_task(runs);
  result.task = runs[0].file.task;
  const std::vector<Members> groups = group_by_options(runs, result.notes);
  const std::vector<std::string> labels = group_labels(groups);
  for (std::size_t g = 0; g < groups.size(); ++g)
    result.groups.push_back(summarise(groups[g], labels[g], options, result.notes));
  if (!options.partial) require_equal_seeds(result.groups);
  return result;
}

std::optional<std::string> mixed_builds(const std::vector<fs::path>& directories) {
  std::map<std::string, int> builds;
  for (const fs::path& directory : directories) {
    try {
      const Versions v = read_run_file(directory).versions;
      ++builds[fmt::format("kedge {} {}, MuJoCo {}, {}, {}", v.kedge, v.commit, v.mujoco, v.compiler, v.build)];
    } catch (const InputError&) {  // `compare` says so
    }
  }
  if (builds.size() < 2) return std::nullopt;
  std::string text;
  for (const auto& [build, runs] : builds) text += fmt::format("{}{} by {}", text.empty() ? "" : "; ", runs, build);
  return fmt::format("the runs are not of one program, so their last digits may differ: {}", text);
}

Estimate estimate(const std::vector<double>& values, const Statistic& statistic) {
  return {statistic(values), bootstrap_interval({values}, statistic)};
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
      csv_line({"task", "group", "runs", "iteration", "rollouts", "seconds", "median", "median_low", "median_high",
                "iqm", "iqm_low", "iqm_high", "mean", "mean_low", "mean_high", "quartile_low", "quartile_high"});
  for (const ComparisonGroup& group : comparison.groups)
    for (const CurvePoint& p : group.curve)
      text +=
          csv_line({comparison.task, group.label, group.runs.size(), p.iteration, p.rollouts, p.seconds, p.median.value,
                    p.median.interval.low, p.median.interval.high, p.iqm.value, p.iqm.interval.low, p.iqm.interval.high,
                    p.mean.value, p.mean.interval.low, p.mean.interval.high, p.lower_quartile, p.upper_quartile});
  return text;
}

}  // namespace kedge
