// A training run from the request to the last saved iteration.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/catalogue/catalogue.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/run_file.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

/// A user's request.
struct TrainRequest {
  std::string task;  ///< name or path
  std::string algorithm = "moto";
  std::uint64_t seed = 1;
  std::optional<std::filesystem::path> config;  ///< file of options
  std::vector<std::string> set;                 ///< "epsilon=0.1", "task.actions.limit=10"
  std::optional<std::string> from;              ///< run, policy or trajectory to start from; nullopt: the own start
  std::optional<int> iterations;
  bool record_updates = false;
  std::optional<std::filesystem::path> out;  ///< nullopt: runs/<task>-<algorithm>-s<seed>, the first that is free
  bool force = false;                        ///< replace an existing run
  std::stop_token stop = {};                 ///< passed to `load_task`
  int threads = 1;                           ///< of the training to come: each needs memory
};

/// A checked request: nothing is written yet.
struct PlannedRun {
  RunFile file;
  TaskFile task;
  std::optional<std::filesystem::path> out;
  bool force = false;
  std::stop_token stop;
  double seconds = 0.0, bytes = 0.0;  ///< of an iteration, about
};

/// Resolves task and options. Precedence, the strongest last: defaults, <algorithm>.toml next to the task file,
/// `config`, `set` and `iterations` in the order given.
/// @throws InputError
/// @throws Cancelled if a stop is requested
PlannedRun plan_run(const TrainRequest& request);

/// A run whose directory exists and is locked.
struct OpenRun {
  RunFile file;
  TaskFile task;
  RunDirectory directory;
  std::vector<std::string> warnings;  ///< one line each
  bool changed = false;               ///< `file` says something else than run.toml: `train` writes it there
};

/// Makes the directory, with a copy of the task in it.
/// @throws InputError if the directory is taken  @throws SystemError  @throws Cancelled as `plan_run`
OpenRun create_run(PlannedRun plan);

/// Opens an interrupted run, or a finished one that is to be extended.
/// @param iterations  the new total; nullopt: the total of the run
/// @param stop        passed to `load_task`
/// @throws InputError if it is not a run, is damaged or in use, has ended by numerical failure, or has nothing left to do
/// @throws Cancelled if a stop is requested
OpenRun open_run(const std::filesystem::path& directory, std::optional<int> iterations,
                 const std::stop_token& stop = {});

/// Progress of a run, reported after each iteration.
struct Progress {
  int iterations_done = 0;
  int iterations = 0;  ///< total that was requested
  std::int64_t rollouts_total = 0;
  double return_mean = 0.0;  ///< mean return of this iteration's rollouts; NaN if all diverged
  double return_median = 0.0;
  const Iteration* iteration = nullptr;
};

struct HowToRun {
  int threads = 1;
  std::stop_token stop;
  std::function<void(const Progress&)> observe;  ///< may be empty
};

/// How a run ended.
struct RunEnd {
  Stop stop = Stop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  int iterations = 0;   ///< completed
};

/// Trains to the end, to a stop request or to a numerical failure; every completed iteration is saved.
/// @throws InputError, SystemError
RunEnd train(OpenRun& run, const HowToRun& how);

}  // namespace kedge
