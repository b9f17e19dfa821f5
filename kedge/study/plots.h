// Drawings by gnuplot: each is a script with its data in it, and how to run it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "kedge/study/compare.h"

namespace kedge {

/// Returns a text as a string of a gnuplot script, on one line. gnuplot runs what it finds between backquotes in a string as
/// a command of the shell, unless it is marked as text, as here.
std::string gnuplot_text(std::string_view text);

enum class CurveAxis { rollouts, iterations, seconds };

/// Has every run a complete timings.csv? A loss of power can cost the last times of a run.
bool has_seconds(const Comparison& comparison);

/// Learning curves: median (line), quartiles (band) and mean (thin, dashed) over seeds; returns on a logarithmic axis. Where
/// an algorithm reports it, the dashed line is the return without noise, and a dotted line the trajectory that learning
/// started from. One drawing for each panel that the groups name, two in a row.
/// @throws InputError for seconds if not has_seconds
std::string curves_script(const Comparison& comparison, CurveAxis axis);

/// Panels that the groups name, at least one.
int panel_count(const Comparison& comparison);

/// Performance profile [Agarwal2021]: the share of seeds whose final policy, without noise, returns at least tau; with
/// the pointwise 95 % bootstrap interval.
std::string profile_script(const Comparison& comparison);

enum class PlotFormat { svg, pdf };

/// Of a drawing, in pixels; 50 of them are a centimetre of a PDF file.
struct DrawingSize {
  int width = 900, height = 560;
};
/// Of a drawing of so many panels, two in a row.
DrawingSize size_of_panels(int panels);

/// Runs gnuplot. @throws SystemError if gnuplot is missing or fails, or if the file cannot be written
void draw(const std::string& script, PlotFormat format, const std::filesystem::path& file, DrawingSize size = {});

/// Finds out before long work whether gnuplot can draw `file` afterwards, by a small drawing that is thrown away.
/// @throws SystemError as `draw` does
void require_gnuplot(PlotFormat format, const std::filesystem::path& file);

}  // namespace kedge
