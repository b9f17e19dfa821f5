#include "kedge/rollout/rollout.h"

#include <atomic>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/system/clones.h"

namespace kedge {

namespace {

/// Runs an episode as rollout n of the batch. @return entries of its actions that are beyond their limits
Index run_episode(Episode& episode, const EpisodePlan& plan, Batch& batch, int n) {
  Index limited = 0;
  const auto record_state = [&](int t) {
    batch.state.col(batch.at(n, t)) = episode.state();
    batch.observation.col(batch.at(n, t)) = episode.observation();
  };
  const auto record_cost = [&](int t, const EpisodeStep& step) {
    batch.terms.col(batch.at(n, t)) = step.terms;
    batch.cost(t, n) = step.cost;
    limited += step.limited;
  };

  episode.reset(plan.x0);
  for (int t = 0; t < batch.horizon && !episode.diverged(); ++t) {
    record_state(t);
    Eigen::Ref<VectorXd> a = batch.action.col(batch.step(n, t));
    plan.law(t, batch.observation.col(batch.at(n, t)), a);
    record_cost(t, episode.step(a));
    if (episode.diverged()) a.setZero();
  }
  if (!episode.diverged()) {
    record_state(batch.horizon);
    record_cost(batch.horizon, episode.finish());
  }
  batch.success[n] = episode.success();
  if (episode.diverged()) {
    batch.diverged_at[static_cast<std::size_t>(n)] = episode.time();
    batch.why_diverged[static_cast<std::size_t>(n)] = episode.why();
  }
  return limited;
}

}  // namespace

std::optional<Batch> rollout(const Task& task, const Policy& policy, const RolloutOptions& options, const Run& run) {
  require(policy.horizon() >= task.horizon, "policy horizon", policy.horizon(),
          fmt::format(">= {}", task.horizon).c_str());
  require(policy.observation_dim() == task.ds(), "policy observation size", policy.observation_dim(),
          fmt::format("{}", task.ds()).c_str());
  require(policy.action_dim() == task.da(), "policy action size", policy.action_dim(),
          fmt::format("{}", task.da()).c_str());
  require(options.first >= 0, "first rollout", options.first, ">= 0");
  const auto plan = [&](int n) {
    const std::uint32_t name = streams::training.rollout(options.first + n);
    Stream start(run.seed, options.iteration, name, streams::start_step);
    return EpisodePlan{sample_start(task.start, start), [&, name](int t, VectorIn s, VectorOut a) {
                         if (!options.explore) return policy.mean(t, s, a);
                         Stream noise(run.seed, options.iteration, name, streams::action_step(t));
                         policy.sample(t, s, noise, a);
                       }};
  };
  return run_episodes(task, options.rollouts, plan, run);
}

std::optional<Batch> run_episodes(const Task& task, int rollouts, const std::function<EpisodePlan(int n)>& plan,
                                  const Run& run) {
  require(rollouts >= 1, "rollouts", rollouts, ">= 1");
  require(run.threads >= 1, "threads", run.threads, ">= 1");
  Batch batch =
      empty_batch(rollouts, task.horizon, task.nx(), task.ds(), task.da(), static_cast<Index>(task.cost.size()));
  SystemClones clones(*task.system, run.threads);
  std::vector<Index> limited(static_cast<std::size_t>(rollouts), 0);
  std::atomic<bool> stopped = false;
  parallel_for(rollouts, run.threads, [&](Index i, int worker) {
    if (run.stop.stop_requested()) stopped = true;
    if (stopped) return;
    const int n = static_cast<int>(i);
    Episode episode(task, clones.of(worker));
    limited[static_cast<std::size_t>(n)] = run_episode(episode, plan(n), batch, n);
  });
  if (stopped) return std::nullopt;
  Index total = 0;
  for (const Index count : limited) total += count;
  batch.saturated = static_cast<double>(total) / static_cast<double>(task.da() * simulated_steps(batch));
  return batch;
}

std::optional<MatrixXd> batch_sensors(const Task& task, const Batch& batch, const Run& run) {
  MatrixXd y = MatrixXd::Zero(task.system->nsensor(), batch.state.cols());
  SystemClones clones(*task.system, run.threads);
  std::atomic<bool> stopped = false;
  parallel_for(batch.rollouts, run.threads, [&](Index i, int worker) {
    if (run.stop.stop_requested()) stopped = true;
    const int n = static_cast<int>(i);
    if (stopped || !batch.usable(n)) return;
    System& system = clones.of(worker);
    VectorXd u(system.nu());
    for (int t = 0; t <= batch.horizon; ++t) {
      system.reset(batch.state.col(batch.at(n, t)));
      if (t < batch.horizon) {
        static_cast<void>(task.control(batch.action.col(batch.step(n, t)), u));
        static_cast<void>(system.step(u));  // it did not diverge before
      } else {
        system.settle();
      }
      system.sensors(y.col(batch.at(n, t)));
    }
  });
  if (stopped) return std::nullopt;
  return y;
}

}  // namespace kedge
