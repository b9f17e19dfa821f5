// metrics.csv and timings.csv: a header, then one row an iteration. Numbers are written as the shortest text that reads
// back to the same bits, so that equal runs give equal files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/run.h"

namespace kedge {

/// "iteration,return_mean\n" and "3,-12.5\n": the number of the iteration comes first, unless the metrics already
/// begin with it. Infinite and undefined values are "inf", "-inf", "nan".
std::string csv_header(std::span<const Metric> metrics);
std::string csv_row(int iteration, std::span<const Metric> metrics);

/// Length of the part of such a text to keep when a run goes on after `iterations` iterations: header and whole rows
/// up to the first of a later iteration.
std::size_t csv_prefix(std::string_view text, int iterations);

/// A table that was read back.
struct MetricsTable {
  std::vector<std::string> columns;       ///< names, "iteration" first; none if no iteration was completed
  std::vector<std::vector<double>> rows;  ///< each as long as columns

  /// @return -1 if there is no such column
  [[nodiscard]] int column(std::string_view name) const;
};

/// Reads metrics.csv or timings.csv. A last line that does not end is being written at this moment, or belongs to an
/// iteration that a killed process did not complete: it is left out.
/// @throws InputError "<path>:<line>: found ..., expected ...": a row with other than the header's number of entries,
///         an entry that is not a number, a name that occurs twice, iterations that do not rise
MetricsTable read_metrics(const std::filesystem::path& path);

}  // namespace kedge
