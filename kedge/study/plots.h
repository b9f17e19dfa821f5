// Drawings by gnuplot. Each is a script that contains its data; `draw` runs it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "kedge/study/compare.h"

namespace kedge {

/// Returns a text as a string of a gnuplot script, on one line. gnuplot runs text between backquotes in a string as a
/// command of the shell; the returned string prevents that.
std::string gnuplot_text(std::string_view text);

enum class CurveAxis { rollouts, iterations, seconds };

/// True if every run has a complete timings.csv. A loss of power can cost the last times of a run.
bool has_seconds(const Comparison& comparison);

/// Returns a script that draws learning curves: median (line), quartiles (band) and mean (thin, dashed) over seeds,
/// with returns on a logarithmic axis. If the algorithm reports it, the dashed line is the return without noise, and a
/// dotted line the trajectory that learning started from. There is one drawing for each panel of the groups, two in a
/// row.
/// @throws InputError for seconds if not has_seconds
std::string curves_script(const Comparison& comparison, CurveAxis axis);

/// Returns the number of panels of the groups, at least 1.
int panel_count(const Comparison& comparison);

/// Returns a script that draws the performance profile [Agarwal2021]: the share of seeds whose final policy, without
/// noise, returns at least tau; with the pointwise 95 % bootstrap interval.
std::string profile_script(const Comparison& comparison);

enum class PlotFormat { svg, pdf };

/// The size of a drawing in pixels. 50 pixels are a centimetre of a PDF file.
struct DrawingSize {
  int width = 900, height = 560;
};
/// Returns the size of a drawing of this number of panels, two in a row.
DrawingSize size_of_panels(int panels);

/// Runs gnuplot and returns the drawing. @param file  that it is for, in messages
/// @throws SystemError if gnuplot is missing or fails
std::string drawing(const std::string& script, PlotFormat format, const std::filesystem::path& file,
                    DrawingSize size = {});

/// Runs gnuplot. @throws SystemError if gnuplot is missing or fails, or if the file cannot be written
void draw(const std::string& script, PlotFormat format, const std::filesystem::path& file, DrawingSize size = {});

/// Checks before long work that gnuplot will be able to draw `file`, by a small drawing that is thrown away.
/// @throws SystemError as `draw` does
void require_gnuplot(PlotFormat format, const std::filesystem::path& file);

}  // namespace kedge
