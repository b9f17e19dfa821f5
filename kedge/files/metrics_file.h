// Tables of a run: metrics.csv and timings.csv have one row an iteration, steps.csv one row a time step of the last
// update, warnings.csv one row a warning. Each begins with a header. Numbers are written as the shortest text that reads
// back to the same bits, so that equal runs give equal files.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/run.h"
#include "kedge/files/directory.h"

namespace kedge {

/// Return "iteration,return_mean\n" and "3,-12.5\n". The number of the iteration comes first, unless the metrics already
/// begin with it. Infinite and undefined values are "inf", "-inf", "nan".
std::string csv_header(std::span<const Metric> metrics);
std::string csv_row(int iteration, std::span<const Metric> metrics);

/// Returns steps.csv: "step,iteration,kl,...\n", then a row for each step. @param steps all of one length
std::string steps_csv(int iteration, std::span<const StepMetric> steps);

/// A row of warnings.csv, `3,"few effective samples"\n`; its header is warnings_header.
inline constexpr std::string_view warnings_header = "iteration,warning\n";
std::string warning_row(int iteration, std::string_view warning);

/// Returns the length of the part of such a text to keep when a run continues after `iterations` iterations: header and
/// whole rows up to the first of a later iteration.
std::size_t csv_prefix(std::string_view text, int iterations);

/// A table that was read back.
struct MetricsTable {
  std::vector<std::string> columns;       ///< names, "iteration" or "step" first; none if the file is empty
  std::vector<std::vector<double>> rows;  ///< each as long as columns

  /// Returns the index of a column; -1 if there is none of this name.
  [[nodiscard]] int column(std::string_view name) const;
};

/// Reads metrics.csv or timings.csv. A last line that does not end is being written at this moment, or belongs to an
/// iteration that a killed process did not complete: it is left out.
/// @throws InputError "<path>:<line>: found ..., expected ...": a row with other than the header's number of entries,
///         an entry that is not a number, a name that occurs twice, iterations that do not rise
MetricsTable read_metrics(const FileName& file);

/// Reads steps.csv: first column "step", rising. @throws InputError as read_metrics
MetricsTable read_steps(const FileName& file);

struct Warning {
  int iteration = 0;
  std::string text;
};
/// Reads warnings.csv; a last line that does not end is left out. @throws InputError "<path>:<line>: ..."
std::vector<Warning> read_warnings(const FileName& file);

}  // namespace kedge
