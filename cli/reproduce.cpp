#include "kedge/study/reproduce.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/study/jobs.h"
#include "kedge/study/kept.h"
#include "kedge/study/plots.h"
#include "kedge/study/report.h"
#include "kedge/study/results.h"
#include "kedge/study/sweep.h"
#include "print.h"
#include "signals.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

constexpr const char* kSweepTable = "sweep.csv";

struct Arguments {
  std::string figure, out, kept, shard;
  std::optional<int> seeds, jobs;
  bool quick = false, list = false;
};

void list_figures() {
  for (const std::filesystem::path& file : bundled_figures()) {
    const Figure figure = read_figure(file);
    fmt::print("{}: {}; {} runs of {} seeds\n", figure.name, figure.title, figure.runs.size(), figure.seeds);
    for (const Claim& claim : figure.claims) fmt::print("  claim: {} ({})\n", claim.text, claim.source);
  }
}

/// The command that was given, to be repeated; without its shard if `whole`.
std::string command(const Arguments& a, const std::filesystem::path& folder, bool whole = false) {
  std::string text = fmt::format("kedge reproduce {}", shell_word(a.figure));
  if (a.seeds) text += fmt::format(" --seeds {}", *a.seeds);
  if (a.jobs) text += fmt::format(" --jobs {}", *a.jobs);
  if (a.quick) text += " --quick";
  if (!a.out.empty()) text += fmt::format(" --out {}", shell_word(folder.string()));
  if (!whole && !a.shard.empty()) text += " --shard " + shell_word(a.shard);
  return text;
}

/// Runs what is missing, a line for each run that ends. @return runs that failed; nullopt if a signal came
std::optional<std::size_t> run_all(const Figure& figure, const std::vector<FigureJob>& jobs, int at_once,
                                   const std::filesystem::path& folder, const SignalStop& signals) {
  std::size_t missing = 0, done = 0, failed = 0;
  for (const FigureJob& job : jobs) missing += !job.arguments.empty();
  say(fmt::format("{}: {}\n{} runs in {}, {} of them to do\n", figure.name, figure.title, jobs.size(), folder.string(),
                  missing));
  const bool all = run_jobs(jobs, "/proc/self/exe", at_once, signals.token(), [&](std::size_t job, int code) {
    if (code == kInterrupted) return;
    ++done;
    failed += code != 0;
    say(fmt::format("[{}/{}] {} seed {}{}\n", done, missing, jobs[job].label, jobs[job].seed,
                    code == 0 ? "" : fmt::format(": exit code {}, see {}.log", code, jobs[job].directory.string())));
  });
  if (!all) return std::nullopt;
  return failed;
}

int interrupted(const std::string& again) {
  fmt::print("interrupted; what was done is saved. To go on:\n  {}\n", again);
  return kInterrupted;
}

void print_failures(std::size_t failed) {
  if (failed > 0) fmt::print("{} runs failed; their logs are beside their directories\n", failed);
}

/// The end of a shard, whose runs may be all that are there.
int end_of_shard(const Shard& shard, std::size_t runs, std::size_t failed, const std::string& whole) {
  fmt::print("share {} of {}: {} runs are done. When the others are, too, the tables are made by\n  {}\n",
             shard.index + 1, shard.count, runs, whole);
  print_failures(failed);
  return kDone;
}

struct SweepArguments {
  std::string file, out, shard;
  std::optional<int> jobs;
};

/// The command that was given, to be repeated; without its shard if `whole`.
std::string command(const SweepArguments& a, bool whole = false) {
  std::string text = fmt::format("kedge sweep {}", shell_word(a.file));
  if (a.jobs) text += fmt::format(" --jobs {}", *a.jobs);
  if (!a.out.empty()) text += fmt::format(" --out {}", shell_word(a.out));
  if (!whole && !a.shard.empty()) text += " --shard " + shell_word(a.shard);
  return text;
}

int sweep(const SweepArguments& a) {
  const SignalStop signals;
  const Sweep sweep = read_sweep(a.file);
  ReproduceOptions options;
  options.stop = signals.token();
  options.folder = a.out.empty() ? "runs/" + sweep.figure.name : a.out;
  options.shard = shard_of(a.shard);
  const std::vector<FigureJob> jobs = plan_figure(sweep.figure, options);
  require_own_results(options.folder, {kSweepTable});
  const auto failed = run_all(sweep.figure, jobs, a.jobs.value_or(1), options.folder, signals);
  if (!failed) return interrupted(command(a));
  if (!a.shard.empty()) return end_of_shard(options.shard, jobs.size(), *failed, command(a, true));
  const FigureResult result = summarise_figure(sweep.figure, plan_figure(sweep.figure, options), all_cores());
  for (const std::string& note : result.comparison.notes) print_warning(note);
  const std::vector<SweepRow> rows = rank(sweep, result.comparison);
  const std::filesystem::path table = options.folder / kSweepTable;
  replace_result(options.folder, kSweepTable, sweep_csv(sweep, rows));
  fmt::print("\n{:>4}  {:>10}  {:>7}  configuration     (score: {})\n", "rank", "score", "solved",
             to_string(sweep.measure));
  for (std::size_t i = 0; i < rows.size(); ++i)
    fmt::print("{:>4}  {:>10.4g}  {:>3}/{:<3}  {}\n", i + 1, rows[i].score, rows[i].solved, rows[i].values.size(),
               rows[i].label);
  fmt::print("\nwritten to {}\n", table.string());
  print_failures(*failed);
  return kDone;
}

/// Prints the page again, without a run.
int print_kept(const Arguments& a) {
  const Figure figure = read_figure(find_figure(a.figure));
  const FigureResult result = kept_result(figure, a.kept);
  const std::size_t seeds = result.comparison.groups.front().runs.size();
  fmt::print("{}",
             figure_page(figure, result, fmt::format("kedge reproduce {} --seeds {}", shell_word(a.figure), seeds)));
  return kDone;
}

int reproduce(const Arguments& a) {
  if (a.figure.empty()) throw InputError("FIGURE is missing; kedge reproduce --list names them");
  if (!a.kept.empty()) return print_kept(a);
  const SignalStop signals;
  const Figure figure = read_figure(find_figure(a.figure));
  ReproduceOptions options;
  options.stop = signals.token();
  options.seeds = a.seeds;
  options.quick = a.quick;
  options.shard = shard_of(a.shard);
  options.folder = a.out.empty() ? "runs/" + figure.name + (a.quick ? "-quick" : "") : a.out;
  const std::vector<FigureJob> jobs = plan_figure(figure, options);
  require_own_results(options.folder, figure_results());
  if (a.shard.empty()) {  // the drawings come last, hours after the first training
    require_gnuplot(PlotFormat::svg, options.folder / "curves.svg");
    require_gnuplot(PlotFormat::pdf, options.folder / "curves.pdf");
  }

  const std::optional<std::size_t> failed = run_all(figure, jobs, a.jobs.value_or(1), options.folder, signals);
  if (!failed) return interrupted(command(a, options.folder));
  if (!a.shard.empty()) return end_of_shard(options.shard, jobs.size(), *failed, command(a, options.folder, true));
  const FigureResult result = summarise_figure(figure, plan_figure(figure, options), all_cores());
  for (const std::string& note : result.comparison.notes) print_warning(note);
  write_figure(figure, result, command(a, options.folder), options.folder);
  for (const JudgedClaim& judged : result.verdicts)
    fmt::print("{:<14}  {} ({})\n                {}\n", to_string(judged.verdict), judged.claim.text,
               judged.claim.source, reason(judged));
  fmt::print("\nwritten to {0}: README.md, curves.svg, curves.pdf, profile.svg, verdicts.csv, final.csv, curves.csv\n",
             options.folder.string());
  print_failures(*failed);
  return kDone;
}

}  // namespace

std::function<int()> add_reproduce(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  app.add_option("figure", a->figure, "name of a bundled figure, or path of a figure file")->type_name("FIGURE");
  add_whole_number(app, "--seeds", a->seeds, 1, 10000, "seeds of each run (default: what the figure says)");
  add_whole_number(app, "--jobs", a->jobs, 1, 1024, "runs at a time, one thread each (default: 1)");
  app.add_flag("--quick", a->quick, "a small version, to see that everything works; decides nothing");
  app.add_option("--out", a->out, "folder of runs and results (default: runs/FIGURE)")->type_name("DIR");
  add_shard(app, a->shard, "runs");
  app.add_flag("--list", a->list, "name the bundled figures and their claims");
  app.add_option("--kept", a->kept,
                 "run nothing: print the page of the figure made anew from PREFIXfinal.csv, PREFIXcurves.csv and "
                 "PREFIXverdicts.csv, as runs/FIGURE/")
      ->type_name("PREFIX")
      ->excludes("--seeds", "--jobs", "--quick", "--out", "--list", "--shard");
  return [a] {
    if (!a->list) return reproduce(*a);
    list_figures();
    return static_cast<int>(kDone);
  };
}

std::function<int()> add_sweep(CLI::App& app) {
  auto a = std::make_shared<SweepArguments>();
  app.add_option("file", a->file, "sweep file")->type_name("FILE")->required();
  add_whole_number(app, "--jobs", a->jobs, 1, 1024, "runs at a time, one thread each (default: 1)");
  app.add_option("--out", a->out, "folder of runs and table (default: runs/NAME)")->type_name("DIR");
  add_shard(app, a->shard, "runs");
  return [a] { return sweep(*a); };
}

}  // namespace kedge::cli
