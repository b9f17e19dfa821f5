#include "kedge/rollout/rollout.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/rollout/success_meter.h"

namespace kedge {

namespace {

/// One worker: its simulator and its scratch. Nothing of one rollout reaches the next.
struct Worker {
  std::unique_ptr<System> system;
  VectorXd x, u, y;
};

void simulate(const Task& task, const Policy& policy, const RolloutOptions& options, std::uint64_t seed, int n,
              Worker& w, Batch& batch, Index& saturated) {
  const auto name = static_cast<std::uint32_t>(n);
  Stream start(seed, options.iteration, name, streams::start_step);
  w.system->reset(sample_start(task.start, start));
  w.u.setZero();
  const Eigen::Ref<const VectorXd> u = w.u, y = w.y;  // made once: making them costs as much as a small cost term

  const auto record_state = [&](int t) {
    const Index col = batch.at(n, t);
    w.system->state(batch.state.col(col));
    for (std::size_t i = 0; i < task.observation.size(); ++i)
      batch.observation(static_cast<Index>(i), col) = batch.state(task.observation[i], col);
  };
  SuccessMeter success(task);
  const auto record_cost = [&](int t, VectorIn a) {
    const Index col = batch.at(n, t);
    const Eigen::Ref<const VectorXd> x = batch.state.col(col);
    double sum = 0.0;
    bool finite = true;  // every term, also those that are not active now: regressions at other steps read them
    for (std::size_t i = 0; i < task.cost.size(); ++i) {
      const CostTerm& term = task.cost[i];
      const bool defined = t < task.horizon || !term.residual.needs_action;
      const double value = defined ? term_value(term, x, a, u, y) : 0.0;
      batch.terms(static_cast<Index>(i), col) = value;
      finite = finite && std::isfinite(value);
      if (term.active[static_cast<std::size_t>(t)]) sum += value;
    }
    batch.cost(t, n) = sum;
    success.add(t, x, a, u, y);
    return finite && std::isfinite(sum);
  };

  for (int t = 0; t < task.horizon; ++t) {
    record_state(t);
    const Eigen::Ref<const VectorXd> s = batch.observation.col(batch.at(n, t));
    Eigen::Ref<VectorXd> a = batch.action.col(batch.step(n, t));
    if (options.explore) {
      Stream noise(seed, options.iteration, name, streams::action_step(t));
      policy.sample(t, s, noise, a);
    } else {
      policy.mean(t, s, a);
    }
    for (Index i = 0; i < task.da(); ++i) {
      const double limited = std::clamp(a[i], task.action_low[i], task.action_high[i]);
      saturated += limited != a[i];
      w.u[task.control_index[static_cast<std::size_t>(i)]] = limited;
    }
    const bool moved = a.allFinite() && w.system->step(u);
    w.system->sensors(w.y);
    if (!moved || !record_cost(t, a)) {
      batch.diverged_at[static_cast<std::size_t>(n)] = t;
      batch.action.col(batch.step(n, t)).setZero();
      batch.terms.col(batch.at(n, t)).setZero();
      batch.cost(t, n) = 0.0;
      return;
    }
  }
  record_state(task.horizon);
  w.system->settle();
  w.system->sensors(w.y);
  w.u.setZero();
  if (!record_cost(task.horizon, VectorXd())) {
    batch.diverged_at[static_cast<std::size_t>(n)] = task.horizon;
    batch.terms.col(batch.at(n, task.horizon)).setZero();
    batch.cost(task.horizon, n) = 0.0;
    return;
  }
  batch.success[n] = success.value();
}

}  // namespace

std::optional<Batch> rollout(const Task& task, const Policy& policy, const RolloutOptions& options, const Run& run) {
  require(options.rollouts >= 1, "rollouts", options.rollouts, ">= 1");
  require(run.threads >= 1, "threads", run.threads, ">= 1");
  require(policy.horizon() >= task.horizon, "policy horizon", policy.horizon(),
          fmt::format(">= {}", task.horizon).c_str());
  require(policy.observation_dim() == task.ds(), "policy observation size", policy.observation_dim(),
          fmt::format("{}", task.ds()).c_str());
  require(policy.action_dim() == task.da(), "policy action size", policy.action_dim(),
          fmt::format("{}", task.da()).c_str());

  const int N = options.rollouts, T = task.horizon;
  Batch batch;
  batch.rollouts = N;
  batch.horizon = T;
  const Index states = Index{N} * (T + 1), steps = Index{N} * T;
  batch.state = MatrixXd::Zero(task.nx(), states);
  batch.observation = MatrixXd::Zero(task.ds(), states);
  batch.action = MatrixXd::Zero(task.da(), steps);
  batch.terms = MatrixXd::Zero(static_cast<Index>(task.cost.size()), states);
  batch.cost = MatrixXd::Zero(T + 1, N);
  batch.success = VectorXd::Constant(N, std::numeric_limits<double>::quiet_NaN());
  batch.diverged_at.assign(static_cast<std::size_t>(N), -1);

  std::vector<Worker> workers(static_cast<std::size_t>(run.threads));
  std::vector<Index> saturated(static_cast<std::size_t>(N), 0);
  std::atomic<bool> stopped = false;
  parallel_for(N, run.threads, [&](Index n, int worker) {
    if (run.stop.stop_requested()) stopped = true;
    if (stopped) return;
    Worker& w = workers[static_cast<std::size_t>(worker)];
    if (!w.system)
      w = {task.system->clone(), VectorXd(task.nx()), VectorXd::Zero(task.system->nu()),
           VectorXd(task.system->nsensor())};
    simulate(task, policy, options, run.seed, static_cast<int>(n), w, batch, saturated[static_cast<std::size_t>(n)]);
  });
  if (stopped) return std::nullopt;

  Index total = 0, commanded = 0;
  for (std::size_t n = 0; n < saturated.size(); ++n) {
    total += saturated[n];
    commanded += task.da() * (batch.diverged_at[n] < 0 ? T : std::min(batch.diverged_at[n] + 1, T));
  }
  batch.saturated = static_cast<double>(total) / static_cast<double>(commanded);
  return batch;
}

}  // namespace kedge
