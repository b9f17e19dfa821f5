// The files of a figure: its tables, its page and its drawings.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/study/figure_file.h"
#include "kedge/study/report.h"

namespace kedge {

/// Returns the names of all files that write_figure may write.
std::vector<std::string> figure_results();

/// Writes curves.csv, final.csv, verdicts.csv, README.md and, as SVG and PDF, the curves over rollouts and over seconds
/// and the performance profile; no curves over seconds if not has_seconds. Where the figure asks for paths: those of the
/// first seed's final policies, without noise, below the trajectory that learning started from.
/// @throws InputError if one of them is there already and not as kedge wrote it (results.h)
/// @throws SystemError if a file cannot be written, or gnuplot fails
void write_figure(const Figure& figure, const FigureResult& result, const std::string& command,
                  const std::filesystem::path& folder);

}  // namespace kedge
