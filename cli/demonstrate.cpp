#include "kedge/tasks/demonstrate.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/option_text.h"
#include "kedge/tasks/bundled.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string task, out, controller;
  std::vector<std::string> set;
  bool force = false;
};

int demonstrate_and_print(const Arguments& a) {
  if (fs::exists(a.out) && !a.force) throw InputError(fmt::format("{}: is there already; --force replaces it", a.out));
  require_output(a.out);
  std::vector<Override> overrides;
  // The controller with its own defaults, instead of what the task file says.
  if (a.controller.find_first_of("\"\\") != std::string::npos)
    throw InputError(fmt::format("--controller = {}, but must be simbicon or wave", a.controller));
  if (!a.controller.empty())
    overrides.emplace_back("demonstration", fmt::format("{{ controller = \"{}\" }}", a.controller));
  for (const std::string& text : a.set) {
    const Assignment set = parse_assignment(text);
    overrides.emplace_back(set.key.starts_with("task.") ? set.key.substr(5) : set.key, set.value);
  }
  const TaskFile file = load_task(find_task(a.task), overrides);
  const Task& task = file.task;
  if (!task.demonstration)
    throw InputError(fmt::format("{}: has no [demonstration]; --controller simbicon or wave makes one", task.name));

  const DemonstrationReport report = demonstrate(task);
  save_trajectories(a.out, report.batch, task.name, task.control_step, trajectory_names(task));
  fmt::print("{}", demonstration_text(file, report));
  fmt::print("  written to   {}\n", a.out);
  if (!report.batch.usable(0))
    throw SystemError(
        fmt::format("numerical failure: the demonstration's actions diverge at step {}", report.batch.diverged_at[0]));
  return kDone;
}

}  // namespace

std::function<int()> add_demonstrate(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_task(app, a->task);
  app.add_option("-o,--out", a->out, "write the trajectory to this HDF5 file")->type_name("FILE.h5")->required();
  app.add_option("--controller", a->controller, "simbicon or wave, with its own defaults (default: what the task says)")
      ->type_name("NAME");
  add_set(app, a->set);
  app.add_flag("--force", a->force, "replace a file that is already there");
  return [a] { return demonstrate_and_print(*a); };
}

}  // namespace kedge::cli
