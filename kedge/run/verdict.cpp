#include "kedge/run/verdict.h"

#include <algorithm>
#include <chrono>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/core/memory.h"
#include "kedge/rollout/episode.h"
#include "kedge/run/option_text.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr double kOperationsPerSecond = 1e10;  ///< of one core, in the regressions
constexpr double kSpare = 0.9;                 ///< share of the available memory that an iteration may take

bool sees_all(const Task& task) {
  for (Index i = 0; i < task.ds(); ++i)
    if (task.observation[static_cast<std::size_t>(i)] != i) return false;
  return task.ds() == task.nx();
}

}  // namespace

void observe_what_is_needed(const Algorithm& algorithm, const fs::path& file, TaskFile& task,
                            std::vector<Override>& overrides, const std::stop_token& stop) {
  if (!algorithm.full_state || sees_all(task.task)) return;
  overrides.emplace_back("observation.parts", task.whole_state);
  task = load_task(file, overrides, stop);
}

double seconds_per_step(const Task& task) {
  using Clock = std::chrono::steady_clock;
  const auto system = task.system->clone();
  const VectorXd a = task.resting_action();
  double fastest = 1.0;
  Episode episode(task, *system);
  const Clock::time_point begin = Clock::now();
  for (int n = 0; n < 50 && Clock::now() - begin < std::chrono::milliseconds(200); ++n) {
    episode.reset(task.start.mean);
    const Clock::time_point before = Clock::now();
    int steps = 0;
    while (steps < 10 && episode.goes_on()) episode.step(a), ++steps;
    fastest = std::min(fastest, std::chrono::duration<double>(Clock::now() - before).count() / std::max(1, steps));
  }
  return fastest;
}

double seconds_of(const Needs& needs, double per_step, int threads) {
  return (needs.steps * per_step + needs.operations / kOperationsPerSecond) / threads;
}

void require_memory(const std::string& algorithm, const Needs& needs) {
  const double there = available_memory();
  if (needs.bytes <= kSpare * there) return;
  throw InputError(
      fmt::format("{} needs about {} of memory for this task and its options{}, but {} are available: observe "
                  "fewer numbers, make fewer rollouts or use fewer threads",
                  algorithm, memory_text(needs.bytes), needs.notes.empty() ? "" : " (" + needs.notes.front() + ")",
                  memory_text(there)));
}

Options options_beside(const Algorithm& algorithm, const fs::path& file) {
  Options options = algorithm.options();
  const fs::path beside = file.parent_path() / fmt::format("{}.toml", algorithm.name);
  if (fs::exists(beside) && !fs::equivalent(beside, file)) read_options(options, beside);
  return options;
}

Verdict verdict(const Algorithm& algorithm, const Options& options, const Candidate& candidate, double per_step) {
  Verdict verdict;
  verdict.algorithm = algorithm.name;
  try {
    TaskFile seen = candidate.task;
    std::vector<Override> overrides = candidate.overrides;
    observe_what_is_needed(algorithm, candidate.file, seen, overrides, {});
    verdict.needs = algorithm.needs(seen.task, options, candidate.threads);
    require_memory(algorithm.name, verdict.needs);
    static_cast<void>(algorithm.start(seen.task, options));
    verdict.seconds = seconds_of(verdict.needs, per_step, candidate.threads);
  } catch (const InputError& e) {
    verdict.refusal = e.what();
  }
  return verdict;
}

}  // namespace kedge
