#include "kedge/study/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <string_view>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/checksum.h"
#include "kedge/files/csv.h"
#include "kedge/math/statistics.h"
#include "kedge/run/train.h"
#include "kedge/study/jobs.h"
#include "kedge/study/results.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr int kBracket = 8;    ///< configurations that begin together
constexpr int kRollouts = 20;  ///< of each final policy
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::uint64_t kLargestJournal = std::uint64_t{1} << 24;
const char* const kColumns = "bracket,round,trial,iterations,success,return,options\n";

Dimension logarithmic(const char* option, double low, double high, const char* unit = "") {
  return {option, {}, low, high, true, false, unit};
}

std::string joined(const std::vector<std::string>& set) { return fmt::format("{}", fmt::join(set, " ")); }

/// The settings of a configuration; none for number 0.
std::vector<std::string> draw(const TuneOptions& options, int trial) {
  std::vector<std::string> set;
  if (trial == 0) return set;
  Stream random(options.seed, static_cast<std::uint32_t>(trial), 0, 0);
  for (const Dimension& d : search_space(options.algorithm)) set.push_back(d.option + "=" + d.draw(random));
  return set;
}

TrainRequest request_of(const TuneOptions& options, const std::vector<std::string>& set) {
  TrainRequest request;
  request.task = options.task;
  request.algorithm = options.algorithm;
  request.set = options.set;
  request.set.insert(request.set.end(), set.begin(), set.end());
  request.stop = options.stop;
  return request;
}

/// What is known of a search before it begins.
struct Search {
  TuneOptions options;
  int iterations = 0;  ///< of a whole training
  std::string title;   ///< first line of its journals: of which search they are
};

/// Configurations that begin together, and what was found of them.
struct Bracket {
  int number = 0;
  std::vector<int> trials;           ///< that begin
  fs::path file;                     ///< its journal
  std::vector<std::string> earlier;  ///< lines of a journal that is there already, in order
  std::size_t replayed = 0;          ///< how many of them are in `journal`
  std::vector<TrialScore> journal;
};

[[noreturn]] void refuse_journal(const Bracket& bracket) {
  throw InputError(
      fmt::format("{}: is not of this search (another task, option, --trials, --seeds or --seed), or was changed; "
                  "choose another --out",
                  bracket.file.string()));
}

std::string journal_line(const TrialScore& s) {
  return csv_line({s.bracket, s.round, s.trial, s.iterations, s.success, s.value, s.options});
}

/// Reads the journal of an earlier call in the folder, if there is one.
void read_journal(const Search& search, Bracket& bracket) {
  if (!fs::exists(fs::symlink_status(bracket.file))) return;
  const std::string text = read_file(bracket.file, kLargestJournal), head = search.title + kColumns;
  if (!text.starts_with(head) || !text.ends_with('\n')) refuse_journal(bracket);
  for (std::size_t at = head.size(); at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    bracket.earlier.push_back(text.substr(at, end - at));
    at = end;
  }
}

/// Takes the scores of a round from the journal, where they must be as this search wrote them.
/// @param scores all but success and value is given  @return false if the journal has no more
bool replay_round(Bracket& bracket, std::vector<TrialScore>& scores) {
  if (bracket.replayed == bracket.earlier.size()) return false;
  for (TrialScore& s : scores) {
    if (bracket.replayed == bracket.earlier.size()) refuse_journal(bracket);
    const std::string& line = bracket.earlier[bracket.replayed++];
    const std::string before = fmt::format("{},{},{},{},", s.bracket, s.round, s.trial, s.iterations);
    if (!line.starts_with(before)) refuse_journal(bracket);
    const char* end = line.data() + line.size();
    const auto success = std::from_chars(line.data() + before.size(), end, s.success);
    if (success.ec != std::errc() || success.ptr == end) refuse_journal(bracket);
    std::from_chars(success.ptr + 1, end, s.value);
    if (!(s.success >= 0.0 && s.success <= 1.0) || std::isnan(s.value) || journal_line(s) != line)
      refuse_journal(bracket);
  }
  return true;
}

void write_journal(const Search& search, const Bracket& bracket) {
  std::string text = search.title + kColumns;
  for (const TrialScore& s : bracket.journal) text += journal_line(s);
  write_file(Directory(search.options.folder) / bracket.file.filename().string(), text,
             Durability::process);  // not through a link
}

/// What the runs of a configuration reached.
void score(const std::vector<fs::path>& directories, int threads, TrialScore& result) {
  std::vector<double> values, success;
  for (const fs::path& directory : directories) {
    if (run_status(directory).state == RunState::failed) return;
    const FinalResult reached = final_result(directory, read_run_file(directory), kRollouts, threads);
    values.push_back(reached.value);
    success.push_back(reached.success.value_or(0.0));
  }
  result.value = mean(values);
  result.success = mean(success);
}

enum class RoundEnd { complete, stopped };

/// Trains the configurations up to a number of iterations, and scores them. @param scores bracket, round, trial, iterations
/// and options are given
RoundEnd run_round(const Search& search, std::vector<TrialScore>& scores) {
  const TuneOptions& options = search.options;
  Figure figure;
  figure.file = options.folder;
  figure.seeds = options.seeds;
  std::map<int, std::vector<fs::path>> directories;  // by number
  for (const TrialScore& s : scores) {
    const std::vector<std::string> set = draw(options, s.trial);
    FigureRun run{fmt::format("trial-{:03}", s.trial), options.task, options.algorithm, options.set};
    run.set.insert(run.set.end(), set.begin(), set.end());
    run.set.push_back(fmt::format("iterations={}", s.iterations));
    try {
      (void)plan_run(request_of(options, set));
    } catch (const InputError&) {
      if (s.trial == 0) throw;
      continue;  // the task or the algorithm refuses it
    }
    figure.runs.push_back(std::move(run));
    directories[s.trial] = {};
  }
  const ReproduceOptions where{.seeds = {}, .folder = options.folder, .stop = options.stop};
  const std::vector<FigureJob> jobs = plan_figure(figure, where);
  if (!run_jobs(
          jobs, options.program, options.at_once, options.stop, [](std::size_t, int) {}, options.deadline))
    return RoundEnd::stopped;
  require_done(plan_figure(figure, where));
  for (const FigureJob& job : jobs) directories[std::stoi(job.label.substr(6))].push_back(job.directory);
  for (TrialScore& s : scores) {
    s.value = -infinity;
    if (const auto found = directories.find(s.trial); found != directories.end())
      score(found->second, options.at_once, s);
  }
  return RoundEnd::complete;
}

/// The numbers that go on: the better half, and number 0.
std::vector<int> survivors(std::vector<TrialScore> scores) {
  std::stable_sort(scores.begin(), scores.end(), better);
  const std::size_t half = (scores.size() + 1) / 2;
  std::vector<int> trials;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (i < half || scores[i].trial == 0) trials.push_back(scores[i].trial);
  std::sort(trials.begin(), trials.end());
  return trials;
}

/// One bracket of successive halving.
RoundEnd run_bracket(const Search& search, Bracket& bracket,
                     const std::function<void(const std::vector<TrialScore>&)>& observe) {
  std::vector<int> trials = bracket.trials;
  int rounds = 1;
  while ((std::size_t{1} << (rounds - 1)) < trials.size()) ++rounds;
  for (int round = 0; round < rounds; ++round) {
    const int iterations = std::max(1, search.iterations >> (rounds - 1 - round));
    std::vector<TrialScore> scores;
    for (const int trial : trials)
      scores.push_back({bracket.number, round, trial, iterations, 0.0, 0.0, joined(draw(search.options, trial))});
    const bool replayed = replay_round(bracket, scores);
    if (!replayed && run_round(search, scores) == RoundEnd::stopped) return RoundEnd::stopped;
    bracket.journal.insert(bracket.journal.end(), scores.begin(), scores.end());
    if (!replayed) {
      write_journal(search, bracket);
      observe(scores);
    }
    trials = survivors(std::move(scores));
  }
  if (bracket.replayed < bracket.earlier.size()) refuse_journal(bracket);
  return RoundEnd::complete;
}

/// The brackets of the search, or of its share, with the journals that are there.
std::vector<Bracket> brackets_of(const Search& search) {
  const TuneOptions& options = search.options;
  const int trials = options.trials.value_or(most_trials), count = (trials + kBracket - 1) / kBracket;
  if (options.shard.count > count)
    throw InputError(fmt::format("--shard: {} configurations are {} bracket{} of {}, which {} shares cannot share",
                                 trials, count, count == 1 ? "" : "s", kBracket, options.shard.count));
  std::vector<Bracket> brackets;
  for (int number = 0; number < count; ++number) {
    if (!options.shard.has(static_cast<std::size_t>(number))) continue;
    Bracket bracket{number, {}, options.folder / fmt::format("tune-{}.csv", number), {}, 0, {}};
    for (int i = number * kBracket; i < std::min((number + 1) * kBracket, trials); ++i) bracket.trials.push_back(i);
    read_journal(search, bracket);
    brackets.push_back(std::move(bracket));
  }
  return brackets;
}

/// The options that are searched, of every algorithm that has a search.
const std::map<std::string, std::vector<Dimension>>& search_spaces() {
  static const Dimension exploration = logarithmic("initial_std", 5, 60, " %");
  static const std::map<std::string, std::vector<Dimension>> spaces = {
      {"moto",
       {logarithmic("epsilon", 0.02, 0.3), logarithmic("beta0", 0.02, 0.3), exploration, {"gamma", {}, 0.2, 0.9}}},
      {"gps",
       {logarithmic("epsilon", 0.05, 2), logarithmic("beta0", 0.02, 0.3), exploration, {"prior", {"none", "gmm"}}}},
      {"ilqr", {{"initial_noise", {"3 %", "10 %", "30 %", "60 %"}}, logarithmic("cost_scale", 1e-3, 1e2)}},
      {"trpo",
       {logarithmic("epsilon", 0.003, 0.1), exploration, logarithmic("reward_scale", 1e-4, 1), {"lambda", {}, 0.9, 1}}},
      {"reps",
       {logarithmic("epsilon", 0.1, 2), logarithmic("search_epsilon", 0.1, 5), logarithmic("initial_std", 0.03, 1)}},
      {"more", {logarithmic("epsilon", 0.1, 2), logarithmic("beta0", 0.05, 1), logarithmic("initial_std", 0.03, 1)}},
      {"random_search", {logarithmic("step", 0.003, 0.3), logarithmic("spread", 0.003, 0.3)}},
  };
  return spaces;
}

}  // namespace

fs::path tuned_file(const TuneOptions& options) { return options.folder / (options.algorithm + ".toml"); }

bool has_search_space(const std::string& algorithm) { return search_spaces().contains(algorithm); }

std::vector<Dimension> search_space(const std::string& algorithm) {
  const std::map<std::string, std::vector<Dimension>>& spaces = search_spaces();
  static_cast<void>(find_algorithm(algorithm));
  const auto found = spaces.find(algorithm);
  if (found != spaces.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, space] : spaces) known.push_back(name);
  throw InputError(fmt::format("{} has no declared search; {} have one; kedge sweep searches what a file declares",
                               algorithm, list(known)));
}

bool better(const TrialScore& a, const TrialScore& b) {
  if (a.success != b.success) return a.success > b.success;
  if (a.value != b.value) return a.value > b.value;
  return a.trial < b.trial;
}

Tuning tune(const TuneOptions& options, const std::function<void(const std::vector<TrialScore>&)>& observe) {
  static_cast<void>(search_space(options.algorithm));
  const RunFile file = plan_run(request_of(options, {})).file;
  Search search{options, static_cast<int>(std::get<std::int64_t>(option_value(file.options, "iterations"))), {}};
  if (search.iterations < 1) throw InputError("iterations = 0, so that there is nothing to compare");
  search.title =
      fmt::format("# search {}\n", digest(fmt::format("{} {} {} {} {}", file.task_digest, options_digest(file),
                                                      search.iterations, options.seeds, options.seed)));
  std::vector<Bracket> brackets = brackets_of(search);
  require_own_results(options.folder, {tuned_file(options).filename().string()});
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) throw InputError(fmt::format("{}: cannot be created: {}", options.folder.string(), error.message()));
  for (const fs::path& output : {brackets.front().file, tuned_file(options)}) require_writable(output);
  Tuning result;
  for (Bracket& bracket : brackets) {
    const RoundEnd end = run_bracket(search, bracket, observe);
    result.scores.insert(result.scores.end(), bracket.journal.begin(), bracket.journal.end());
    if (end == RoundEnd::complete) continue;
    result.end = options.stop.stop_requested() ? Tuning::End::interrupted : Tuning::End::deadline;
    break;
  }
  int longest = 0;
  for (const TrialScore& s : result.scores) longest = std::max(longest, s.iterations);
  for (const TrialScore& s : result.scores) {
    if (s.iterations < longest) continue;
    if (!result.best || better(s, *result.best)) result.best = s;
    if (s.trial == 0) result.unchanged = s;
  }
  return result;
}

std::string tuned_options(const TuneOptions& options, const TrialScore& chosen, const std::string& comment) {
  const RunFile file = plan_run(request_of(options, draw(options, chosen.trial))).file;
  const Options defaults = find_algorithm(options.algorithm).options();
  std::string text;
  std::string_view rest = comment;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    text += fmt::format("# {}\n", line);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  for (std::size_t i = 0; i < defaults.size(); ++i)
    if (file.options[i].value != defaults[i].value)
      text += fmt::format("{} = {}\n", file.options[i].name, value_text(file.options[i].value));
  return text;
}

}  // namespace kedge
