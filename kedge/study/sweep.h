// Tuning as a declared search over options. A sweep file names the task, the algorithm, the options that are searched, the
// seeds, and the measure by which configurations are ranked. docs/reproduce.md describes the format.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/study/compare.h"
#include "kedge/study/figure_file.h"

namespace kedge {

/// One searched option: a list of values, or a range.
struct Dimension {
  std::string option;
  std::vector<std::string> values;  ///< as --set takes them; empty: a range
  double low = 0.0, high = 0.0;
  bool logarithmic = false, whole = false;
  const char* unit = "";  ///< what follows the number: " %"

  /// Returns a value as --set takes it.
  [[nodiscard]] std::string draw(Stream& random) const;
};

struct Sweep {
  Figure figure;  ///< one run for each configuration, its label the options that were searched: "epsilon=0.1 gamma=0.5"
  Measure measure;
};

/// Reads a sweep file and draws its configurations: all of a grid, or `samples` at random (the same ones always).
/// @throws InputError with file, line and column
Sweep read_sweep(const std::filesystem::path& file);

/// One configuration and its results.
struct SweepRow {
  std::string label;
  std::vector<double> values;  ///< the measure, by seed
  double score = 0.0;          ///< interquartile mean of `values`
  std::size_t solved = 0;      ///< seeds whose final policy succeeds in every rollout
};

/// Ranks the configurations, the best first; configurations without runs are left out.
std::vector<SweepRow> rank(const Sweep& sweep, const Comparison& comparison);

/// Returns the ranking as CSV, a row for each configuration; its score is the interquartile mean of its values.
std::string sweep_csv(const Sweep& sweep, const std::vector<SweepRow>& rows);

}  // namespace kedge
