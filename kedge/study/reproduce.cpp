#include "kedge/study/reproduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kedge/catalogue/catalogue.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/run_task.h"
#include "kedge/study/body_paths.h"
#include "kedge/study/plots.h"
#include "kedge/study/results.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

const std::array kFormats{std::pair{PlotFormat::svg, "svg"}, std::pair{PlotFormat::pdf, "pdf"}};

void replace_drawing(const fs::path& folder, const std::string& name, const std::string& script, PlotFormat format,
                     DrawingSize size) {
  replace_result(folder, name, drawing(script, format, folder / name, size));
}

/// States of a run's final policy without noise, from a start of its seed.
MatrixXd learned_path(const fs::path& directory, const TaskFile& task, const RunFile& file) {
  Run run;
  run.seed = file.seed;
  const AnyPolicy policy = load_policy(open_run_directory(directory) / kPolicyFile).policy;
  const Batch batch = evaluate(task.task, as_policy(policy), {.rollouts = 1, .deterministic = true}, run)->batch;
  const int diverged = batch.diverged_at.front();
  return batch.state.leftCols(diverged < 0 ? batch.horizon + 1 : std::max(1, diverged));
}

/// The paths of the first seed, panel by panel: first the trajectory that learning started from.
void draw_paths(const Comparison& comparison, const fs::path& folder) {
  std::vector<PathPanel> panels;
  std::vector<TaskFile> tasks;  // keep the systems
  for (const ComparisonGroup& group : comparison.groups) {
    const fs::path& directory = group.runs.front().directory;
    const RunFile file = read_run_file(directory);
    TaskFile task = load_run_task(directory, file);
    MatrixXd learned = learned_path(directory, task, file);
    if (panels.empty() || panels.back().title != group.panel) {
      const MujocoSystem* system = mujoco_of(*task.task.system);
      if (!system) return;  // nothing to draw
      panels.push_back({group.panel, system, {}});
      Run run;
      run.seed = file.seed;
      if (const auto initial = find_algorithm(file.algorithm).initial_trajectory)
        if (auto states = initial(task.task, file.options, run))
          panels.back().paths.push_back({"initial trajectory", std::move(*states)});
      tasks.push_back(std::move(task));
    }
    panels.back().paths.push_back(
        {group.panel.empty() ? group.label : group.label.substr(group.panel.size() + 2), std::move(learned)});
  }
  const PathsDrawing paths = paths_drawing(panels);
  for (const auto& [format, extension] : kFormats)
    replace_drawing(folder, fmt::format("paths.{}", extension), paths.script, format, paths.size);
}

}  // namespace

std::vector<std::string> figure_results() {
  std::vector<std::string> names{"curves.csv", "final.csv", "verdicts.csv", "README.md"};
  for (const char* drawn : {"curves", "curves_seconds", "profile", "paths"})
    for (const auto& [format, extension] : kFormats) names.push_back(fmt::format("{}.{}", drawn, extension));
  return names;
}

void write_figure(const Figure& figure, const FigureResult& result, const std::string& command,
                  const fs::path& folder) {
  const Comparison& comparison = result.comparison;
  replace_result(folder, "curves.csv", comparison_csv(comparison));
  replace_result(folder, "final.csv", final_csv(comparison));
  replace_result(folder, "verdicts.csv", verdicts_csv(result.verdicts));
  replace_result(folder, "README.md", figure_page(figure, result, command));
  for (const auto& [format, extension] : kFormats) {
    const CurveAxis axis = figure.over_iterations ? CurveAxis::iterations : CurveAxis::rollouts;
    const DrawingSize panels = size_of_panels(panel_count(comparison));
    replace_drawing(folder, fmt::format("curves.{}", extension), curves_script(comparison, axis), format, panels);
    if (has_seconds(comparison))
      replace_drawing(folder, fmt::format("curves_seconds.{}", extension),
                      curves_script(comparison, CurveAxis::seconds), format, panels);
    replace_drawing(folder, fmt::format("profile.{}", extension), profile_script(comparison), format, {});
  }
  if (figure.paths) draw_paths(comparison, folder);
}

}  // namespace kedge
