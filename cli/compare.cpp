#include "kedge/study/compare.h"

#include <fmt/format.h>

#include <memory>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/pages/embedded.h"
#include "kedge/study/plots.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

std::function<int()> add_compare(CLI::App& app) {
  struct Arguments {
    std::vector<std::string> directories;
    std::string csv, svg, html, x = "rollouts";
    int threads = 1;
    bool partial = false;
  };
  auto a = std::make_shared<Arguments>();
  app.add_option("directories", a->directories, "of the runs")->type_name("DIR")->required();
  app.add_option("--csv", a->csv, "write all points of the curves")->type_name("FILE");
  app.add_option("--svg", a->svg, "draw the curves: median and quartiles over seeds (needs gnuplot)")
      ->type_name("FILE");
  app.add_option("--html", a->html, "write a page with curves, tables and settings that differ")->type_name("FILE");
  app.add_option("--x", a->x, "axis of the drawing: rollouts or seconds")->type_name("AXIS")->capture_default_str();
  add_threads(app, a->threads);
  app.add_flag("--partial", a->partial, "leave out damaged runs, and let groups have different seeds");
  return [a] {
    if (a->x != "rollouts" && a->x != "seconds")
      throw InputError(fmt::format("--x = {}, but must be rollouts or seconds", a->x));
    const CurveAxis axis = a->x == "rollouts" ? CurveAxis::rollouts : CurveAxis::seconds;
    if (!a->html.empty()) page("compare.html");  // refused before work starts
    std::vector<std::string> outputs;
    for (const std::string& file : {a->csv, a->svg, a->html})
      if (!file.empty()) outputs.push_back(file);
    require_outputs(outputs);
    if (!a->svg.empty()) require_gnuplot(PlotFormat::svg, a->svg);
    CompareOptions options;
    options.threads = a->threads;
    options.partial = a->partial;
    const Comparison comparison = compare({a->directories.begin(), a->directories.end()}, options);
    for (const std::string& note : comparison.notes) print_warning(note);
    if (const auto note = mixed_builds({a->directories.begin(), a->directories.end()})) print_warning(*note);
    fmt::print("{}", comparison_text(comparison));
    if (!a->csv.empty()) write_file(a->csv, comparison_csv(comparison), Durability::process);
    if (!a->svg.empty()) draw(curves_script(comparison, axis), PlotFormat::svg, a->svg);
    if (!a->html.empty())
      write_file(a->html,
                 page_with(page("compare.html"), {{"comparison", "application/json", comparison_json(comparison)}}),
                 Durability::process);
    for (const std::string& file : {a->csv, a->svg, a->html})
      if (!file.empty()) fmt::print("\nwritten to {}\n", file);
    return kDone;
  };
}

}  // namespace kedge::cli
