// The runs of a figure: the list of those to be done, and running them, each as a process of this program.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/study/figure_file.h"
#include "kedge/study/shard.h"

namespace kedge {

/// One run of a figure.
struct FigureJob {
  std::string label;
  std::uint64_t seed = 0;
  std::filesystem::path directory;     ///< <folder>/<label>/s<seed>
  std::vector<std::string> arguments;  ///< arguments of the program that begin or continue the run; empty: it is done
};

struct ReproduceOptions {
  std::optional<int> seeds;      ///< nullopt: the number in the figure
  bool quick = false;            ///< the small version
  std::filesystem::path folder;  ///< folder of the runs and results
  Shard shard = {};              ///< which of the runs
  std::stop_token stop = {};     ///< passed to `load_task` by `plan_figure`
};

/// Returns the runs of the figure, or of its shard, seed by seed: where one stops early, all curves have the same seeds.
/// Existing runs are continued or kept.
/// @throws InputError if a task, an algorithm or an option is wrong, or if a directory holds another run than that of
/// the figure, or a longer one
/// @throws Cancelled if a stop is requested
std::vector<FigureJob> plan_figure(const Figure& figure, const ReproduceOptions& options);

/// Checks that all are done. @throws SystemError that names the first that is not, and its log
void require_done(const std::vector<FigureJob>& jobs);

/// Called for each job that has ended, with its place in `jobs` and its exit code.
using JobObserver = std::function<void(std::size_t job, int exit_code)>;

/// Runs the jobs that are not done as processes of `program`, at most `at_once` at a time; their output goes to
/// <directory>.log. When `stop` is requested, the running ones are asked to save and end. If this process dies, they die
/// with it, and the next call continues them.
/// @param deadline  has the effect of a stop request  @return false if stopped
/// @throws SystemError if a process cannot be started; the others have then ended
bool run_jobs(const std::vector<FigureJob>& jobs, const std::filesystem::path& program, int at_once,
              const std::stop_token& stop, const JobObserver& observe,
              std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt);

}  // namespace kedge
