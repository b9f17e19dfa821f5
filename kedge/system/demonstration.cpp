#include "kedge/system/demonstration.h"

#include <limits>

namespace kedge {

namespace {

VectorXd within_limits(const Task& task, VectorIn a) { return a.cwiseMax(task.action_low).cwiseMin(task.action_high); }

/// The system's controls for an action within its limits. @param u [nu], out
void set_controls(const Task& task, VectorIn a, VectorOut u) {
  u.setZero();
  for (Index i = 0; i < task.da(); ++i) u[task.control_index[static_cast<std::size_t>(i)]] = a[i];
}

}  // namespace

Demonstration record(const Task& task, const Controller& controller, VectorIn start, int steps) {
  const auto system = task.system->clone();
  Demonstration shown{MatrixXd(task.nx(), steps + 1), MatrixXd(task.da(), steps)};
  shown.state.col(0) = start;
  system->reset(start);
  VectorXd a(task.da()), u(system->nu());
  int t = 0;
  for (; t < steps; ++t) {
    if (!controller(t, shown.state.col(t), a)) break;
    shown.action.col(t) = within_limits(task, a);
    set_controls(task, shown.action.col(t), u);
    if (!shown.action.col(t).allFinite() || !system->step(u)) break;
    system->state(shown.state.col(t + 1));
  }
  return {shown.state.leftCols(t + 1), shown.action.leftCols(t)};
}

double replay_error(const Task& task, const Demonstration& demonstration) {
  const auto system = task.system->clone();
  VectorXd u(system->nu()), next(task.nx());
  double error = 0.0;
  for (Index t = 0; t < demonstration.steps(); ++t) {
    system->reset(demonstration.state.col(t));
    set_controls(task, within_limits(task, demonstration.action.col(t)), u);
    if (!system->step(u)) return std::numeric_limits<double>::infinity();
    system->state(next);
    error = std::max(error, (next - demonstration.state.col(t + 1)).lpNorm<Eigen::Infinity>());
  }
  return error;
}

}  // namespace kedge
