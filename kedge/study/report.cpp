#include "kedge/study/report.h"

#include <fmt/format.h>

#include <limits>

#include "kedge/core/errors.h"
#include "kedge/files/csv.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::string short_number(double value) { return fmt::format("{:.4g}", value); }

/// Numbers as one entry of a table: each reads back as the same double.
std::string numbers_text(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : " ") + CsvCell(value).text();
  return text;
}

/// What every run reached.
std::string runs_table(const Comparison& comparison) {
  std::string text =
      "| run | seeds | return of the final policy without noise: interquartile mean [95 %], median | solved in every "
      "rollout | seconds a run, median |\n|---|---|---|---|---|\n";
  for (const ComparisonGroup& group : comparison.groups) {
    std::vector<double> returns;
    std::size_t solved = 0;
    for (const ComparedRun& run : group.runs) {
      returns.push_back(run.final_return.value_or(-infinity));
      solved += run.final_success.value_or(0.0) >= 1.0;
    }
    text += fmt::format("| {} | {} | {}, {} | {} of {} | {} |\n", group.label, group.runs.size(),
                        estimate_text(estimate(returns, interquartile_mean)), short_number(median(returns)), solved,
                        group.runs.size(), group.curve.empty() ? "" : short_number(group.curve.back().seconds));
  }
  return text;
}

/// The claims, their verdicts, and how a verdict comes about.
std::string verdicts_table(const std::vector<JudgedClaim>& verdicts) {
  if (verdicts.empty()) return "";
  std::string text = "\n| claim | source | verdict | numbers |\n|---|---|---|---|\n";
  for (const JudgedClaim& v : verdicts)
    text += fmt::format("| {} | {} | **{}** | {} |\n", v.claim.text, v.claim.source, to_string(v.verdict), reason(v));
  return text +
         fmt::format(
             "\nVerdicts: a claim that one run is better *holds* if the 95 % interval of the probability that a seed "
             "of "
             "it beats a seed of the other lies above 0.5, and *does not hold* if it lies below; of similar runs it "
             "lies "
             "within [0.25, 0.75]. Intervals are bootstrapped, Newcombe's where the samples do not overlap, Wilson's "
             "for "
             "shares of seeds. Fewer than {} seeds decide nothing. Each verdict is for its claim alone: there {} {} "
             "here, and no correction for their number.\n",
             fewest_seeds, verdicts.size() == 1 ? "is" : "are", verdicts.size());
}

}  // namespace

FigureResult summarise_figure(const Figure& figure, const std::vector<FigureJob>& jobs, int threads) {
  require_done(jobs);
  FigureResult result;
  result.comparison.task = figure.title;
  bool any = false;
  for (const FigureRun& run : figure.runs) {
    std::vector<fs::path> directories;
    for (const FigureJob& job : jobs)
      if (job.label == run.label) directories.push_back(job.directory);
    CompareOptions options;
    options.threads = threads;
    Comparison of_run = compare(directories, options);
    for (std::string& note : of_run.notes) result.comparison.notes.push_back(std::move(note));
    of_run.groups.front().label = run.label;
    of_run.groups.front().panel = run.panel;
    any = any || !of_run.groups.front().curve.empty();
    result.comparison.groups.push_back(std::move(of_run.groups.front()));
  }
  std::vector<fs::path> all;
  for (const FigureJob& job : jobs) all.push_back(job.directory);
  if (auto note = mixed_builds(all)) result.comparison.notes.push_back(std::move(*note));
  if (!any)
    throw SystemError(
        fmt::format("{}: no run has completed an iteration; see {}.log", figure.name, jobs.front().directory.string()));
  for (const Claim& claim : figure.claims) result.verdicts.push_back(judge(claim, result.comparison));
  return result;
}

std::string verdicts_csv(const std::vector<JudgedClaim>& verdicts) {
  std::string text = csv_line({"claim", "source", "verdict", "run", "than", "measure", "run_value", "run_low",
                               "run_high", "than_value", "than_low", "than_high", "probability", "low", "high",
                               "run_seeds", "than_seeds", "run_values", "than_values"});
  for (const JudgedClaim& v : verdicts)
    text += csv_line({CsvCell::quoted(v.claim.text), CsvCell::quoted(v.claim.source), to_string(v.verdict),
                      CsvCell::quoted(v.claim.run), CsvCell::quoted(v.claim.than),
                      CsvCell::quoted(to_string(v.claim.measure)), v.run_value.value, v.run_value.interval.low,
                      v.run_value.interval.high, v.than_value.value, v.than_value.interval.low,
                      v.than_value.interval.high, v.probability, v.interval.low, v.interval.high, v.run_values.size(),
                      v.than_values.size(), numbers_text(v.run_values), numbers_text(v.than_values)});
  return text;
}

std::string final_csv(const Comparison& comparison) {
  const auto cell = [](const std::optional<double>& value) { return value ? CsvCell(*value) : CsvCell(""); };
  std::string text = csv_line({"run", "seed", "state", "iterations", "rollouts", "final_return", "final_success"});
  for (const ComparisonGroup& group : comparison.groups)
    for (const ComparedRun& run : group.runs)
      text +=
          csv_line({CsvCell::quoted(group.label), run.seed, to_string(run.state), run.iterations,
                    run.rollouts.empty() ? 0.0 : run.rollouts.back(), cell(run.final_return), cell(run.final_success)});
  return text;
}

std::string figure_page(const Figure& figure, const FigureResult& result, const std::string& command) {
  std::string text = fmt::format("# {}\n\n    {}\n\n![curves](curves.svg)\n\n", figure.title, command);
  if (figure.paths)
    text +=
        "Where the robots go: the centre of mass and the body along its path, first the trajectory that learning "
        "started from, then the final policies of the first seed without noise.\n\n![paths](paths.svg)\n\n";
  text += runs_table(result.comparison) + verdicts_table(result.verdicts);
  for (const std::string& note : result.comparison.notes) text += fmt::format("\nNote: {}\n", note);
  return text;
}

}  // namespace kedge
