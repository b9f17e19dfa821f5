#include "kedge/pages/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/metrics_file.h"
#include "kedge/run/run_directory.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr int kFramed = 16;  ///< rollouts that the camera is chosen by

struct Kept {
  std::vector<KeptPolicy> all;  ///< by iterations, the last one is that of policy.h5
  int best = 0;                 ///< entry with the highest mean return while training
};

Kept kept_by_run(const fs::path& directory) {
  Kept kept{kept_policies(directory)};
  // The policy after n iterations made the rollouts of iteration n.
  const MetricsTable metrics = read_metrics(directory / "metrics.csv");
  const int iteration = metrics.column("iteration"), mean = metrics.column("return_mean");
  kept.best = static_cast<int>(kept.all.size()) - 1;
  if (iteration < 0 || mean < 0) return kept;
  double highest = -std::numeric_limits<double>::infinity();
  for (const std::vector<double>& row : metrics.rows)
    for (std::size_t i = 0; i < kept.all.size(); ++i)
      if (kept.all[i].iterations == static_cast<int>(row[iteration]) && row[mean] > highest) {
        highest = row[mean];
        kept.best = static_cast<int>(i);
      }
  return kept;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text + ",");
  for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
  return words;
}

/// Returns the entry of `kept.all` after as many iterations as `word` says.
int entry_after(const Kept& kept, const std::string& word, const std::string& text) {
  int number = -1;
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc() || rest != end)
    throw InputError(fmt::format("--iterations = {}, but must be first, best, last, all or numbers, separated by ,",
                                 one_line(text, 60)));
  const auto found = std::ranges::find(kept.all, number, &KeptPolicy::iterations);
  if (found != kept.all.end()) return static_cast<int>(found - kept.all.begin());
  std::vector<std::string> numbers;
  for (const KeptPolicy& policy : kept.all) numbers.push_back(fmt::format("{}", policy.iterations));
  throw InputError(fmt::format("--iterations = {}, but the run keeps the policies after {} iterations", number,
                               fmt::join(numbers, ", ")));
}

/// Returns the entries of `kept.all` that a text names.
std::set<int> choose(const Kept& kept, const std::string& text) {
  const int last = static_cast<int>(kept.all.size()) - 1;
  std::set<int> chosen;
  if (text.empty()) {
    chosen = {0, kept.best, last};
    for (int i = 1; i <= 3; ++i) chosen.insert(static_cast<int>(std::lround(i * last / 4.0)));
    return chosen;
  }
  for (const std::string& word : split(text)) {
    if (word == "all")
      for (int i = 0; i <= last; ++i) chosen.insert(i);
    else
      chosen.insert(word == "first"  ? 0
                    : word == "best" ? kept.best
                    : word == "last" ? last
                                     : entry_after(kept, word, text));
  }
  return chosen;
}

PolicyFile policy_for(const Task& task, const FileName& file) {
  return for_task(task, load_policy(file), file.string());
}

/// @param deterministic  out: without noise, because it was asked for or the policy's is not meant
ReplayedPolicy run_policy(const Task& task, PolicyFile file, const ReplayOptions& options, bool& deterministic) {
  ReplayedPolicy replayed;
  replayed.policy = std::move(file.policy);
  deterministic = options.deterministic || (!file.info.noise_meant && !options.noise);
  Run run;
  run.seed = options.seed;
  run.threads = options.threads;
  replayed.evaluation =
      *evaluate(task, as_policy(replayed.policy),
                {.rollouts = std::max(options.rollouts, options.shown), .deterministic = deterministic}, run);
  replayed.reference =
      evaluate(task, as_policy(replayed.policy), {.rollouts = 1, .deterministic = true}, run)->batch.state;
  return replayed;
}

/// Returns why the browser cannot simulate a task; "" if it can.
std::string why_not_playable(const TaskFile& task) {
  if (!dynamic_cast<const MujocoSystem*>(task.task.system.get()))
    return fmt::format(
        "task {}: cannot be played in the browser, which knows MuJoCo but not the task's [world], "
        "nor after: and change: in its costs; without --play its rollouts are shown",
        task.task.name);
  if (task.task.observes_sensors())
    return fmt::format(
        "--play: the policy of task {} sees sensors, sites or bodies, which the page has too late; leave --play out",
        task.task.name);
  return "";
}

}  // namespace

const MujocoSystem& shown_system(const TaskFile& task) {
  const MujocoSystem* system = mujoco_of(*task.task.system);
  if (!system)
    throw InputError(fmt::format("task {}: has no MuJoCo model, so there is nothing to show", task.task.name));
  return *system;
}

void require_playable(const TaskFile& task) {
  if (const std::string why = why_not_playable(task); !why.empty()) throw InputError(why);
}

bool is_playable(const TaskFile& task) { return why_not_playable(task).empty(); }

int recorded_steps(const Batch& batch, int n) {
  const int diverged = batch.diverged_at[static_cast<std::size_t>(n)];
  return diverged < 0 ? batch.steps(n) : std::min(diverged, batch.horizon);
}

Motion motion_of(const MujocoSystem& system, const Batch& batch, int n) {
  return body_poses(system, batch.state.middleCols(batch.at(n, 0), recorded_steps(batch, n) + 1));
}

namespace {

void run_policies(Replay& replay, const ReplayOptions& options) {
  const Subject& subject = replay.subject;
  if (!subject.is_run) {
    if (!options.iterations.empty())
      throw InputError(fmt::format("--iterations: {} is one policy; only runs have several", subject.name));
    replay.policies.push_back(run_policy(subject.task.task, policy_for(subject.task.task, subject.policy_file), options,
                                         replay.deterministic));
    return;
  }
  const Kept kept = kept_by_run(subject.run_directory);
  const int last = static_cast<int>(kept.all.size()) - 1;
  for (const int i : choose(kept, options.iterations)) {
    const KeptPolicy& policy = kept.all[static_cast<std::size_t>(i)];
    ReplayedPolicy& added = replay.policies.emplace_back(
        run_policy(subject.task.task, policy_for(subject.task.task, policy.file), options, replay.deterministic));
    added.iterations = policy.iterations;
    if (i == 0 && policy.iterations == 0) added.names.emplace_back("first");
    if (i == kept.best) added.names.emplace_back("best");
    if (i == last) added.names.emplace_back("last");
  }
}

}  // namespace

Replay make_replay(const Subject& subject, const ReplayOptions& options) {
  require(options.shown >= 1, "rollouts", options.shown, ">= 1");
  const MujocoSystem& system = shown_system(subject.task);
  Replay replay;
  replay.subject = subject;
  replay.shown = options.shown;
  replay.seed = options.seed;
  replay.title =
      fs::absolute(subject.is_run ? subject.run_directory : subject.policy_file.path()).lexically_normal().filename();
  replay.scene = scene(system);
  const int camera = find_camera(replay.scene, options.camera);
  run_policies(replay, options);
  std::vector<Motion> motions;
  for (int n = 0; n < std::min(options.shown, kFramed); ++n)
    motions.push_back(motion_of(system, replay.policies.back().evaluation.batch, n));
  replay.framing = frame_motion(replay.scene, motions, camera);
  return replay;
}

}  // namespace kedge
