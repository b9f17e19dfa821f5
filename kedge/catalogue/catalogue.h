// The table of algorithms: every algorithm by name, with options and states as named values. It knows no file and no
// directory: a program can train in memory through it, and `kedge train` is one observer of it.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kedge/algorithms/loop.h"
#include "kedge/catalogue/fields.h"
#include "kedge/catalogue/needs.h"
#include "kedge/core/option.h"
#include "kedge/policy/kinds.h"
#include "kedge/system/task.h"

namespace kedge {

/// The state of any algorithm between two iterations.
struct Snapshot {
  LoopState loop;
  AnyPolicy policy;  ///< the last accepted one
  Fields fields;     ///< all of the state, these included
};

/// Called after each completed iteration, on the calling thread. `record` is null unless run.record_updates.
using TrainingObserver = std::function<void(const Iteration&, const Snapshot&, const UpdateRecord* record)>;

/// The parameters of a training.
struct Training {
  const Task& task;
  const Options& options;  ///< options of the algorithm
  Run run;
  const Fields* from = nullptr;   ///< state to continue from; null: the start
  TrainingObserver observe = {};  ///< may be empty
};

struct TrainingEnd {
  Stop stop = Stop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  Snapshot state;       ///< after the last completed iteration; its policy is usable for every `stop`
};

struct Algorithm {
  const char* name = nullptr;
  const char* summary = nullptr;     ///< one line
  bool full_state = false;           ///< its policy needs the whole state, which replaces the task's observation
  bool noise_meant = true;           ///< false: the covariance of its policy is a by-product; the policy is its mean
  bool records_updates = false;      ///< it supports run.record_updates
  const char* advice = nullptr;      ///< what to set where no rollout succeeds, "KEY=VALUE    # why"
  const char* from_needs = nullptr;  ///< option without which it cannot start from a policy, "KEY=VALUE"
  bool begins_with_demonstration = false;  ///< it begins with the task's demonstration, if there is one

  /// Returns all options with their defaults.
  Options (*options)() = nullptr;

  /// Checks the options, each and together. @throws InputError if they are not allowed
  void (*check)(const Options&) = nullptr;

  /// Returns the state before the first iteration.
  /// @throws InputError if the task lacks something that the algorithm needs
  Snapshot (*start)(const Task&, const Options&) = nullptr;

  /// Returns the state before the first iteration of learning that starts from the mean actions of another policy, with a
  /// noise of its own. Null where an algorithm cannot.
  /// @param from of the task's horizon, observations and actions  @throws InputError as `start`, or if `from` does not fit
  Snapshot (*start_from)(const Task&, const Options&, const TvLinearGaussian& from) = nullptr;

  /// Estimates what an iteration takes, and judges the options by the numbers of the task.
  /// @param task one that `start` accepts
  Needs (*needs)(const Task& task, const Options&, int threads) = nullptr;

  /// Checks a state. @throws InputError if the fields are not a state of this algorithm on the task
  void (*check_state)(const Task&, const Options&, const Fields&) = nullptr;

  /// Trains to the end, to a stop request or to a numerical failure.
  /// @throws InputError if options, task and state do not fit together
  TrainingEnd (*train)(const Training&) = nullptr;

  /// Returns the states [nx, T+1] of the trajectory that learning starts from, as a run with this seed plans it;
  /// nullopt if planning fails or is cancelled. Null where learning starts from none.
  std::optional<MatrixXd> (*initial_trajectory)(const Task&, const Options&, const Run&) = nullptr;
};

/// Returns all algorithms, in the order in which `kedge list` shows them.
std::span<const Algorithm> algorithms();

/// Returns the algorithm of a name. @throws InputError that lists the known names
const Algorithm& find_algorithm(std::string_view name);

}  // namespace kedge
