#include "kedge/study/tune.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/run/train.h"
#include "kedge/study/results.h"
#include "print.h"
#include "signals.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  TuneOptions options;
  std::string out, shard;
  std::optional<int> minutes;
};

/// The command that was given, to be repeated; without its shard if `whole`.
std::string command(const Arguments& a, bool whole = false) {
  const TuneOptions& o = a.options;
  std::string text = fmt::format("kedge tune {} --algorithm {}", shell_word(o.task), o.algorithm);
  if (o.trials) text += fmt::format(" --trials {}", *o.trials);
  if (a.minutes) text += fmt::format(" --budget {}", *a.minutes);
  text += fmt::format(" --seeds {} --seed {} --jobs {}", o.seeds, o.seed, o.at_once);
  for (const std::string& set : o.set) text += fmt::format(" --set {}", shell_word(set));
  text += fmt::format(" --out {}", shell_word(o.folder.string()));
  return whole || a.shard.empty() ? text : text + fmt::format(" --shard {}", shell_word(a.shard));
}

std::string score_text(const TrialScore& s) {
  return fmt::format("success {:.0f} %, return {:.4g}", 100 * s.success, s.value);
}

void print_round(const std::vector<TrialScore>& scores) {
  std::string text = fmt::format("{} iterations of {} configurations:\n", scores.front().iterations, scores.size());
  for (const TrialScore& s : scores)
    text += fmt::format("  {:>3}  {:<36} {}\n", s.trial, score_text(s), s.options.empty() ? "as it is" : s.options);
  say(text);
}

/// @param has_success  the task measures it
void write_result(const Arguments& a, const Tuning& found, bool has_success) {
  const TuneOptions& o = a.options;
  const TrialScore& best = *found.best;
  std::string comment =
      fmt::format("{}\nnumber {} after {} iterations: {}", command(a), best.trial, best.iterations, score_text(best));
  if (found.unchanged) comment += fmt::format("; the options of before: {}", score_text(*found.unchanged));
  const std::filesystem::path file = tuned_file(o);
  replace_result(o.folder, file.filename().string(), tuned_options(o, best, comment));
  if (best.trial == 0)
    fmt::print("\nnothing is better than the options as they are: {}\n", score_text(best));
  else
    fmt::print("\nbest: {}\n  {}{}\n", best.options, score_text(best),
               found.unchanged ? fmt::format("; with the options as they are {}", score_text(*found.unchanged)) : "");
  if (best.success == 0.0 && has_success)
    fmt::print(
        "no configuration succeeds in any rollout: more iterations (--set iterations=N), other costs, or a start from "
        "the run of another algorithm (kedge train --from) may help; more of this search hardly\n");
  std::string changes;  // of the task; those of the options are in the file
  for (const std::string& set : o.set)
    if (set.starts_with("task.")) changes += fmt::format(" --set {}", shell_word(set));
  fmt::print("written to {0}\nnext:\n  kedge train {1} --algorithm {2} --config {0}{3}\n", shell_word(file.string()),
             shell_word(o.task), o.algorithm, changes);
}

/// The task: its name, which a folder or file need not have, and whether it measures success.
TaskFile task_of(const TuneOptions& o) {
  TrainRequest request;
  request.task = o.task;
  request.algorithm = o.algorithm;
  request.set = o.set;
  request.stop = o.stop;
  return plan_run(request).task;
}

int tune_and_print(Arguments& a) {
  TuneOptions& o = a.options;
  if (!o.trials && !a.minutes)
    throw InputError("say how long: --budget MINUTES, or --trials N configurations; try 'kedge tune --help'");
  if (!a.shard.empty() && !o.trials) throw InputError("--shard shares configurations: say how many, --trials N");
  o.shard = shard_of(a.shard);
  const SignalStop signals;
  o.stop = signals.token();
  o.program = "/proc/self/exe";
  if (a.minutes) o.deadline = std::chrono::steady_clock::now() + std::chrono::minutes(*a.minutes);
  const TaskFile task = task_of(o);
  o.folder = a.out.empty() ? fmt::format("runs/{}-{}-tune", task.task.name, o.algorithm) : a.out;
  const Tuning found = tune(o, print_round);
  if (found.end == Tuning::End::interrupted) {
    fmt::print("interrupted; what was done is saved. To go on:\n  {}\n", command(a));
    return kInterrupted;
  }
  if (!a.shard.empty() && found.end == Tuning::End::complete) {
    fmt::print("share {} of {} is done. When the others are, too, the option file is written by\n  {}\n",
               o.shard.index + 1, o.shard.count, command(a, true));
    return kDone;
  }
  if (!a.shard.empty()) {
    fmt::print("the budget ended within a round; what was done is saved. To go on:\n  {}\n", command(a));
    return kDone;
  }
  if (!found.best) {
    fmt::print("the budget ended within the first round; what was done is saved. To go on:\n  {}\n", command(a));
    return kDone;
  }
  if (found.end == Tuning::End::deadline) fmt::print("the budget ended within a round, which does not count\n");
  write_result(a, found, !task.task.success.empty());
  return kDone;
}

}  // namespace

std::function<int()> add_tune(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  a->options.algorithm = "moto";
  add_task(app, a->options.task);
  app.add_option("--algorithm", a->options.algorithm, "see `kedge list`")
      ->type_name("ALGORITHM")
      ->capture_default_str();
  add_whole_number(app, "--budget", a->minutes, 1, 100000, "minutes to search");
  add_whole_number(app, "--trials", a->options.trials, 1, most_trials, "configurations to try: the same ones always");
  add_whole_number(app, "--seeds", a->options.seeds, 1, 100, "runs of each configuration");
  add_seed(app, a->options.seed);
  add_whole_number(app, "--jobs", a->options.at_once, 1, 1024, "runs at a time, one thread each");
  add_set(app, a->options.set, "set an option of the algorithm, or of the task, in every configuration");
  add_shard(app, a->shard, "configurations, by eights");
  app.add_option("--out", a->out, "folder of runs, scores and the option file (default: runs/TASK-ALGORITHM-tune)")
      ->type_name("DIR");
  return [a] { return tune_and_print(*a); };
}

}  // namespace kedge::cli
