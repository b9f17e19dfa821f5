#include "kedge/experiment/reproduce.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "print.h"
#include "signals.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string figure, seeds, jobs, out;
  bool quick = false, list = false;
};

void list_figures() {
  for (const std::filesystem::path& file : bundled_figures()) {
    const Figure figure = read_figure(file);
    fmt::print("{}: {}; {} runs of {} seeds\n", figure.name, figure.title, figure.runs.size(), figure.seeds);
    for (const Claim& claim : figure.claims) fmt::print("  claim: {} ({})\n", claim.text, claim.source);
  }
}

/// The command that was given, to be repeated.
std::string command(const Arguments& a, const std::filesystem::path& folder) {
  std::string text = fmt::format("kedge reproduce {}", shell_word(a.figure));
  if (!a.seeds.empty()) text += fmt::format(" --seeds {}", a.seeds);
  if (!a.jobs.empty()) text += fmt::format(" --jobs {}", a.jobs);
  if (a.quick) text += " --quick";
  if (!a.out.empty()) text += fmt::format(" --out {}", shell_word(folder.string()));
  return text;
}

int reproduce(const Arguments& a) {
  if (a.figure.empty()) throw InputError("FIGURE is missing; kedge reproduce --list names them");
  const SignalStop signals;
  const Figure figure = read_figure(find_figure(a.figure));
  ReproduceOptions options;
  if (!a.seeds.empty()) options.seeds = static_cast<int>(whole_number("--seeds", a.seeds, 1, 10000));
  options.quick = a.quick;
  options.folder = a.out.empty() ? "runs/" + figure.name + (a.quick ? "-quick" : "") : a.out;
  const int at_once = a.jobs.empty() ? 1 : static_cast<int>(whole_number("--jobs", a.jobs, 1, 1024));
  const std::vector<FigureJob> jobs = plan_figure(figure, options);

  std::size_t missing = 0, done = 0, failed = 0;
  for (const FigureJob& job : jobs) missing += !job.arguments.empty();
  fmt::print("{}: {}\n{} runs in {}, {} of them to do\n", figure.name, figure.title, jobs.size(),
             options.folder.string(), missing);
  std::fflush(stdout);
  const bool all = run_jobs(jobs, "/proc/self/exe", at_once, signals.token(), [&](std::size_t job, int code) {
    ++done;
    failed += code != 0;
    if (code == kInterrupted) return;
    fmt::print("[{}/{}] {} seed {}{}\n", done, missing, jobs[job].label, jobs[job].seed,
               code == 0 ? "" : fmt::format(": exit code {}, see {}.log", code, jobs[job].directory.string()));
    std::fflush(stdout);
  });
  if (!all) {
    fmt::print("interrupted; what was done is saved. To go on:\n  {}\n", command(a, options.folder));
    return kInterrupted;
  }
  const FigureResult result = summarise_figure(figure, jobs, thread_count(""));
  for (const std::string& note : result.comparison.notes) fmt::print(stderr, "kedge: warning: {}\n", note);
  write_figure(figure, result, command(a, options.folder), options.folder);
  for (const Verdict& verdict : result.verdicts)
    fmt::print("{:<14}  {} ({})\n                {}\n", verdict.verdict, verdict.claim.text, verdict.claim.source,
               reason(verdict));
  fmt::print("\nwritten to {0}: README.md, curves.svg, curves.pdf, profile.svg, verdicts.csv, final.csv, curves.csv\n",
             options.folder.string());
  if (failed > 0) fmt::print("{} runs failed; their logs are beside their directories\n", failed);
  return kDone;
}

}  // namespace

std::function<int()> add_reproduce(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  app.add_option("figure", a->figure, "name of a bundled figure, or path of a figure file")->type_name("FIGURE");
  app.add_option("--seeds", a->seeds, "seeds of each run (default: what the figure says)")->type_name("N");
  app.add_option("--jobs", a->jobs, "runs at a time, one thread each (default: 1)")->type_name("N");
  app.add_flag("--quick", a->quick, "a small version, to see that everything works; decides nothing");
  app.add_option("--out", a->out, "folder of runs and results (default: runs/FIGURE)")->type_name("DIR");
  app.add_flag("--list", a->list, "name the bundled figures and their claims");
  return [a] {
    if (!a->list) return reproduce(*a);
    list_figures();
    return static_cast<int>(kDone);
  };
}

}  // namespace kedge::cli
