// The runs of a figure: what is still to be done, and doing it, each run a process of this program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

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
  std::stop_token stop = {};     ///< of `plan_figure`: as of `load_task`
};

/// Returns all runs of the figure, seed by seed: where one stops early, all curves have the same seeds. Existing runs are
/// continued or kept.
/// @throws InputError if a task, an algorithm or an option is wrong, or if a directory holds another run than the figure
/// says, or a longer one
/// @throws Cancelled if a stop is asked for
std::vector<FigureJob> plan_figure(const Figure& figure, const ReproduceOptions& options);

/// Called for each job that has ended, with its place in `jobs` and its exit code.
using JobObserver = std::function<void(std::size_t job, int exit_code)>;

/// Runs the jobs that are not done as processes of `program`, at most `at_once` at a time; their output goes to
/// <directory>.log. When `stop` is requested, the running ones are asked to save and end. If this process dies, they die
/// with it, and the next call continues them.
/// @return false if stopped
/// @throws SystemError if a process cannot be started; the others have then ended
bool run_jobs(const std::vector<FigureJob>& jobs, const std::filesystem::path& program, int at_once,
              const std::stop_token& stop, const JobObserver& observe);

}  // namespace kedge
