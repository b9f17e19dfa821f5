// Tuning without a sweep file: a search over the few options of an algorithm that matter, which stops the bad early.
//
// Successive halving [Jamieson & Talwalkar 2016]: n configurations train for a small part of the iterations, the better half
// of them goes on for twice as many, and so on until the last ones have trained for all. The configuration that the task has
// now is number 0 and always goes on, so that the result says what the search brought. Eight configurations are a bracket, which
// asks nothing of the others, so several processes share the brackets of a search.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "kedge/study/shard.h"
#include "kedge/study/sweep.h"

namespace kedge {

/// Returns the options of an algorithm that are searched, with their ranges. @throws InputError if it has no such search
std::vector<Dimension> search_space(const std::string& algorithm);

/// Returns whether an algorithm has such a search.
bool has_search_space(const std::string& algorithm);

inline constexpr int most_trials = 1000;

struct TuneOptions {
  std::string task;              ///< name or path
  std::string algorithm;         ///< with a search space
  std::vector<std::string> set;  ///< of every configuration, as --set takes it
  std::uint64_t seed = 1;        ///< of the search
  int seeds = 2;                 ///< runs of a configuration, with seeds 0, 1, ...
  int at_once = 1;               ///< runs at a time
  std::optional<int> trials;     ///< configurations, at most most_trials; nullopt: until the deadline
  std::optional<std::chrono::steady_clock::time_point> deadline;
  Shard shard = {};  ///< which of the brackets of `trials`
  std::filesystem::path folder;
  std::filesystem::path program;  ///< that trains
  std::stop_token stop;
};

/// What a configuration reached after some of the iterations.
struct TrialScore {
  int bracket = 0, round = 0, trial = 0, iterations = 0;
  /// Share of successes of the final policies without noise, 20 rollouts each; 0 without a measure.
  double success = 0.0;
  double value = 0.0;   ///< mean over the seeds of their median return; -infinity: refused or failed
  std::string options;  ///< "epsilon=0.1 beta0=0.2"; empty: as the task has them
};

struct Tuning {
  enum class End { complete, deadline, interrupted };
  End end = End::complete;
  std::vector<TrialScore> scores;       ///< of all completed rounds
  std::optional<TrialScore> best;       ///< of those with the most iterations; nullopt: no round is completed
  std::optional<TrialScore> unchanged;  ///< number 0 with as many iterations
};

/// Returns the scores in the order in which they are better: by success, then by value, then by number.
bool better(const TrialScore& a, const TrialScore& b);

/// Searches, or goes on with a search in the same folder. Runs, and the scores of bracket B in tune-B.csv, are kept there: what
/// it chooses depends on the arguments and on how many rounds are completed, not on interruptions or on who shared the brackets.
/// @param observe  called with the scores of each round that is completed now
/// @throws InputError if task, algorithm or options are wrong, if the folder holds another search, or an option file that
/// is not of a search, or if there are fewer brackets than shares
/// @throws SystemError if a run was killed: the same call again goes on
Tuning tune(const TuneOptions& options, const std::function<void(const std::vector<TrialScore>&)>& observe);

/// Returns where the option file goes: <folder>/<algorithm>.toml.
std::filesystem::path tuned_file(const TuneOptions& options);

/// Returns a file of options: all that differ from the defaults of the algorithm in this configuration.
/// @param comment  its first lines, without #; the first begins with "kedge tune"
std::string tuned_options(const TuneOptions& options, const TrialScore& chosen, const std::string& comment);

}  // namespace kedge
