#include "kedge/run/train.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <memory>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/core/memory.h"
#include "kedge/files/policy_file.h"
#include "kedge/pages/replay.h"
#include "kedge/run/option_text.h"
#include "kedge/run/verdict.h"
#include "kedge/study/tune.h"
#include "print.h"
#include "progress.h"
#include "signals.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

constexpr int kFinalRollouts = 20;
constexpr double kWorthSaying = 5.0;  // seconds that an iteration takes

struct Common {
  std::optional<int> iterations;
  int threads = 1;
  bool quiet = false;
};

void add_common(CLI::App& app, Common& common) {
  add_whole_number(app, "--iterations", common.iterations, 0, std::numeric_limits<int>::max(), "iterations in all");
  add_threads(app, common.threads);
  app.add_flag("-q,--quiet", common.quiet, "print warnings and errors only");
}

/// What the run reached: the final policy without noise.
Evaluation print_result(const OpenRun& run, int threads) {
  const PolicyFile file = load_policy(run.directory.directory() / kPolicyFile);
  Run how;
  how.seed = run.file.seed;
  how.threads = threads;
  Evaluation result =
      *evaluate(run.task.task, as_policy(file.policy), {.rollouts = kFinalRollouts, .deterministic = true}, how);
  fmt::print("\nreached, without exploration noise, {} rollouts:\n{}", kFinalRollouts,
             evaluation_text(run.task.task, result));
  return result;
}

/// Whether ilqr learns this task, with its default options.
bool is_for_ilqr(const OpenRun& run) {
  const Algorithm& ilqr = find_algorithm("ilqr");
  const Candidate candidate{run.directory.path() / "task" / "task.toml", run.task, {}, 1};
  return verdict(ilqr, ilqr.options(), candidate, 0.0).refusal.empty();
}

/// " --set KEY=VALUE" of a catalogue's words; empty where the run has that value.
std::string setting(const OpenRun& run, const std::string& words) {
  const std::size_t equals = words.find('=');
  const std::string value = words.substr(equals + 1, words.find(' ', equals) - equals - 1);
  for (const Option& option : run.file.options)
    if (option.name == words.substr(0, equals) &&
        (value_text(option.value) == value || value_text(option.value) == '"' + value + '"'))
      return {};
  return " --set " + words;
}

/// What to try where fewer than half of the rollouts succeed.
void print_advice(const OpenRun& run, const Evaluation& reached) {
  const Algorithm& algorithm = find_algorithm(run.file.algorithm);
  const std::string task = shell_word(run.file.task_source.string());
  std::string changes;
  for (const std::string& change : run.file.task_overrides) changes += " --set " + shell_word("task." + change);
  if (reached.succeeded == 0)
    fmt::print("\nno rollout succeeds; what may help:\n");
  else
    fmt::print("\n{} of {} rollouts succeed; what may help:\n", reached.succeeded, reached.rollouts);
  if (reached.ended_early == reached.rollouts)
    fmt::print("  every rollout ends early: where that costs less than to go on, raise its cost or its missing_step\n");
  if (algorithm.start_from && run.file.from.empty() && is_for_ilqr(run))
    fmt::print(
        "  kedge train {0} --algorithm ilqr --out A{1}    # by the model's derivatives; if that succeeds, go on from "
        "it:\n"
        "  kedge train {0} --algorithm {2} --from A{1}{3}\n",
        task, changes, algorithm.name, algorithm.from_needs ? setting(run, algorithm.from_needs) : "");
  const std::string advice = algorithm.advice ? setting(run, algorithm.advice) : "";
  if (!advice.empty()) fmt::print("  kedge train {} --algorithm {}{}{}\n", task, algorithm.name, changes, advice);
  if (has_search_space(algorithm.name))
    fmt::print("  kedge tune {} --algorithm {} --budget 10{}    # search the options that matter, 10 minutes\n", task,
               algorithm.name, changes);
  fmt::print(
      "  a cost that grows with what is missing, or that only the last steps have, where the way costs more than to "
      "stay\n"
      "  more iterations; a longer horizon\n");
}

void print_next_commands(const std::string& directory, const TaskFile& task, const RunEnd& end) {
  const std::string run = shell_word(directory);
  fmt::print(
      "\nwritten to {0}\nnext:\n  kedge replay {0} -o page.html{1}    # watch it in the browser\n  kedge evaluate "
      "{0}\n",
      run, is_playable(task) ? " --play" : "");
  if (end.iterations > 0) fmt::print("  kedge compare {}\n", run);
  if (end.stop == Stop::max_iterations)
    fmt::print("  kedge resume {} --iterations N    # go on to N iterations\n", run);
}

/// Trains and says how it ended.
int train_and_report(OpenRun& run, const Common& common, SignalStop& signals) {
  const std::string directory = run.directory.path().string();
  signals.leave_with(
      fmt::format("interrupted within an iteration; those before it are saved. To go on:\n  kedge resume {}",
                  shell_word(directory)));
  for (const std::string& warning : run.warnings) print_warning(warning);
  ProgressLine line(fmt::format("{} {} seed {}", run.file.task, run.file.algorithm, run.file.seed),
                    isatty(STDOUT_FILENO) != 0, common.quiet);
  RunEnd end;
  try {
    end = train(
        run, {.threads = common.threads, .stop = signals.token(), .observe = [&](const Progress& p) { line.show(p); }});
  } catch (const SystemError& e) {
    line.finish();
    const auto is_there = [&](const char* file) {
      std::error_code unreadable;
      return std::filesystem::exists(run.directory.path() / file, unreadable);
    };
    const bool resumable = is_there("run.toml") && is_there("task/task.toml") && is_there("checkpoint.h5");
    if (run.directory.directory().deleted() || !resumable) throw;
    throw SystemError(fmt::format("{}; what was completed is saved: kedge resume {}", e.what(), shell_word(directory)));
  }
  line.finish();
  signals.leave_with("interrupted; the run itself is saved");
  switch (end.stop) {
    case Stop::cancelled:
      fmt::print("interrupted after {} iterations; the state is saved. To go on:\n  kedge resume {}\n", end.iterations,
                 shell_word(directory));
      return kInterrupted;
    case Stop::numerical_failure:
      throw SystemError(fmt::format("numerical failure after {} iterations: {}; the last good policy is {}",
                                    end.iterations, end.message, (run.directory.path() / "policy.h5").string()));
    case Stop::max_iterations:
    case Stop::converged: break;
  }
  if (!common.quiet) {
    if (end.stop == Stop::converged) fmt::print("after {} iterations {}\n", end.iterations, end.message);
    const Evaluation reached = print_result(run, common.threads);
    print_next_commands(directory, run.task, end);
    if (end.iterations > 0 && 2 * reached.succeeded < reached.rollouts && !run.task.task.success.empty())
      print_advice(run, reached);
  }
  return kDone;
}

}  // namespace

std::function<int()> add_train(CLI::App& app) {
  struct Arguments {
    Common common;
    TrainRequest request;
    std::string config, from, out;
  };
  auto a = std::make_shared<Arguments>();
  add_task(app, a->request.task);
  app.add_option("--algorithm", a->request.algorithm, "see `kedge list`")
      ->type_name("ALGORITHM")
      ->capture_default_str();
  add_seed(app, a->request.seed);
  add_common(app, a->common);
  add_set(app, a->request.set, "set an option of the algorithm, or of the task: --set task.KEY=VALUE");
  app.add_option("--config", a->config, "file of options (TOML); the run.toml of another run repeats its options")
      ->type_name("FILE");
  app.add_option("--from", a->from,
                 "start from a policy (its means, with own noise) or a trajectory: a run's directory, or an HDF5 file")
      ->type_name("RUN|FILE.h5");
  app.add_option("--out", a->out, "directory of the run (default: runs/TASK-ALGORITHM-sSEED)")->type_name("DIR");
  app.add_flag("--force", a->request.force, "replace a run that is already there");
  app.add_flag("--record-updates", a->request.record_updates, "write inputs and outputs of every update to updates.h5");
  return [a] {
    SignalStop signals;
    signals.leave_with("interrupted before the first iteration");
    TrainRequest& request = a->request;
    request.iterations = a->common.iterations;
    request.stop = signals.token();
    if (!a->config.empty()) request.config = a->config;
    if (!a->from.empty()) request.from = a->from;
    if (!a->out.empty()) request.out = a->out;
    request.threads = a->common.threads;
    PlannedRun plan = [&] {
      std::optional<WaitNotice> notice;
      if (!a->common.quiet) notice.emplace(reading_text(request.task));
      return plan_run(request);
    }();
    if (!a->common.quiet && plan.seconds > kWorthSaying)
      say(fmt::format("an iteration takes about {} and {} of memory\n", duration_text(plan.seconds),
                      memory_text(plan.bytes)));
    OpenRun run = create_run(std::move(plan));
    return train_and_report(run, a->common, signals);
  };
}

std::function<int()> add_resume(CLI::App& app) {
  struct Arguments {
    Common common;
    std::string directory;
  };
  auto a = std::make_shared<Arguments>();
  app.add_option("directory", a->directory, "of the run")->type_name("DIR")->required();
  add_common(app, a->common);
  return [a] {
    SignalStop signals;
    signals.leave_with("interrupted before the first iteration");
    OpenRun run = open_run(a->directory, a->common.iterations, signals.token());
    return train_and_report(run, a->common, signals);
  };
}

}  // namespace kedge::cli
