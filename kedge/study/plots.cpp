#include "kedge/study/plots.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "kedge/core/errors.h"
#include "kedge/core/process.h"
#include "kedge/core/text.h"
#include "kedge/files/atomic_file.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

// Colours of Okabe and Ito, told apart by everyone.
constexpr std::array kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"};

/// Returns span many powers of ten. Where all are negative the axis is log10(-return), pointing down; else
/// sign(r) log10(1 + |r|).
struct ReturnAxis {
  bool negative = true;

  [[nodiscard]] double height(double r) const { return negative ? -r : std::copysign(std::log10(1 + std::abs(r)), r); }
  /// Commands for the axis "x" or "y".
  [[nodiscard]] std::string setup(const char* axis) const {
    if (negative) return fmt::format("set logscale {0}\nset {0}range [] reverse\nset format {0} '-10^{{%T}}'\n", axis);
    std::string text = fmt::format("set {}tics ('0' 0", axis);
    for (int e = 1; e <= 12; ++e) {
      const double tick = std::log10(1 + std::pow(10.0, e));
      text += fmt::format(", '10^{{{}}}' {}, '-10^{{{}}}' {}", e, tick, e, -tick);
    }
    return text + ")\n";
  }
};

}  // namespace

std::string gnuplot_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : one_line(text, text.size())) {
    if (c == '"' || c == '\\' || c == '`') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

bool has_seconds(const Comparison& comparison) {
  for (const ComparisonGroup& group : comparison.groups)
    for (const CurvePoint& p : group.curve)
      if (!std::isfinite(p.seconds)) return false;
  return true;
}

namespace {

std::vector<std::string> panels_of(const Comparison& comparison) {
  std::vector<std::string> panels;
  for (const ComparisonGroup& group : comparison.groups)
    if (std::find(panels.begin(), panels.end(), group.panel) == panels.end()) panels.push_back(group.panel);
  return panels;
}

double place(const CurvePoint& p, CurveAxis axis) {
  switch (axis) {
    case CurveAxis::rollouts: return static_cast<double>(p.rollouts);
    case CurveAxis::iterations: return p.iteration + 1;
    case CurveAxis::seconds: return p.seconds;
  }
  return 0.0;
}

/// What the key says of a group.
std::string key_of(const std::string& label, std::size_t runs) {
  return gnuplot_text(fmt::format("{} ({} seed{})", label, runs, runs == 1 ? "" : "s"));
}

/// The curves of one panel.
std::string panel_script(const Comparison& comparison, const std::string& panel, CurveAxis axis) {
  bool negative = true, deterministic = true;
  std::optional<double> reference;
  for (const ComparisonGroup& group : comparison.groups) {
    if (group.panel != panel) continue;
    if (group.reference) reference = group.reference;
    for (const CurvePoint& p : group.curve) {
      negative = negative && p.upper_quartile < 0 && p.median.value < 0;
      deterministic = deterministic && (!std::isnan(p.deterministic) || !std::isfinite(p.median.value));
    }
  }
  const ReturnAxis returns{negative};
  std::string script = fmt::format("set title {} noenhanced\n", gnuplot_text(panel.empty() ? comparison.task : panel));
  script += fmt::format("set ylabel 'return: median, quartiles (band), {}'\n",
                        deterministic ? "without noise (dashed)" : "mean (dashed) over seeds");
  script += returns.setup("y");
  std::string plots;
  int colour_number = 0;
  for (std::size_t g = 0; g < comparison.groups.size(); ++g) {
    const ComparisonGroup& group = comparison.groups[g];
    if (group.panel != panel) continue;
    const char* colour = kColours[static_cast<std::size_t>(colour_number++) % kColours.size()];
    if (group.curve.empty()) continue;  // every run failed at once
    script += fmt::format("$curve{} << EOD\n", g);
    for (const CurvePoint& p : group.curve) {
      if (!std::isfinite(p.median.value) || !std::isfinite(p.lower_quartile)) continue;
      const double dashed = deterministic ? p.deterministic : p.mean.value;
      script += fmt::format("{} {} {} {} {}\n", place(p, axis), returns.height(p.median.value),
                            returns.height(p.lower_quartile), returns.height(p.upper_quartile),
                            std::isfinite(dashed) ? fmt::format("{}", returns.height(dashed)) : "NaN");
    }
    script += "EOD\n";
    const std::string label = panel.empty() ? group.label : group.label.substr(panel.size() + 2);
    plots += fmt::format(
        "{0}$curve{1} using 1:3:4 with filledcurves lc rgb '{2}' notitle, $curve{1} using 1:5 with lines lw 1 dt 2 lc "
        "rgb '{2}' notitle, $curve{1} using 1:2 with lines lw 2 lc rgb '{2}' title {3}",
        plots.empty() ? "plot " : ", ", g, colour, key_of(label, group.runs.size()));
  }
  if (reference && !plots.empty())
    plots += fmt::format(", {} with lines lw 1 dt 3 lc rgb '#000000' title 'initial trajectory'",
                         returns.height(*reference));
  return script + plots + "\n";
}

}  // namespace

int panel_count(const Comparison& comparison) { return static_cast<int>(panels_of(comparison).size()); }

std::string curves_script(const Comparison& comparison, CurveAxis axis) {
  if (axis == CurveAxis::seconds && !has_seconds(comparison))
    throw InputError("no curve over seconds: a run has no complete timings.csv");
  const char* x = axis == CurveAxis::rollouts     ? "rollouts"
                  : axis == CurveAxis::iterations ? "iterations"
                                                  : "wall time, s";
  const std::vector<std::string> panels = panels_of(comparison);
  std::string script =
      "set style fill transparent solid 0.2 noborder\n"
      "set grid ytics lc rgb '#dddddd' lw 1\n"
      "set border 3\nset tics nomirror\n";
  const bool crowded = panels.size() > 1 || comparison.groups.size() > 4;  // a key inside would hide curves
  script += fmt::format("set key {} noenhanced\n", crowded ? "below" : "inside bottom right");
  script += fmt::format("set xlabel '{}'\n", x);
  if (panels.size() > 1)
    script += fmt::format("set multiplot layout {},2 title {} noenhanced\n", (panels.size() + 1) / 2,
                          gnuplot_text(comparison.task));
  for (const std::string& panel : panels) script += panel_script(comparison, panel, axis);
  if (panels.size() > 1) script += "unset multiplot\n";
  return script;
}

std::string profile_script(const Comparison& comparison) {
  const std::vector<double> thresholds = final_returns(comparison);
  const ReturnAxis returns{thresholds.empty() || thresholds.back() < 0};
  std::string script =
      "set style fill transparent solid 0.2 noborder\nset key inside bottom left noenhanced\n"
      "set grid ytics lc rgb '#dddddd' lw 1\nset border 3\nset tics nomirror\nset yrange [0:1.02]\n"
      "set xlabel 'return of the final policy without noise is at least'\nset ylabel 'share of seeds'\n";
  script += fmt::format("set title {} noenhanced\n", gnuplot_text(comparison.task)) + returns.setup("x");
  std::string plots;
  for (std::size_t g = 0; g < comparison.groups.size(); ++g) {
    const ComparisonGroup& group = comparison.groups[g];
    script += fmt::format("$profile{} << EOD\n", g);
    double before = std::numeric_limits<double>::quiet_NaN();
    for (const auto& [tau, share] : performance_profile(group, thresholds)) {
      // The share is constant since the threshold before.
      for (const double x : {std::isnan(before) ? tau : before, tau})
        script += fmt::format("{} {} {} {}\n", returns.height(x), share.value, share.interval.low, share.interval.high);
      before = tau;
    }
    script += "EOD\n";
    plots += fmt::format(
        "{0}$profile{1} using 1:3:4 with filledcurves lc rgb '{2}' notitle, $profile{1} using 1:2 with lines lw 2 lc "
        "rgb '{2}' title {3}",
        g == 0 ? "plot " : ", ", g, kColours[g % kColours.size()], key_of(group.label, group.runs.size()));
  }
  return script + plots + "\n";
}

std::string drawing(const std::string& commands, PlotFormat format, const fs::path& file, DrawingSize size) {
  const std::string script =
      (format == PlotFormat::svg
           ? fmt::format("set terminal svg size {},{} dynamic enhanced background rgb 'white' font 'Helvetica,14'\n",
                         size.width, size.height)
           : fmt::format("set terminal pdfcairo size {}cm,{}cm enhanced font 'Helvetica,12'\n", size.width / 50.0,
                         size.height / 50.0)) +
      commands;
  Process gnuplot({.arguments = {"gnuplot"},
                   .input = true,
                   .purpose = fmt::format("which draws {}", file.string()),
                   .remedy = "install it (Debian: gnuplot-nox) or use --csv"});
  gnuplot.write(script);
  const int code = gnuplot.wait();
  std::string drawn = gnuplot.output();
  if (code != 0 || drawn.find(format == PlotFormat::svg ? "</svg>" : "%%EOF") == std::string::npos)
    throw SystemError(fmt::format("gnuplot failed to draw {}: {}", file.string(), gnuplot.error_tail()));
  return drawn;
}

DrawingSize size_of_panels(int panels) {
  const DrawingSize one;
  return {one.width * (panels > 1 ? 2 : 1), one.height * ((panels + 1) / 2)};
}

void draw(const std::string& commands, PlotFormat format, const fs::path& file, DrawingSize size) {
  write_file(file, drawing(commands, format, file, size), Durability::process);
}

void require_gnuplot(PlotFormat format, const fs::path& file) { drawing("plot 0\n", format, file, {}); }

}  // namespace kedge
