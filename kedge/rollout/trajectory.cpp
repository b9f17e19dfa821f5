#include "kedge/rollout/trajectory.h"

namespace kedge {

Trajectory simulate(const Task& task, System& system, VectorIn x0, const ActionLaw& law) {
  const int T = task.horizon;
  Trajectory path{.x = MatrixXd::Zero(task.nx(), T + 1),
                  .a = MatrixXd::Zero(task.da(), T),
                  .y = MatrixXd::Zero(system.nsensor(), T + 1),
                  .cost = VectorXd::Zero(T + 1)};
  Episode episode(task, system);
  episode.reset(x0);
  for (int t = 0; episode.goes_on(); ++t) {
    path.x.col(t) = episode.state();
    law(t, path.x.col(t), path.a.col(t));
    const EpisodeStep& step = episode.step(path.a.col(t));
    path.y.col(t) = step.sensors;
    path.cost[t] = step.cost;
    if (step.diverged) path.a.col(t).setZero();
  }
  if (!episode.diverged()) {
    path.x.col(T) = episode.state();
    const EpisodeStep& last = episode.finish();
    path.y.col(T) = last.sensors;
    path.cost[T] = last.cost;
  }
  path.success = episode.success();
  if (episode.diverged()) {
    path.diverged_at = episode.time();
    path.why = episode.why();
  }
  return path;
}

}  // namespace kedge
