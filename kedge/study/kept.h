// A figure made anew from the tables that a publication keeps of it, without its runs.
#pragma once

#include <string>

#include "kedge/study/figure_file.h"
#include "kedge/study/report.h"

namespace kedge {

/// Reads final.csv: a group for each run of the figure, in its order, without curves.
/// @throws InputError "<path>: ...": a column is missing, an entry is wrong, a run is not the figure's, or is not there
Comparison kept_comparison(const Figure& figure, const std::string& file);

/// Makes the result of a figure from PREFIXfinal.csv, PREFIXcurves.csv and PREFIXverdicts.csv. The verdicts are judged anew
/// by the measures of the seeds, which verdicts.csv holds. Of the curves there is the last point of each, and of that the
/// seconds. So figure_page gives the page of the runs again, in every digit.
/// @param prefix "runs/moto-fig1b/", "docs/results/moto-fig1b-"
/// @throws InputError as kept_comparison; if verdicts.csv is not about the claims of the figure; if a number in it is not
///         what follows from its seeds, or a final measure not that of final.csv
FigureResult kept_result(const Figure& figure, const std::string& prefix);

}  // namespace kedge
