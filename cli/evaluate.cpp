#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>

#include "kedge/algorithms/hold.h"
#include "kedge/core/errors.h"
#include "kedge/files/policy_file.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/ablation.h"
#include "kedge/run/policy_source.h"
#include "kedge/tasks/demonstrate.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string source, task, trajectories;
  int rollouts = 100, threads = 1;
  std::uint64_t seed = 1;
  std::vector<std::string> set, without;
  bool deterministic = false, noise = false, json = false;
  std::optional<double> hold;  ///< seconds
};

/// The control steps of a time. @throws InputError if they are none, or more than 1e6
int held_steps(double seconds, const Task& task) {
  const double steps = std::round(seconds / task.control_step);
  if (!(steps >= 1.0 && steps <= 1e6))
    throw InputError(fmt::format("--hold = {} s, but must be between one control step, {} s, and a million of them",
                                 seconds, task.control_step));
  return static_cast<int>(steps);
}

int evaluate_and_print(const Arguments& a) {
  Run run;
  run.seed = a.seed;
  run.threads = a.threads;

  if (!a.trajectories.empty()) require_output(a.trajectories, find_policy(a.source));
  Subject subject = find_subject(a.source, a.task, a.set);
  TaskFile& task = subject.task;
  PolicyFile file = for_task(task.task, load_policy(subject.policy_file), subject.policy_file.string());

  std::string held;
  if (a.hold) {
    const int steps = held_steps(*a.hold, task.task);
    file.policy = held_policy(task.task, file.policy, steps, run);
    task.task = held_task(task.task, steps);
    held = fmt::format(", held for {} steps more", steps);
  }
  const bool deterministic = a.deterministic || (!file.info.noise_meant && !a.noise);
  const auto result = evaluate_without(task.task, file.policy, a.without,
                                       {.rollouts = a.rollouts, .deterministic = deterministic}, run);
  if (!a.trajectories.empty())
    save_trajectories(a.trajectories, result->batch, task.task.name, task.task.control_step,
                      trajectory_names(task.task));
  if (a.json) {
    fmt::print("{}", evaluation_json(task.task, *result, run.seed, deterministic, a.without));
  } else {
    const std::string unseen = a.without.empty() ? "" : fmt::format(" without {}", fmt::join(a.without, ", "));
    fmt::print("{}{} on {}: {} rollouts {} exploration noise{}, seed {}\n{}", a.source, unseen, task.task.name,
               a.rollouts, deterministic ? "without" : "with", held, run.seed, evaluation_text(task.task, *result));
    if (!a.trajectories.empty()) fmt::print("  trajectories {}\n", a.trajectories);
  }
  if (result->diverged == a.rollouts)
    throw SystemError(fmt::format("numerical failure: all {} rollouts diverged", a.rollouts));
  return kDone;
}

}  // namespace

std::function<int()> add_evaluate(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_subject(app, a->source);
  add_other_task(app, a->task);
  add_set(app, a->set);
  add_whole_number(app, "--rollouts", a->rollouts, 1, std::numeric_limits<int>::max(), "how many");
  add_seed(app, a->seed);
  add_threads(app, a->threads);
  add_noise(app, a->deterministic, a->noise);
  app.add_option("--hold", a->hold,
                 "go on for so long after the horizon: a linear controller as the regulator of the rest where it ends")
      ->type_name("SECONDS");
  app.add_option("--without", a->without,
                 "the policy sees the mean of this observation over its rollouts, at each step, in place of it")
      ->type_name("OBSERVATION ...");
  app.add_flag("--json", a->json, "print JSON");
  app.add_option("--trajectories", a->trajectories, "write all rollouts to this HDF5 file")->type_name("FILE.h5");
  return [a] { return evaluate_and_print(*a); };
}

}  // namespace kedge::cli
