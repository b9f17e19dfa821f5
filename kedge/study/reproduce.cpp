#include "kedge/study/reproduce.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/registry.h"
#include "kedge/run/run_task.h"
#include "kedge/run/train.h"
#include "kedge/study/body_paths.h"
#include "kedge/study/plots.h"
#include "kedge/tasks/bundled.h"

extern char** environ;

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kFewestSeeds = 5;  ///< a bootstrap over fewer says nothing

/// A label as the name of a folder.
std::string folder_name(std::string label) {
  for (char& c : label)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '=') c = '_';
  return label;
}

std::int64_t iterations_of(const RunFile& file) {
  return std::get<std::int64_t>(option_value(file.options, "iterations"));
}

/// What is still to be done for a run whose directory may be there.
std::vector<std::string> arguments_for(const TrainRequest& request, const RunFile& wanted) {
  const fs::path& directory = *request.out;
  if (!fs::exists(directory)) {
    std::vector<std::string> arguments{"train",           request.task,      "--algorithm",
                                       request.algorithm, "--seed",          std::to_string(request.seed),
                                       "--out",           directory.string()};
    for (const std::string& set : request.set) arguments.insert(arguments.end(), {"--set", set});
    return arguments;
  }
  const RunStatus status = run_status(directory);
  const RunFile found = read_run_file(directory);
  const auto refuse = [&](const char* what) {
    throw InputError(
        fmt::format("{}: is another run than the figure says: {} differs; remove it, or choose another --out",
                    directory.string(), what));
  };
  if (found.algorithm != wanted.algorithm) refuse("algorithm");
  if (found.seed != wanted.seed) refuse("seed");
  if (found.task_digest != wanted.task_digest) refuse("task");
  if (options_digest(found) != options_digest(wanted)) refuse("an option");
  if (status.state == RunState::training)
    throw InputError(fmt::format("{}: another process is training it", directory.string()));
  if (status.state == RunState::damaged)
    throw InputError(fmt::format("{}: {}; remove it to run it again", directory.string(), status.detail));
  if (status.iterations > iterations_of(wanted))
    throw InputError(fmt::format("{}: has {} iterations, the figure says {}; remove it, or choose another --out",
                                 directory.string(), status.iterations, iterations_of(wanted)));
  if (status.state == RunState::failed || status.iterations >= iterations_of(wanted)) return {};
  return {"resume", directory.string(), "--iterations", std::to_string(iterations_of(wanted))};
}

/// Starts `program` with its output in a log file.
pid_t start(const fs::path& program, const FigureJob& job) {
  const std::string log = job.directory.string() + ".log";
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), job.arguments.begin(), job.arguments.end());
  words.insert(words.end(), {"--threads", "1", "--quiet"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int failed = posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw SystemError(fmt::format("{} cannot be started: {}", program.string(), std::strerror(failed)));
  return child;
}

Estimate estimate(const std::vector<double>& values) {
  return {interquartile_mean(values), bootstrap_interval({values}, interquartile_mean)};
}

const ComparisonGroup* find_group(const Comparison& comparison, const std::string& label) {
  for (const ComparisonGroup& group : comparison.groups)
    if (group.label == label) return &group;
  return nullptr;
}

std::string short_number(double value) { return fmt::format("{:.4g}", value); }

std::string value_text(const Estimate& e) {
  return fmt::format("{} [{}, {}]", short_number(e.value), short_number(e.interval.low), short_number(e.interval.high));
}

std::string csv_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::vector<FigureJob> plan_figure(const Figure& figure, const ReproduceOptions& options) {
  struct Planned {
    TrainRequest request;
    RunFile file;
  };
  std::vector<Planned> planned;
  for (const FigureRun& run : figure.runs) {
    TrainRequest request;
    request.task = run.task;
    request.algorithm = run.algorithm;
    request.set = run.set;
    request.stop = options.stop;
    if (options.quick) request.set.insert(request.set.end(), figure.quick_set.begin(), figure.quick_set.end());
    try {
      planned.push_back({request, plan_run(request).file});
    } catch (const InputError& e) {
      throw InputError(fmt::format("{}: run \"{}\": {}", figure.file.string(), run.label, e.what()));
    }
  }
  const int seeds = options.seeds.value_or(options.quick ? figure.quick_seeds : figure.seeds);
  std::vector<FigureJob> jobs;
  for (int i = 0; i < seeds; ++i)
    for (std::size_t r = 0; r < planned.size(); ++r) {
      auto& [request, file] = planned[r];
      file.seed = request.seed = figure.first_seed + static_cast<std::uint64_t>(i);
      const std::string& label = figure.runs[r].label;
      request.out = options.folder / folder_name(label) / fmt::format("s{}", request.seed);
      jobs.push_back({label, request.seed, *request.out, arguments_for(request, file)});
    }
  return jobs;
}

bool run_jobs(const std::vector<FigureJob>& jobs, const fs::path& program, int at_once, const std::stop_token& stop,
              const JobObserver& observe) {
  std::map<pid_t, std::size_t> running;
  std::size_t next = 0;
  bool told = false;
  while (true) {
    while (!stop.stop_requested() && running.size() < static_cast<std::size_t>(at_once) && next < jobs.size()) {
      const FigureJob& job = jobs[next];
      if (!job.arguments.empty()) {
        fs::create_directories(job.directory.parent_path());
        running[start(program, job)] = next;
      }
      ++next;
    }
    if (running.empty()) return !stop.stop_requested();
    if (stop.stop_requested() && !told) {
      told = true;
      for (const auto& [child, job] : running) kill(child, SIGTERM);
    }
    for (auto it = running.begin(); it != running.end();) {
      int status = 0;
      const pid_t ended = waitpid(it->first, &status, WNOHANG);
      if (ended == 0 || (ended < 0 && errno == EINTR)) {
        ++it;
        continue;
      }
      observe(it->second, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      it = running.erase(it);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Verdict judge(const Claim& claim, const Comparison& comparison) {
  Verdict v{.claim = claim, .verdict = "undecided", .run_value = {}, .than_value = {}, .interval = {}};
  const ComparisonGroup* run = find_group(comparison, claim.run);
  const std::vector<double> a = run ? measure_values(*run, claim.measure) : std::vector<double>{};
  v.run_seeds = a.size();
  if (claim.kind == Claim::Kind::succeeds || claim.kind == Claim::Kind::fails) {
    if (a.empty()) return v.verdict = "no runs", v;
    const auto solved = static_cast<std::size_t>(std::count_if(a.begin(), a.end(), [](double s) { return s >= 1.0; }));
    v.interval = wilson_interval(solved, a.size());
    v.run_value = {static_cast<double>(solved) / static_cast<double>(a.size()), v.interval};
    const bool many = claim.kind == Claim::Kind::succeeds;
    const bool yes = many ? v.interval.low >= claim.share : v.interval.high <= claim.share;
    const bool no = many ? v.interval.high < claim.share : v.interval.low > claim.share;
    v.verdict = a.size() < kFewestSeeds ? "too few seeds" : yes ? "holds" : no ? "does not hold" : "undecided";
    return v;
  }
  const ComparisonGroup* than = find_group(comparison, claim.than);
  const std::vector<double> b = than ? measure_values(*than, claim.measure) : std::vector<double>{};
  v.than_seeds = b.size();
  if (a.empty() || b.empty()) return v.verdict = "no runs", v;
  v.run_value = estimate(a);
  v.than_value = estimate(b);
  const Estimate p = probability_of_improvement(a, b);
  v.probability = p.value;
  v.interval = p.interval;
  const auto [low, high] = p.interval;
  const bool better = claim.kind == Claim::Kind::better;
  const bool yes = better ? low > 0.5 : low >= 0.25 && high <= 0.75;
  const bool no = better ? high < 0.5 : low > 0.75 || high < 0.25;
  const bool few = std::min(a.size(), b.size()) < kFewestSeeds;
  v.verdict = few ? "too few seeds" : yes ? "holds" : no ? "does not hold" : "undecided";
  return v;
}

FigureResult summarise_figure(const Figure& figure, const std::vector<FigureJob>& jobs, int threads) {
  std::size_t missing = 0;
  const FigureJob* first = nullptr;
  for (const FigureJob& job : jobs)
    if (!job.arguments.empty() && missing++ == 0) first = &job;
  if (first)
    throw SystemError(
        fmt::format("{} of {} runs are not there, the first '{}' seed {} (see {}.log); the same command "
                    "again goes on",
                    missing, jobs.size(), first->label, first->seed, first->directory.string()));
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
  if (!any)
    throw SystemError(
        fmt::format("{}: no run has completed an iteration; see {}.log", figure.name, jobs.front().directory.string()));
  for (const Claim& claim : figure.claims) result.verdicts.push_back(judge(claim, result.comparison));
  return result;
}

std::vector<double> measure_values(const ComparisonGroup& group, const Measure& measure) {
  std::vector<double> values;
  for (const ComparedRun& run : group.runs) {
    double value = -infinity;
    switch (measure.kind) {
      case Measure::Kind::final_return: value = run.final_return.value_or(-infinity); break;
      case Measure::Kind::final_success: value = run.final_success.value_or(0.0); break;
      case Measure::Kind::return_at:
        // The run must have got there: one that ended early has no return at this point.
        for (std::size_t i = 0; i < run.rollouts.size(); ++i)
          if (run.rollouts[i] <= measure.argument && run.rollouts.back() >= measure.argument)
            value = run.median_returns[i];
        break;
      case Measure::Kind::rollouts_to:
        for (std::size_t i = run.rollouts.size(); i-- > 0;)
          if (run.median_returns[i] >= measure.argument) value = -run.rollouts[i];
        break;
      case Measure::Kind::noisy_return:
        if (!run.median_returns.empty()) value = run.median_returns.back();
        break;
      case Measure::Kind::noisy_success: value = run.noisy_success.value_or(0.0); break;
    }
    values.push_back(value);
  }
  return values;
}

Estimate probability_of_improvement(const std::vector<double>& a, const std::vector<double>& b) {
  const std::size_t n = a.size();
  const Statistic statistic = [n](std::span<const double> all) {
    double wins = 0.0;
    for (const double x : all.first(n))
      for (const double y : all.subspan(n)) wins += x > y ? 1.0 : x == y ? 0.5 : 0.0;
    return wins / static_cast<double>(n * (all.size() - n));
  };
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return {statistic(all), bootstrap_interval({a, b}, statistic)};
}

Interval wilson_interval(std::size_t k, std::size_t n) {
  constexpr double z = 1.959963984540054;
  const auto trials = static_cast<double>(n);
  const double p = static_cast<double>(k) / trials, scale = 1.0 / (1.0 + z * z / trials);
  const double centre = scale * (p + z * z / (2 * trials));
  const double half = scale * z * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  return {k == 0 ? 0.0 : centre - half, k == n ? 1.0 : centre + half};
}

std::string reason(const Verdict& v) {
  if (v.claim.kind == Claim::Kind::succeeds || v.claim.kind == Claim::Kind::fails)
    return fmt::format(
        "{:.0f} of {} seeds succeed in every rollout with{} noise, {:.2f} [{:.2f}, {:.2f}]; claimed {} {}",
        std::round(v.run_value.value * static_cast<double>(v.run_seeds)), v.run_seeds,
        v.claim.measure.kind == Measure::Kind::noisy_success ? "" : "out", v.run_value.value, v.interval.low,
        v.interval.high, v.claim.kind == Claim::Kind::succeeds ? ">=" : "<=", v.claim.share);
  return fmt::format("{}: {} against {}; P(better) {:.2f} [{:.2f}, {:.2f}]; {} and {} seeds",
                     to_string(v.claim.measure), value_text(v.run_value), value_text(v.than_value), v.probability,
                     v.interval.low, v.interval.high, v.run_seeds, v.than_seeds);
}

std::string verdicts_csv(const std::vector<Verdict>& verdicts) {
  std::string text =
      "claim,source,verdict,run,than,measure,run_value,run_low,run_high,than_value,than_low,than_high,probability,low,"
      "high,run_seeds,than_seeds\n";
  for (const Verdict& v : verdicts)
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_text(v.claim.text),
                        csv_text(v.claim.source), v.verdict, csv_text(v.claim.run), csv_text(v.claim.than),
                        csv_text(to_string(v.claim.measure)), v.run_value.value, v.run_value.interval.low,
                        v.run_value.interval.high, v.than_value.value, v.than_value.interval.low,
                        v.than_value.interval.high, v.probability, v.interval.low, v.interval.high, v.run_seeds,
                        v.than_seeds);
  return text;
}

std::string final_csv(const Comparison& comparison) {
  std::string text = "run,seed,state,iterations,rollouts,final_return,final_success\n";
  for (const ComparisonGroup& group : comparison.groups)
    for (const ComparedRun& run : group.runs)
      text += fmt::format("{},{},{},{},{},{},{}\n", csv_text(group.label), run.seed, to_string(run.state),
                          run.iterations, run.rollouts.empty() ? 0.0 : run.rollouts.back(),
                          run.final_return ? fmt::format("{}", *run.final_return) : "",
                          run.final_success ? fmt::format("{}", *run.final_success) : "");
  return text;
}

std::string figure_page(const Figure& figure, const FigureResult& result, const std::string& command) {
  std::string text = fmt::format("# {}\n\n    {}\n\n![curves](curves.svg)\n\n", figure.title, command);
  if (figure.paths)
    text +=
        "Where the robots go: the centre of mass and the body along its path, first the trajectory that learning "
        "started from, then the final policies of the first seed without noise.\n\n![paths](paths.svg)\n\n";
  text +=
      "| run | seeds | return of the final policy without noise: interquartile mean [95 %], median | solved in every "
      "rollout "
      "| seconds a run, median |\n|---|---|---|---|---|\n";
  for (const ComparisonGroup& group : result.comparison.groups) {
    std::vector<double> returns;
    std::size_t solved = 0;
    for (const ComparedRun& run : group.runs) {
      returns.push_back(run.final_return.value_or(-infinity));
      solved += run.final_success.value_or(0.0) >= 1.0;
    }
    text += fmt::format("| {} | {} | {}, {} | {} of {} | {} |\n", group.label, group.runs.size(),
                        value_text(estimate(returns)), short_number(median(returns)), solved, group.runs.size(),
                        group.curve.empty() ? "" : short_number(group.curve.back().seconds));
  }
  if (!result.verdicts.empty()) text += "\n| claim | source | verdict | numbers |\n|---|---|---|---|\n";
  for (const Verdict& v : result.verdicts)
    text += fmt::format("| {} | {} | **{}** | {} |\n", v.claim.text, v.claim.source, v.verdict, reason(v));
  if (!result.verdicts.empty())
    text += fmt::format(
        "\nVerdicts: a claim that one run is better *holds* if the 95 % bootstrap interval of the probability that a "
        "seed "
        "of it beats a seed of the other lies above 0.5, and *does not hold* if it lies below; of similar runs it lies "
        "within [0.25, 0.75]; shares of seeds have Wilson intervals. Fewer than {} seeds decide nothing.\n",
        kFewestSeeds);
  for (const std::string& note : result.comparison.notes) text += fmt::format("\nNote: {}\n", note);
  return text;
}

namespace {

/// States of a run's final policy without noise, from a start of its seed.
MatrixXd learned_path(const fs::path& directory, const TaskFile& task, const RunFile& file) {
  Run run;
  run.seed = file.seed;
  const AnyPolicy policy = load_policy(directory / "policy.h5").policy;
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
      const auto* system = dynamic_cast<const MujocoSystem*>(task.task.system.get());
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
