// Verdicts on a paper's claims by runs: a measure for each seed, the statistics that compare seeds, and a verdict.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kedge/study/compare.h"
#include "kedge/study/figure_file.h"

namespace kedge {

enum class Verdict { holds, does_not_hold, undecided, too_few_seeds, no_runs };

/// Returns "holds", "does not hold", ...
const char* to_string(Verdict verdict);

/// The fewest seeds for a verdict: a bootstrap over fewer is meaningless.
inline constexpr std::size_t fewest_seeds = 5;

/// A claim and its verdict by the runs.
struct JudgedClaim {
  Claim claim;
  Verdict verdict = Verdict::undecided;

  /// The measure over seeds if the claim compares. If it is about success, `run_value` is the share of seeds.
  Estimate run_value, than_value;

  /// Probability that a seed of `run` beats one of `than`, ties counting half.
  double probability = 0.0;

  /// The 95 % interval of `probability` or of the share.
  Interval interval;

  /// The measure of every seed; `than_values` is empty if the claim is about success.
  std::vector<double> run_values, than_values;
};

/// Judges a claim by the measure of every seed of its runs. @param than not read if the claim is about success
JudgedClaim judge(const Claim& claim, const std::vector<double>& run, const std::vector<double>& than);

/// Judges a claim by the runs.
JudgedClaim judge(const Claim& claim, const Comparison& comparison);

/// Returns the reason for a verdict, in words and numbers.
std::string reason(const JudgedClaim& judged);

/// Returns the measure of each run of a group; a run that did not reach it counts as minus infinity.
std::vector<double> measure_values(const ComparisonGroup& group, const Measure& measure);

/// Returns the probability that a value of `a` is larger than one of `b`, ties counting half, with its 95 % bootstrap
/// interval [Agarwal2021, "probability of improvement"]. Where every resample gives the same (the samples do not overlap, or
/// all values are equal), the bootstrap knows nothing of the error, and the interval is Newcombe's.
Estimate probability_of_improvement(const std::vector<double>& a, const std::vector<double>& b);

/// Returns the 95 % score interval of the probability that a value of one sample beats one of another [Newcombe2006,
/// method 5]: the theta with (p - theta)^2 = z^2 V(theta),
///   V = theta (1 - theta) / (m n) (1 + ((m + n) / 2 - 1) ((1 - theta) / (2 - theta) + theta / (1 + theta))).
/// @param p in [0, 1], as seen in samples of  @param m, n >= 1 values
Interval newcombe_interval(double p, std::size_t m, std::size_t n);

/// Returns an estimate with four significant digits: "-602.3 [-610, -590]".
std::string estimate_text(const Estimate& estimate);

}  // namespace kedge
