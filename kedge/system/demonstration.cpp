#include "kedge/system/demonstration.h"

#include <limits>

namespace kedge {

Demonstration record(const Task& task, const DemonstrationLaw& controller, VectorIn start, int steps) {
  const auto system = task.system->clone();
  Demonstration shown{MatrixXd(task.nx(), steps + 1), MatrixXd(task.da(), steps)};
  shown.state.col(0) = start;
  system->reset(start);
  VectorXd a(task.da()), u(system->nu());
  int t = 0;
  for (; t < steps; ++t) {
    if (!controller(t, shown.state.col(t), a)) break;
    for (Index i = 0; i < a.size(); ++i) a[i] = task.limited(i, a[i]);
    shown.action.col(t) = a;
    (void)task.control(a, u);
    if (!a.allFinite() || !system->step(u)) break;
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
    (void)task.control(demonstration.action.col(t), u);
    if (!system->step(u)) return std::numeric_limits<double>::infinity();
    system->state(next);
    error = std::max(error, (next - demonstration.state.col(t + 1)).lpNorm<Eigen::Infinity>());
  }
  return error;
}

}  // namespace kedge
