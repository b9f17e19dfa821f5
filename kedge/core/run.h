// The parameters of a run and the report of an iteration, the same for every algorithm.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace kedge {

/// A named number. Metrics are written as CSV columns in the order in which they are reported.
using Metric = std::pair<std::string, double>;

/// A named number for each time step: [T].
using StepMetric = std::pair<std::string, std::vector<double>>;

/// The report of one completed iteration.
struct Iteration {
  int number = 0;                     ///< 0, 1, ...
  std::vector<Metric> metrics;        ///< reproducible numbers (no times), the same names in every iteration
  std::vector<StepMetric> steps;      ///< numbers of the update by time step, all of one length
  std::vector<Metric> seconds;        ///< wall time by phase
  std::vector<std::string> warnings;  ///< plain words, one sentence each
};

/// Parameters of a run. Only `seed` changes a result.
struct Run {
  std::uint64_t seed = 0;
  int threads = 1;            ///< >= 1; results do not depend on it
  std::stop_token stop = {};  ///< polled between iterations and between rollouts

  /// True: the observer is given the inputs and outputs of every update. Ignored by algorithms without trust regions.
  bool record_updates = false;
};

/// Why a loop ended.
enum class Stop {
  max_iterations,
  converged,  ///< no further improvement is possible
  cancelled,
  numerical_failure,
};

}  // namespace kedge
