// A figure of a paper, from its file to its verdicts: which runs are missing, running them as processes of this program,
// and what they say of the paper's claims.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/study/compare.h"
#include "kedge/study/figure_file.h"

namespace kedge {

/// One run of a figure.
struct FigureJob {
  std::string label;
  std::uint64_t seed = 0;
  std::filesystem::path directory;     ///< <folder>/<label>/s<seed>
  std::vector<std::string> arguments;  ///< of the program, to begin or to continue it; empty: it is done
};

struct ReproduceOptions {
  std::optional<int> seeds;      ///< nullopt: as many as the figure says
  bool quick = false;            ///< the small version
  std::filesystem::path folder;  ///< of runs and results
  std::stop_token stop;          ///< of `plan_figure`: as of `load_task`
};

/// All runs of the figure, seed by seed: where one stops early, all curves have the same seeds. Runs that are there are
/// continued or kept.
/// @throws InputError if a task, an algorithm or an option is wrong, or if a directory holds another run than the figure
/// says, or a longer one
/// @throws Cancelled if a stop is asked for
std::vector<FigureJob> plan_figure(const Figure& figure, const ReproduceOptions& options);

/// Told of each job that has ended: its place in `jobs`, and the exit code.
using JobObserver = std::function<void(std::size_t job, int exit_code)>;

/// Runs the jobs that are not done as processes of `program`, at most `at_once` at a time; their output goes to
/// <directory>.log. When `stop` is requested, running ones are told to stop and save.
/// @return false if stopped
/// @throws SystemError if a process cannot be started
bool run_jobs(const std::vector<FigureJob>& jobs, const std::filesystem::path& program, int at_once,
              const std::stop_token& stop, const JobObserver& observe);

struct Verdict {
  Claim claim;
  std::string verdict;  ///< "holds", "does not hold", "undecided", "too few seeds"
  /// Claims that compare: of the measure, over seeds. Claims of success: `run_value` is the share of seeds.
  Estimate run_value, than_value;
  double probability = 0.0;  ///< that a seed of `run` beats one of `than`, ties counting half
  Interval interval;         ///< 95 %, of `probability` or of the share
  std::size_t run_seeds = 0, than_seeds = 0;
};

struct FigureResult {
  Comparison comparison;  ///< a group for each run of the figure, in its order
  std::vector<Verdict> verdicts;
};

/// Holds a claim against the runs.
Verdict judge(const Claim& claim, const Comparison& comparison);

/// Reads the runs.
/// @param jobs as planned after they were run
/// @throws SystemError if one is still to be done, or if none completed an iteration
/// @throws InputError if one is damaged
FigureResult summarise_figure(const Figure& figure, const std::vector<FigureJob>& jobs, int threads);

/// The measure for each run of a group; a run that did not get there counts as minus infinity.
std::vector<double> measure_values(const ComparisonGroup& group, const Measure& measure);

/// Probability that a value of `a` is larger than one of `b`, ties counting half, with its 95 % bootstrap interval
/// [Agarwal2021, "probability of improvement"].
Estimate probability_of_improvement(const std::vector<double>& a, const std::vector<double>& b);

/// 95 % Wilson interval of a share, k of n. @param n >= 1
Interval wilson_interval(std::size_t k, std::size_t n);

/// What decided a verdict, in words and numbers.
std::string reason(const Verdict& verdict);

std::string verdicts_csv(const std::vector<Verdict>& verdicts);
std::string final_csv(const Comparison& comparison);

/// Figure and verdicts as a page of Markdown that names the command that made them.
std::string figure_page(const Figure& figure, const FigureResult& result, const std::string& command);

/// Writes curves.csv, final.csv, verdicts.csv, README.md and, as SVG and PDF, the curves over rollouts and over seconds
/// and the performance profile; no curves over seconds if not has_seconds. Where the figure asks for paths: those of the
/// first seed's final policies, without noise, below the trajectory that learning started from. @throws SystemError
void write_figure(const Figure& figure, const FigureResult& result, const std::string& command,
                  const std::filesystem::path& folder);

}  // namespace kedge
