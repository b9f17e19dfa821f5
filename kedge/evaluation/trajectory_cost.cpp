#include "kedge/evaluation/trajectory_cost.h"

#include <algorithm>

#include "kedge/core/errors.h"
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
  if (spec.quaternion) {
    const double sign = quaternion_sign(value, spec.target);
    value *= sign;
    by_x *= sign;
    by_u *= sign;
  }
  const bool plain = spec.matrix.size() == 0;
  VectorXd r = (plain ? value : VectorXd(spec.matrix * value)) - spec.target;
  if (spec.angle) wrap(r);
  if (plain) return {std::move(r), std::move(by_x), std::move(by_u)};
  return {std::move(r), spec.matrix * by_x, spec.matrix * by_u};
}

void add(const Step& step, const CostTerm& term, StageCost& q) {
  const auto [r, r_x, r_u] = model(step, term.residual);
  if (term.norm == Norm::distance) {
    const DistanceExpansion d = expand_distance(term, r, 0.0);
    q.c += d.value;
    q.gx += r_x.transpose() * d.slope;
    q.gu += r_u.transpose() * d.slope;
    q.Hxx += r_x.transpose() * d.curvature * r_x;
    q.Hux += r_u.transpose() * d.curvature * r_x;
    q.Huu += r_u.transpose() * d.curvature * r_u;
    return;
  }
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

namespace {

/// Is the term's model curved by this action?
bool curved_by(const Task& task, const CostTerm& term, Index action) {
  const Residual& r = term.residual;
  if (term.norm == Norm::absolute || (r.source != Source::action && r.source != Source::control)) return false;
  for (std::size_t j = 0; j < r.index.size(); ++j) {
    const Index entry = r.source == Source::action ? r.index[j] : driver_of(task, r.index[j]);
    if (entry != action) continue;
    const auto column = static_cast<Index>(j);
    const VectorXd by = r.matrix.size() > 0 ? VectorXd(r.matrix.col(column))
                                            : VectorXd(VectorXd::Unit(static_cast<Index>(r.index.size()), column));
    if ((by.array().square() * term.weight.array() > 0).any()) return true;
  }
  return false;
}

/// Is the term's model curved by states?
bool curved_by_states(const CostTerm& term) {
  return term.norm != Norm::absolute && (term.weight.array() > 0).any() &&
         (term.residual.source == Source::state || term.residual.source == Source::sensor);
}

}  // namespace

void require_action_costs(const Task& task, bool within_limits) {
  const auto T = static_cast<std::size_t>(task.horizon);
  const auto counts = [&](std::size_t t, const auto& curved) {
    return std::any_of(task.cost.begin(), task.cost.end(),
                       [&](const CostTerm& term) { return term.active[t] && curved(term); });
  };
  const bool final_cost = counts(T, curved_by_states);
  for (Index i = 0; i < task.da(); ++i) {
    const std::string& name = task.action_names[static_cast<std::size_t>(i)];
    const auto by_action = [&](const CostTerm& term) { return curved_by(task, term, i); };
    bool ever = false;
    for (std::size_t t = 0; t < T; ++t) ever = ever || counts(t, by_action);
    const std::string add =
        fmt::format("add a [[cost]] with of = \"action:{}\", quadratic or smooth, at all steps", name);
    if (!ever && !within_limits)
      throw InputError(
          fmt::format("task {}: no cost is curved by the action \"{}\", but the quadratic model of the cost "
                      "must be: {}",
                      task.name, name, add));
    if (!counts(T - 1, by_action) && !final_cost)
      throw InputError(
          fmt::format("task {}: at the last step, {}, no cost is curved by the action \"{}\", nor any by the "
                      "final state: {}, or a cost of the state at \"final\"",
                      task.name, T - 1, name, add));
  }
}

}  // namespace kedge
