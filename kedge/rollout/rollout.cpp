#include "kedge/rollout/rollout.h"

#include <algorithm>
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
  if (episode.diverged()) record_state(0);
  for (int t = 0; episode.goes_on(); ++t) {
    record_state(t);
    Eigen::Ref<VectorXd> a = batch.action.col(batch.step(n, t));
    plan.law(t, batch.observation.col(batch.at(n, t)), a);
    record_cost(t, episode.step(a));
    if (episode.diverged()) a.setZero();
  }
  if (!episode.diverged()) {
    record_state(episode.time());
    record_cost(episode.time(), episode.finish());
    if (episode.ended()) batch.ended_at[static_cast<std::size_t>(n)] = episode.time();
    for (int t = episode.time() + 1; t <= batch.horizon; ++t) record_state(t);  // it stays there
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
  const auto plan = [&](int n, System& system) {
    VectorXd x0 = start_of_rollout(task, run.seed, options.iteration, options.first + n);
    const std::shared_ptr<const Policy> own = policy.for_episode(x0, [&] { return inverse_dynamics(task, system); });
    const Policy& chosen = own ? *own : policy;
    const std::uint32_t name = streams::training.rollout(options.first + n);
    return EpisodePlan{std::move(x0), [&run, &options, &chosen, own, name](int t, VectorIn s, VectorOut a) {
                         if (!options.explore) return chosen.mean(t, s, a);
                         Stream noise(run.seed, options.iteration, name, streams::action_step(t));
                         chosen.sample(t, s, noise, a);
                       }};
  };
  return run_episodes(task, options.rollouts, plan, run);
}

std::optional<Batch> run_episodes(const Task& task, int rollouts,
                                  const std::function<EpisodePlan(int n, System& system)>& plan, const Run& run) {
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
    System& system = clones.of(worker);
    const EpisodePlan planned = plan(n, system);
    Episode episode(task, system);
    limited[static_cast<std::size_t>(n)] = run_episode(episode, planned, batch, n);
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
    for (int t = 0; t <= batch.steps(n); ++t) {
      system.reset(batch.state.col(batch.at(n, t)));
      if (t < batch.steps(n)) {
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

VectorXd start_of_rollout(const Task& task, std::uint64_t seed, std::uint32_t iteration, int n) {
  Stream start(seed, iteration, streams::training.rollout(n), streams::start_step);
  return sample_start(task.start, start);
}

std::vector<Drive> driven(const Task& task) {
  std::vector<Drive> coordinates;
  const std::vector<Drive> drives = task.system->drives();
  for (Index i = 0; i < task.da(); ++i) {
    const Index control = task.control_index[static_cast<std::size_t>(i)];
    const auto drive = std::ranges::find(drives, control, &Drive::control);
    if (drive == drives.end() || driver_of(task, control) != i) return {};
    coordinates.push_back(*drive);
  }
  return coordinates;
}

InverseDynamics inverse_dynamics(const Task& task, System& system) {
  const std::vector<Drive> actions = driven(task), all = task.system->drives();
  if (actions.empty()) return {};
  std::vector<Index> place;  // of each action among all drives
  for (const Drive& drive : actions)
    place.push_back(std::ranges::find(all, drive.control, &Drive::control) - all.begin());
  const auto n = static_cast<Index>(all.size());
  return [&task, &system, actions, place, x = task.start.mean, acceleration = VectorXd(n), u = VectorXd(n),
          M = MatrixXd(n, n)](VectorIn q, VectorIn qd, VectorIn qdd, VectorOut a, MatrixOut inertia) mutable {
    acceleration.setZero();
    for (std::size_t i = 0; i < actions.size(); ++i) {
      x[actions[i].position] = q[static_cast<Index>(i)];
      x[actions[i].velocity] = qd[static_cast<Index>(i)];
      acceleration[place[i]] = qdd[static_cast<Index>(i)];
    }
    if (!system.inverse_dynamics(x, acceleration, u, M)) {
      u.setConstant(std::numeric_limits<double>::quiet_NaN());
      M.setConstant(std::numeric_limits<double>::quiet_NaN());
    }
    a = u(place);
    inertia = M(place, place);
  };
}

}  // namespace kedge
