#include "kedge/run/evaluate.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/files/policy_file.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/policy_source.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string what, task, rollouts = "100", seed = "1", threads, trajectories;
  std::vector<std::string> set;
  bool deterministic = false, json = false;
};

int evaluate_and_print(const Arguments& a) {
  const int rollouts = static_cast<int>(whole_number("--rollouts", a.rollouts, 1, std::numeric_limits<int>::max()));
  Run run;
  run.seed = static_cast<std::uint64_t>(whole_number("--seed", a.seed, 0));
  run.threads = thread_count(a.threads);

  const Subject subject = find_subject(a.what, a.task, a.set);
  const TaskFile& task = subject.task;
  const PolicyFile file = load_policy(subject.policy_file);

  const auto result =
      evaluate(task.task, as_policy(file.policy), {.rollouts = rollouts, .deterministic = a.deterministic}, run);
  if (!a.trajectories.empty()) save_trajectories(a.trajectories, result->batch, task.task.name, task.task.control_step);
  if (a.json) {
    fmt::print("{}", evaluation_json(task.task, *result, run.seed, a.deterministic));
  } else {
    fmt::print("{} on {}: {} rollouts {} exploration noise, seed {}\n{}", a.what, task.task.name, rollouts,
               a.deterministic ? "without" : "with", run.seed, evaluation_text(task.task, *result));
    if (!a.trajectories.empty()) fmt::print("  trajectories {}\n", a.trajectories);
  }
  if (result->diverged == rollouts)
    throw SystemError(fmt::format("numerical failure: all {} rollouts diverged", rollouts));
  return kDone;
}

}  // namespace

std::function<int()> add_evaluate(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  app.add_option("what", a->what, "a run's directory, or a policy file")->type_name("DIR|POLICY.h5")->required();
  app.add_option("--task", a->task, "task to run on (default: the run's own)")->type_name("TASK");
  app.add_option("--set", a->set, "change the task, e.g. --set task.actions.limit=10")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--rollouts", a->rollouts, "how many")->type_name("N")->capture_default_str();
  app.add_option("--seed", a->seed, "of starts and noise")->type_name("N")->capture_default_str();
  app.add_option("--threads", a->threads, "worker threads; the results do not depend on it (default: all cores)")
      ->type_name("N");
  app.add_flag("--deterministic", a->deterministic, "the mean action, without exploration noise");
  app.add_flag("--json", a->json, "print JSON");
  app.add_option("--trajectories", a->trajectories, "write all rollouts to this HDF5 file")->type_name("FILE.h5");
  return [a] { return evaluate_and_print(*a); };
}

}  // namespace kedge::cli
