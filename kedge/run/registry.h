// The tables of what kedge has. Adding an algorithm or a policy is adding one row here.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kedge/core/run.h"
#include "kedge/run/option_text.h"
#include "kedge/run/run_directory.h"
#include "kedge/system/task.h"

namespace kedge {

/// What a person who waits wants to know, after each completed iteration.
struct Progress {
  int iterations_done = 0;
  int iterations = 0;  ///< asked for
  std::int64_t rollouts_total = 0;
  double return_mean = 0.0;  ///< of this iteration's rollouts; NaN if all of them diverged
  double return_median = 0.0;
  const Iteration* iteration = nullptr;
};
using ProgressObserver = std::function<void(const Progress&)>;

/// A run that is about to begin or to go on in an open run directory.
struct Training {
  const Task& task;
  const Options& options;   ///< of the algorithm
  RunDirectory& directory;  ///< created, or opened
  RunIdentity identity;
  bool record_updates = false;
  Run run;
  ProgressObserver observe;  ///< may be empty
};

struct TrainingEnd {
  Stop stop = Stop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  int iterations = 0;   ///< completed
};

struct Algorithm {
  const char* name = nullptr;
  const char* summary = nullptr;                         ///< one line
  Options (*options)() = nullptr;                        ///< all options with their defaults
  void (*check)(const Options&) = nullptr;               ///< rules that name more than one option; throws InputError
  void (*check_task)(const Task&) = [](const Task&) {};  ///< what the algorithm asks of a task; throws InputError
  bool full_state = false;       ///< it feeds back the whole state: the task's observation is replaced by that
  bool records_updates = false;  ///< --record-updates means something
  /// Begins the run, or continues it from its checkpoint, and saves every completed iteration.
  /// @throws InputError, SystemError
  TrainingEnd (*train)(const Training&) = nullptr;
  /// States [nx, T+1] of the trajectory that learning starts from, as a run with this seed plans it; nullopt if planning
  /// fails or is cancelled. Null where learning starts from none.
  std::optional<MatrixXd> (*initial_trajectory)(const Task&, const Options&, const Run&) = nullptr;
};

/// In the order in which `kedge list` shows them.
std::span<const Algorithm> algorithms();

/// @throws InputError that names the known ones
const Algorithm& find_algorithm(std::string_view name);

struct PolicyKind {
  const char* name;  ///< attribute `kind` of policy.h5
  const char* summary;
};
std::span<const PolicyKind> policies();

}  // namespace kedge
