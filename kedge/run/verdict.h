// Can each algorithm learn a task, with its options as `train` would take them, and what will it take? Answered before work
// starts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/catalogue/needs.h"
#include "kedge/core/option.h"
#include "kedge/tasks/task_file.h"

namespace kedge {

struct Algorithm;

struct Verdict {
  std::string algorithm;
  std::string refusal;   ///< why it cannot, one line; empty: it is ready
  Needs needs;           ///< if it is ready
  double seconds = 0.0;  ///< of an iteration, about; if it is ready
};

/// What the verdicts on the algorithms have in common.
struct Candidate {
  std::filesystem::path file;  ///< of the task: options lie beside it
  const TaskFile& task;
  std::vector<Override> overrides;  ///< of the task
  int threads = 1;                  ///< that training would have
};

/// Returns the options of an algorithm: its defaults, then those of <algorithm>.toml beside the task.
/// @param file  of the task  @throws InputError if one is wrong
Options options_beside(const Algorithm& algorithm, const std::filesystem::path& file);

/// @param options  of the algorithm  @param per_step  seconds_per_step of the task
Verdict verdict(const Algorithm& algorithm, const Options& options, const Candidate& candidate, double per_step);

/// Returns how long one control step of the task takes: the fastest of some that are simulated now, from the mean start.
double seconds_per_step(const Task& task);

/// Returns how long an iteration takes, about. @param per_step as above
double seconds_of(const Needs& needs, double per_step, int threads);

/// @throws InputError if that much memory is not there: "moto needs about 31 GB for ..., but 20 GB are available"
void require_memory(const std::string& algorithm, const Needs& needs);

/// Loads the task again with the whole state as its observation, if the algorithm wants that and it is not what it has.
/// @param overrides  of the task; appended to if it is loaded again
void observe_what_is_needed(const Algorithm& algorithm, const std::filesystem::path& file, TaskFile& task,
                            std::vector<Override>& overrides, const std::stop_token& stop);

}  // namespace kedge
