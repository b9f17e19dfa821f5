#include "kedge/tasks/demonstrate.h"

#include <cassert>

#include "kedge/mujoco/labels.h"
#include "kedge/rollout/rollout.h"
#include "kedge/system/demonstration.h"

namespace kedge {

namespace {

DemonstratedTerm describe(const CostTerm& term, int number, const Task& task, const Batch& batch) {
  DemonstratedTerm result;
  result.name = term.name;
  result.target = term.residual.target;
  const Index n = term.residual.target.size();
  VectorXd sum = VectorXd::Zero(n), squares = VectorXd::Zero(n), r(n), u(task.system->nu());
  int count = 0;
  const int end = !batch.usable(0) ? batch.diverged_at[0] : batch.end(0) >= 0 ? batch.end(0) : batch.horizon + 1;
  for (int t = 0; t < end; ++t) {
    if (!term.active[static_cast<std::size_t>(t)]) continue;
    ++count;
    result.cost += batch.terms(number, batch.at(0, t));
    if (term.residual.source == Source::sensor) continue;
    const VectorXd a = t < batch.horizon ? VectorXd(batch.action.col(batch.step(0, t))) : VectorXd::Zero(task.da());
    (void)task.control(a, u);
    residual(term.residual, batch.state.col(batch.at(0, t)), a, u, VectorXd(), r);
    r += term.residual.target;
    sum += r;
    squares += r.cwiseAbs2();
  }
  if (term.residual.source == Source::sensor || count == 0) return result;
  result.mean = sum / count;
  result.rms = (squares / count).cwiseSqrt();
  return result;
}

}  // namespace

TrajectoryNames trajectory_names(const Task& task) {
  TrajectoryNames names{{}, task.action_names};
  const MujocoSystem* system = mujoco_of(*task.system);
  if (system && system->nx() == task.nx())
    for (const Label& label : state_labels(*system)) names.state.push_back(label.text);
  return names;
}

DemonstrationReport demonstrate(const Task& task) {
  assert(task.demonstration);
  const Demonstration& shown = *task.demonstration;
  const Task played = shortened(task, shown.steps());
  const EpisodePlan playback{shown.state.col(0), [&](int t, VectorIn, VectorOut a) { a = shown.action.col(t); }};
  DemonstrationReport report;
  report.batch = *run_episodes(
      played, 1, [&](int, System&) { return playback; }, Run{});
  for (std::size_t i = 0; i < played.cost.size(); ++i)
    report.terms.push_back(describe(played.cost[i], static_cast<int>(i), played, report.batch));
  report.replay_error = replay_error(task, shown);
  return report;
}

}  // namespace kedge
