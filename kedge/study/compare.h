// Comparison of learning curves. Runs that differ only in their seed form a group, and a group has a curve of
// statistics over its seeds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "kedge/math/statistics.h"
#include "kedge/run/evaluate.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/run_file.h"

namespace kedge {

/// A statistic over the seeds of a group with its 95 % bootstrap interval.
struct Estimate {
  double value = 0.0;
  Interval interval;
};

/// Estimates a statistic of values. @param values not empty
Estimate estimate(const std::vector<double>& values, const Statistic& statistic);

/// One iteration of a group: statistics of `return_mean` over its runs.
struct CurvePoint {
  int iteration = 0;          ///< 0, 1, ... as in metrics.csv
  std::int64_t rollouts = 0;  ///< simulated so far, per run
  double seconds = 0.0;       ///< wall time so far, median over the runs; NaN without timings.csv
  Estimate median, iqm, mean;
  double lower_quartile = 0.0, upper_quartile = 0.0;
  /// Median of `return_deterministic` over the seeds, where a seed that diverged counts as -inf; NaN if the algorithm
  /// does not report it.
  double deterministic = std::numeric_limits<double>::quiet_NaN();
};

struct ComparedRun {
  std::filesystem::path directory;
  std::uint64_t seed = 0;
  RunState state = RunState::interrupted;
  int iterations = 0;  ///< completed
  /// Results of the run's last policy, without exploration noise; nullopt if the run is not finished.
  std::optional<double> final_return;   ///< median over the rollouts
  std::optional<double> final_success;  ///< fraction of the rollouts; nullopt too if the task has no success measure
  std::vector<double> rollouts;         ///< [iterations] simulated so far
  std::vector<double> median_returns;   ///< [iterations] median return of an iteration's rollouts
  /// Success rate of the last iteration's rollouts, if the algorithm reports it.
  std::optional<double> noisy_success = std::nullopt;
};

struct ComparisonGroup {
  std::string label;              ///< algorithm, and the options in which the groups differ
  std::vector<ComparedRun> runs;  ///< by seed
  std::vector<CurvePoint> curve;  ///< the iterations that every run of the group has completed, if any
  std::string panel = "";         ///< panel of a figure that shows the curve; empty: there is one panel
  /// Return of the trajectory that learning started from, median over seeds; nullopt if there is none.
  std::optional<double> reference = std::nullopt;
  std::string algorithm = {};  ///< algorithm of all runs
  Options options = {};        ///< options of the first run; those of the others may differ in `iterations`
};

struct Comparison {
  std::string task;
  std::vector<ComparisonGroup> groups;  ///< in the order in which the directories were given
  std::vector<std::string> notes;       ///< one line each: runs that are left out, or not finished
};

struct CompareOptions {
  bool evaluate_final = true;  ///< run the final policies
  int final_rollouts = 20;
  int threads = 1;
  bool partial = false;  ///< leave out damaged runs, with a note, and let groups have different seeds
};

/// Returns a note if the runs were made by different programs, whose results may differ in the last bits: kedge, MuJoCo,
/// compiler. Runs that cannot be read do not count.
std::optional<std::string> mixed_builds(const std::vector<std::filesystem::path>& directories);

/// What the last policy of a run reaches without exploration noise.
struct FinalResult {
  double value = 0.0;             ///< median return; -infinity if every rollout diverged
  std::optional<double> success;  ///< share of the rollouts; nullopt if the task has no success measure
};

/// Evaluates the policy of a run, with the run's own seed. @throws InputError if task or policy are damaged
FinalResult final_result(const std::filesystem::path& directory, const RunFile& run, int rollouts, int threads);

/// Reads and summarises runs. A run that failed before it completed an iteration has no part in the curve of its group.
/// @throws InputError if the runs learned different tasks, if a directory is not a run or nothing is left, and, unless
/// `partial`, if a run is damaged or a group lacks a seed that another has
Comparison compare(const std::vector<std::filesystem::path>& directories, const CompareOptions& options);

/// Returns the points of a curve that a table shows: the first, the last, and others at equal distances.
std::vector<CurvePoint> table_points(const std::vector<CurvePoint>& curve, int points = 6);

/// Returns the final returns of all runs, ascending: the points where the share of a profile can change.
std::vector<double> final_returns(const Comparison& comparison);

/// A point of a performance profile [Agarwal2021]: the share of the seeds of a group whose final policy, without noise,
/// returns at least tau, with its pointwise 95 % bootstrap interval. A run without a final return is below every tau.
struct ProfilePoint {
  double tau = 0.0;
  Estimate share;
};
/// Returns the profile of a group. @param thresholds values of tau
std::vector<ProfilePoint> performance_profile(const ComparisonGroup& group, const std::vector<double>& thresholds);

/// Returns all points of all groups as CSV.
std::string comparison_csv(const Comparison& comparison);

/// Returns all of the comparison as JSON, for the page (viewer/src/compare.ts): curves, profiles, final results, options.
std::string comparison_json(const Comparison& comparison);

}  // namespace kedge
