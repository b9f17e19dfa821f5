#include "kedge/evaluation/trajectory_cost.h"

#include "kedge/core/parallel.h"
#include "kedge/evaluation/cost_expansion.h"

namespace kedge {

namespace {

/// The residuals r of a step, r_x = dr/dx and r_u = dr/du.
struct ResidualModel {
  VectorXd r;    ///< [n]
  MatrixXd r_x;  ///< [n, ndx]
  MatrixXd r_u;  ///< [n, da]
};

/// One step of the trajectory.
struct Step {
  const Task& task;
  VectorXd x, a, y;
  const MatrixXd& G;  ///< tangent map at x
  const MatrixXd& C;  ///< of the sensors
  const MatrixXd& D;
};

ResidualModel model(const Step& step, const Residual& spec) {
  const Task& task = step.task;
  const auto entries = static_cast<Index>(spec.index.size());
  const Index ndx = step.G.cols(), da = task.da();
  VectorXd value = VectorXd::Zero(entries);
  MatrixXd by_x = MatrixXd::Zero(entries, ndx), by_u = MatrixXd::Zero(entries, da);
  for (Index j = 0; j < entries; ++j) {
    const Index i = spec.index[static_cast<std::size_t>(j)];
    switch (spec.source) {
      case Source::state:
        value[j] = step.x[i];
        by_x.row(j) = step.G.row(i);
        break;
      case Source::action:
        value[j] = step.a[i];
        by_u(j, i) = 1.0;
        break;
      case Source::control: {
        const Index driver = driver_of(task, i);
        if (driver < 0) break;
        value[j] = task.limited(driver, step.a[driver]);
        by_u(j, driver) = value[j] == step.a[driver] ? 1.0 : 0.0;
        break;
      }
      case Source::sensor:
        value[j] = step.y[i];
        by_x.row(j) = step.C.row(i);
        if (step.D.size() > 0) by_u.row(j) = step.D.row(i);
        break;
    }
  }
  if (spec.matrix.size() == 0) return {value - spec.target, by_x, by_u};
  return {spec.matrix * value - spec.target, spec.matrix * by_x, spec.matrix * by_u};
}

void add(const Step& step, const CostTerm& term, StageCost& q) {
  const auto [r, r_x, r_u] = model(step, term.residual);
  for (Index j = 0; j < r.size(); ++j) {
    const NormExpansion norm = expand_norm(term, r[j], 0.0);
    const double w = term.weight[j], slope = w * norm.slope, curvature = w * norm.curvature;
    q.c += w * norm.value;
    q.gx += slope * r_x.row(j).transpose();
    q.gu += slope * r_u.row(j).transpose();
    q.Hxx += curvature * r_x.row(j).transpose() * r_x.row(j);
    q.Hux += curvature * r_u.row(j).transpose() * r_x.row(j);
    q.Huu += curvature * r_u.row(j).transpose() * r_u.row(j);
  }
}

}  // namespace

std::vector<StageCost> trajectory_cost(const Task& task, MatrixIn x, MatrixIn a, MatrixIn y, const Linearisation& lin,
                                       int threads) {
  const Index T = a.cols();
  const std::vector<MatrixXd> G = tangent_maps(*task.system, x);
  std::vector<StageCost> costs(static_cast<std::size_t>(T) + 1, StageCost::zero(task.system->ndx(), task.da()));
  const MatrixXd no_action;
  parallel_for(T + 1, threads, [&](Index time) {
    const auto t = static_cast<std::size_t>(time);
    const Step step{task,
                    x.col(time),
                    time < T ? VectorXd(a.col(time)) : VectorXd(),
                    y.col(time),
                    G[t],
                    lin.C[t],
                    time < T ? lin.D[t] : no_action};
    for (const CostTerm& term : task.cost)
      if (term.active[t]) add(step, term, costs[t]);
  });
  return costs;
}

}  // namespace kedge
