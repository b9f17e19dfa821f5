// The runs of a figure summarised: comparison, verdicts, and both as tables and as a page.
#pragma once

#include <string>
#include <vector>

#include "kedge/study/claims.h"
#include "kedge/study/compare.h"
#include "kedge/study/figure_file.h"
#include "kedge/study/jobs.h"

namespace kedge {

struct FigureResult {
  Comparison comparison;  ///< a group for each run of the figure, in its order
  std::vector<JudgedClaim> verdicts;
};

/// Reads the runs of a figure and judges its claims.
/// @param jobs as planned after they were run
/// @throws SystemError if one is still to be done, or if none completed an iteration
/// @throws InputError if one is damaged
FigureResult summarise_figure(const Figure& figure, const std::vector<FigureJob>& jobs, int threads);

/// Return the verdicts, and the final results of every run, as CSV.
std::string verdicts_csv(const std::vector<JudgedClaim>& verdicts);
std::string final_csv(const Comparison& comparison);

/// Returns figure and verdicts as a page of Markdown that names the command that made them.
std::string figure_page(const Figure& figure, const FigureResult& result, const std::string& command);

}  // namespace kedge
