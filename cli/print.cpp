#include "print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "kedge/files/json.h"
#include "progress.h"

namespace kedge::cli {

namespace {

void print_line(const char* kind, const std::string& text) {
  std::string line = fmt::format("kedge: {}: {}", kind, text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  std::fputs((line + '\n').c_str(), stderr);
}

/// Steps as a task file names them: "0..79", "80..99, final".
std::string steps_text(const std::vector<char>& active) {
  const auto T = active.size() - 1;
  std::vector<std::string> parts;
  for (std::size_t t = 0; t < T;) {
    if (!active[t]) {
      ++t;
      continue;
    }
    const std::size_t from = t;
    while (t < T && active[t]) ++t;
    parts.push_back(t - from == 1 ? fmt::format("{}", from) : fmt::format("{}..{}", from, t - 1));
  }
  if (active[T]) parts.emplace_back("final");
  return parts.empty() ? "never" : fmt::format("{}", fmt::join(parts, ", "));
}

const char* norm_text(Norm norm) {
  switch (norm) {
    case Norm::quadratic: return "quadratic";
    case Norm::absolute: return "absolute";
    case Norm::smooth: return "smooth";
    case Norm::bounded: return "bounded";
    case Norm::distance: return "distance";
  }
  return "";
}

std::string vector_text(const VectorXd& v) {
  std::vector<std::string> entries;
  for (const double x : v) entries.push_back(number_text(x));
  return fmt::format("{}", fmt::join(entries, ", "));
}

/// All entries of a small state; of a larger one those that are not 0, by the names of what the policy sees.
std::string state_text(const Task& task, const VectorXd& x) {
  constexpr Index small = 8;
  if (x.size() <= small) return vector_text(x);
  std::vector<std::string> entries;
  for (Index i = 0; i < x.size(); ++i) {
    if (x[i] == 0.0) continue;
    const auto seen = static_cast<std::size_t>(std::ranges::find(task.observation, i) - task.observation.begin());
    const std::string name = seen < task.observation.size() ? task.observation_names[seen] : fmt::format("x[{}]", i);
    entries.push_back(fmt::format("{} {}", name, number_text(x[i])));
  }
  return entries.empty() ? "0" : fmt::format("{}, else 0", fmt::join(entries, ", "));
}

/// One number where all are equal.
std::string weight_text(const VectorXd& v) {
  return v.size() > 1 && (v.array() == v[0]).all() ? number_text(v[0]) : vector_text(v);
}

/// A value and its interval, in columns.
std::string estimate_columns(const Estimate& e) {
  return fmt::format("{:>10} {:<26}", number_text(e.value),
                     fmt::format("[{}, {}]", number_text(e.interval.low), number_text(e.interval.high)));
}

/// A share with its Wilson interval: "97.0 % [91.5, 99.0]".
std::string share_text(double share, std::size_t trials) {
  const Interval interval = wilson_interval(share, trials);
  return fmt::format("{:.1f} % [{:.1f}, {:.1f}]", 100 * share, 100 * interval.low, 100 * interval.high);
}

std::string curve_table(const ComparisonGroup& group) {
  const bool one = group.runs.size() == 1;  // then every statistic is the return itself
  std::string text = fmt::format("  {:>9}  {:>9}  {:>10}", "iteration", "rollouts", one ? "return" : "median");
  if (!one) text += fmt::format("{:28}{:>10}{:28}{:>10}{:28}{:>9}", "", "IQM", "", "mean", "", "quartiles");
  text += "\n";
  for (const CurvePoint& p : table_points(group.curve)) {
    text += fmt::format("  {:>9}  {:>9}  ", p.iteration + 1, p.rollouts);
    if (one) {
      text += fmt::format("{:>10}\n", number_text(p.median.value));
    } else {
      text += fmt::format("{} {} {} {}, {}\n", estimate_columns(p.median), estimate_columns(p.iqm),
                          estimate_columns(p.mean), number_text(p.lower_quartile), number_text(p.upper_quartile));
    }
  }
  return text;
}

}  // namespace

void say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void print_warning(const std::string& text) { print_line("warning", text); }

void print_error(const std::string& text) { print_line("error", text); }

std::string evaluation_text(const Task& task, const Evaluation& e) {
  std::string text;
  if (e.returns.empty()) {
    text += "  return       none: every rollout diverged\n";
  } else {
    const auto [low, high] = std::minmax_element(e.returns.begin(), e.returns.end());
    text += fmt::format("  return       mean {}  std {}  median {}  min {}  max {}\n", number_text(mean(e.returns)),
                        number_text(standard_deviation(e.returns)), number_text(median(e.returns)), number_text(*low),
                        number_text(*high));
  }
  if (!task.success.empty()) {
    text += fmt::format("  success      {}/{} = {}   {}\n", e.succeeded, e.rollouts,
                        share_text(e.success_rate(), static_cast<std::size_t>(e.rollouts)), task.success.front().text);
    if (!e.success_values.empty())
      text += fmt::format("  its value    median {}  quartiles {}, {}  95 % below {}  max {}   (limit {})\n",
                          number_text(median(e.success_values)), number_text(quantile(e.success_values, 0.25)),
                          number_text(quantile(e.success_values, 0.75)), number_text(quantile(e.success_values, 0.95)),
                          number_text(quantile(e.success_values, 1.0)), number_text(task.success.front().below));
  }
  const std::string why = divergence_text(e.batch);
  text += fmt::format("  diverged     {}{}\n", e.diverged, why.empty() ? "" : "   " + why);
  if (!task.termination.empty())
    text +=
        fmt::format("  ended early  {}/{} = {}\n", e.ended_early, e.rollouts,
                    share_text(static_cast<double>(e.ended_early) / e.rollouts, static_cast<std::size_t>(e.rollouts)));
  text += fmt::format("  saturated    {:.2f} % of the commanded actions\n", 100 * e.saturated);
  return text;
}

std::string evaluation_json(const Task& task, const Evaluation& e, std::uint64_t seed, bool deterministic,
                            const std::vector<std::string>& without) {
  const auto statistic = [](const std::vector<double>& values, const Statistic& f) {
    return values.empty() ? Json() : json_number(f(values));
  };
  const auto at = [](double p) { return [p](std::span<const double> values) { return quantile(values, p); }; };
  const auto& r = e.returns;
  Json json = {{"task", task.name}, {"rollouts", e.rollouts}, {"seed", seed}, {"deterministic", deterministic}};
  if (!without.empty()) json["without"] = without;
  json["return"] = {{"mean", statistic(r, mean)},
                    {"std", statistic(r, standard_deviation)},
                    {"median", statistic(r, median)},
                    {"min", statistic(r, at(0))},
                    {"max", statistic(r, at(1))}};
  if (task.success.empty()) {
    json["success"] = nullptr;
  } else {
    const auto& v = e.success_values;
    const Json value = {{"min", statistic(v, at(0))},      {"q25", statistic(v, at(0.25))},
                        {"median", statistic(v, at(0.5))}, {"q75", statistic(v, at(0.75))},
                        {"q95", statistic(v, at(0.95))},   {"max", statistic(v, at(1))}};
    const Interval interval = wilson_interval(e.success_rate(), static_cast<std::size_t>(e.rollouts));
    json["success"] = {{"rate", json_number(e.success_rate())},
                       {"interval", {json_number(interval.low), json_number(interval.high)}},
                       {"count", e.succeeded},
                       {"measure", task.success.front().text},
                       {"below", json_number(task.success.front().below)},
                       {"value", value}};
  }
  json["diverged"] = e.diverged;
  if (!task.termination.empty()) json["ended_early"] = e.ended_early;
  json["saturated"] = json_number(e.saturated);
  return json_text(json, 2) + "\n";
}

std::string task_text(const Task& task) {
  std::string text = fmt::format("{}: {}\n", task.name, task.summary);
  text += fmt::format("  horizon      {} steps of {} s = {} s\n", task.horizon, number_text(task.control_step),
                      number_text(task.horizon * task.control_step));
  text += fmt::format("  system       {} states, {} controls, {} sensor values\n", task.nx(), task.system->nu(),
                      task.system->nsensor());
  text += fmt::format("  observation  {}: {}\n", task.ds(), fmt::join(task.observation_names, ", "));
  text += fmt::format("  action       {}:", task.da());
  for (Index i = 0; i < task.da(); ++i)
    text += fmt::format("{} {} in [{}, {}]", i ? "," : "", task.action_names[static_cast<std::size_t>(i)],
                        number_text(task.action_low[i]), number_text(task.action_high[i]));
  const bool gaussian = task.start.kind == StartDistribution::Kind::gaussian;
  text += fmt::format("\n  start        {}, mean {}; {} {}\n", gaussian ? "gaussian" : "uniform",
                      state_text(task, task.start.mean), gaussian ? "standard deviation" : "half-width",
                      state_text(task, task.start.spread));
  text += "  cost         name, of, norm, weights, steps\n";
  for (const CostTerm& term : task.cost)
    text += fmt::format("    {}: {} of {}; weight {}, steps {}\n", term.name, norm_text(term.norm),
                        residual_text(term.residual), weight_text(term.weight), steps_text(term.active));
  for (const Termination& end : task.termination)
    text += fmt::format("  ends early   {}: {} outside of [{}, {}]; cost {}, and {} for each step that is missing\n",
                        end.name, residual_text(end.residual), number_text(end.low[0]), number_text(end.high[0]),
                        number_text(end.cost), number_text(end.missing_step));
  if (task.success.empty()) {
    text += "  success      none declared\n";
  } else {
    text += fmt::format("  success      {}\n", task.success.front().text);
  }
  return text;
}

std::string demonstration_text(const TaskFile& file, const DemonstrationReport& report) {
  const Task& task = file.task;
  const int steps = report.batch.horizon;
  std::string text =
      fmt::format("{}: {} steps of {} s = {} s by {}\n", task.name, steps, number_text(task.control_step),
                  number_text(steps * task.control_step), file.demonstration_text);
  for (const DemonstratedTerm& term : report.terms) {
    text += fmt::format("  {:<12} cost {}", term.name, number_text(term.cost));
    if (term.mean.size() == 1)
      text += fmt::format("  mean {}, target {}", number_text(term.mean[0]), number_text(term.target[0]));
    else if (term.mean.size() > 1)
      text += fmt::format("  rms {}", vector_text(term.rms));
    text += "\n";
  }
  text += fmt::format("  return       {}\n", number_text(-report.batch.cost.sum()));
  if (!task.success.empty() && report.batch.usable(0)) {
    const double value = report.batch.success[0], limit = task.success.front().below;
    text += fmt::format("  success      {}   {} (value {}, limit {})\n", value < limit ? "yes" : "no",
                        task.success.front().text, number_text(value), number_text(limit));
  }
  text += report.replay_error == 0.0
              ? "  replay       the simulation repeats every step exactly\n"
              : fmt::format("  replay       the simulation differs from the recorded steps by up to {}\n",
                            number_text(report.replay_error));
  return text;
}

std::string comparison_text(const Comparison& comparison) {
  std::size_t runs = 0;
  for (const ComparisonGroup& group : comparison.groups) runs += group.runs.size();
  std::string text = fmt::format(
      "{}: {} run{} in {} group{}; mean return of an iteration's rollouts, over seeds; "
      "[ ]: 95 % interval, of shares Wilson's with the runs as trials, else by bootstrap\n",
      comparison.task, runs, runs == 1 ? "" : "s", comparison.groups.size(), comparison.groups.size() == 1 ? "" : "s");
  for (const ComparisonGroup& group : comparison.groups) {
    std::vector<std::uint64_t> seeds;
    std::vector<double> returns, success;
    for (const ComparedRun& run : group.runs) {
      seeds.push_back(run.seed);
      if (run.final_return) returns.push_back(*run.final_return);
      if (run.final_success) success.push_back(*run.final_success);
    }
    text += fmt::format("\n{}  ({} seed{}: {})\n", group.label, seeds.size(), seeds.size() == 1 ? "" : "s",
                        fmt::join(seeds, ", "));
    text += curve_table(group);
    if (!returns.empty()) {
      text += fmt::format("  final policies without noise: return median {} over {} run{}",
                          number_text(median(returns)), returns.size(), returns.size() == 1 ? "" : "s");
      if (!success.empty()) {
        const auto solved = std::count_if(success.begin(), success.end(), [](double rate) { return rate >= 1.0; });
        text += fmt::format("; success {}, {} of {} in every rollout", share_text(mean(success), success.size()),
                            solved, success.size());
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace kedge::cli
