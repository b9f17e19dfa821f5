#include "kedge/study/reproduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "kedge/catalogue/catalogue.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/run_task.h"
#include "kedge/study/body_paths.h"
#include "kedge/study/plots.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

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
  const PathsDrawing drawing = paths_drawing(panels);
  for (const auto& [format, extension] : {std::pair{PlotFormat::svg, "svg"}, {PlotFormat::pdf, "pdf"}})
    draw(drawing.script, format, folder / fmt::format("paths.{}", extension), drawing.size);
}

}  // namespace

void write_figure(const Figure& figure, const FigureResult& result, const std::string& command,
                  const fs::path& folder) {
  const Comparison& comparison = result.comparison;
  write_file(folder / "curves.csv", comparison_csv(comparison), Durability::process);
  write_file(folder / "final.csv", final_csv(comparison), Durability::process);
  write_file(folder / "verdicts.csv", verdicts_csv(result.verdicts), Durability::process);
  write_file(folder / "README.md", figure_page(figure, result, command), Durability::process);
  for (const auto& [format, extension] : {std::pair{PlotFormat::svg, "svg"}, {PlotFormat::pdf, "pdf"}}) {
    const CurveAxis axis = figure.over_iterations ? CurveAxis::iterations : CurveAxis::rollouts;
    const DrawingSize panels = size_of_panels(panel_count(comparison));
    draw(curves_script(comparison, axis), format, folder / fmt::format("curves.{}", extension), panels);
    if (has_seconds(comparison))
      draw(curves_script(comparison, CurveAxis::seconds), format, folder / fmt::format("curves_seconds.{}", extension),
           panels);
    draw(profile_script(comparison), format, folder / fmt::format("profile.{}", extension));
  }
  if (figure.paths) draw_paths(comparison, folder);
}

}  // namespace kedge
