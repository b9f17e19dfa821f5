#include "kedge/rollout/trajectory.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/rollout/success_meter.h"

namespace kedge {

Trajectory simulate(const Task& task, System& system, VectorIn x0, const ActionLaw& law) {
  const int T = task.horizon;
  Trajectory path{MatrixXd::Zero(task.nx(), T + 1),         MatrixXd::Zero(task.da(), T),
                  MatrixXd::Zero(system.nsensor(), T + 1),  VectorXd::Zero(T + 1),
                  std::numeric_limits<double>::quiet_NaN(), -1};
  VectorXd u = VectorXd::Zero(system.nu());
  SuccessMeter success(task);
  /// Cost of step t. @return false if it is not finite
  const auto record_cost = [&](int t, VectorIn a) {
    const auto x = path.x.col(t);
    const auto y = path.y.col(t);
    for (const CostTerm& term : task.cost)
      if (term.active[static_cast<std::size_t>(t)]) path.cost[t] += term_value(term, x, a, u, y);
    success.add(t, x, a, u, y);
    return std::isfinite(path.cost[t]);
  };
  const auto diverge = [&](int t) {
    path.cost[t] = 0.0;
    if (t < T) path.a.col(t).setZero();
    path.y.col(t).setZero();
    path.diverged_at = t;
    return path;
  };

  system.reset(x0);
  for (int t = 0; t < T; ++t) {
    system.state(path.x.col(t));
    auto a = path.a.col(t);
    law(t, path.x.col(t), a);
    for (Index i = 0; i < task.da(); ++i)
      u[task.control_index[static_cast<std::size_t>(i)]] = std::clamp(a[i], task.action_low[i], task.action_high[i]);
    if (!a.allFinite() || !system.step(u)) return diverge(t);
    system.sensors(path.y.col(t));
    if (!record_cost(t, a)) return diverge(t);
  }
  system.state(path.x.col(T));
  system.settle();
  system.sensors(path.y.col(T));
  u.setZero();
  if (!record_cost(T, VectorXd())) return diverge(T);
  path.success = success.value();
  return path;
}

}  // namespace kedge
