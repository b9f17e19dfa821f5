// How an algorithm is run, the same for every algorithm, and what every iteration reports.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace kedge {

/// A named number. Order is meaning: metrics are written as CSV columns in the order in which they are reported.
using Metric = std::pair<std::string, double>;

/// A named number for each time step: [T].
using StepMetric = std::pair<std::string, std::vector<double>>;

/// What one completed iteration reports.
struct Iteration {
  int number = 0;                     ///< 0, 1, ...
  std::vector<Metric> metrics;        ///< reproducible numbers (no times), the same names in every iteration
  std::vector<StepMetric> steps;      ///< of the update, by time step; all of one length
  std::vector<Metric> seconds;        ///< wall time by phase
  std::vector<std::string> warnings;  ///< plain words, one sentence each
};

/// How to run. Nothing here but `seed` changes a result.
struct Run {
  std::uint64_t seed = 0;
  int threads = 1;       ///< >= 1; results do not depend on it
  std::stop_token stop = {};  ///< polled between iterations and between rollouts

  /// True: the observer is given the inputs and outputs of every update. Ignored by algorithms without trust regions.
  bool record_updates = false;
};

/// Why a loop ended.
enum class Stop {
  max_iterations,
  converged,  ///< nothing is left to gain
  cancelled,
  numerical_failure,
};

}  // namespace kedge
