#include "kedge/evaluation/cost_expansion.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/linear_dynamics.h"

namespace kedge {

namespace {

/// Position of state entry i among the observations; -1: not observed.
Index observed_at(const Task& task, Index i) {
  const auto found = std::find(task.observation.begin(), task.observation.end(), i);
  return found == task.observation.end() ? -1 : found - task.observation.begin();
}

/// Residuals at z and their derivative, r(z) = r + J (z - mean).
struct Linearised {
  VectorXd r;  ///< [residuals]
  MatrixXd J;  ///< [residuals, z]
};

Linearised linearise(const Task& task, const Residual& spec, const VectorXd& z) {
  const auto entries = static_cast<Index>(spec.index.size());
  VectorXd value = VectorXd::Zero(entries);
  MatrixXd derivative = MatrixXd::Zero(entries, z.size());
  for (Index j = 0; j < entries; ++j) {
    const Index i = spec.index[static_cast<std::size_t>(j)];
    Index column = -1;
    switch (spec.source) {
      case Source::state: column = observed_at(task, i); break;
      case Source::action: column = task.ds() + i; break;
      case Source::control: {
        const Index action = driver_of(task, i);
        if (action >= 0) column = task.ds() + action;
        break;
      }
      case Source::sensor: break;
    }
    if (column < 0) continue;
    value[j] = z[column];
    derivative(j, column) = 1.0;
    if (spec.source != Source::control) continue;
    const Index action = column - task.ds();
    value[j] = task.limited(action, z[column]);
    if (value[j] != z[column]) derivative(j, column) = 0.0;
  }
  if (spec.matrix.size() == 0) return {value - spec.target, derivative};
  return {spec.matrix * value - spec.target, spec.matrix * derivative};
}

}  // namespace

NormExpansion expand_norm(const CostTerm& term, double r, double variance) {
  switch (term.norm) {
    case Norm::quadratic: return {r * r, 2.0 * r, 2.0};
    case Norm::smooth: {
      const double rho = std::hypot(r, term.width), share = term.width / rho;
      return {rho - term.width, r / rho, share * share / rho};
    }
    case Norm::absolute: break;
  }
  const double std = std::sqrt(variance);
  if (!(std > 0.0)) return {std::abs(r), static_cast<double>((r > 0) - (r < 0)), 0.0};
  const double u = r / std, density = std::exp(-0.5 * u * u) / std::sqrt(2.0 * std::numbers::pi);
  const double slope = std::erf(u / std::numbers::sqrt2), curvature = 2.0 * density / std;
  return {r * slope + 2.0 * std * density - 0.5 * curvature * variance, slope, curvature};
}

void require_expandable(const Task& task) {
  for (const CostTerm& term : task.cost) {
    const auto refuse = [&](const std::string& what) {
      throw InputError(
          fmt::format("task {}: cost {} reads {}, but a quadratic model of it needs observed state entries, actions or "
                      "controls",
                      task.name, term.name, what));
    };
    if (term.residual.source == Source::sensor) refuse("sensors");
    if (term.residual.source != Source::state) continue;
    for (const Index i : term.residual.index)
      if (observed_at(task, i) < 0) refuse(fmt::format("state entry {}, which is not observed", i));
  }
}

Quadratic cost_expansion(const Task& task, int t, const Moments& z) {
  const Index n = z.mean.size();
  Quadratic q{0.0, VectorXd::Zero(n), MatrixXd::Zero(n, n)};
  for (const CostTerm& term : task.cost) {
    if (!term.active[static_cast<std::size_t>(t)]) continue;
    const auto [r, J] = linearise(task, term.residual, z.mean);
    for (Index j = 0; j < r.size(); ++j) {
      const VectorXd direction = J.row(j).transpose();
      const double variance = std::max(0.0, direction.dot(z.cov * direction)), at = direction.dot(z.mean);
      const NormExpansion p = expand_norm(term, r[j], variance);
      const double w = term.weight[j];
      q.c += w * (p.value - p.slope * at + 0.5 * p.curvature * at * at);
      q.g += w * (p.slope - p.curvature * at) * direction;
      q.H += w * p.curvature * direction * direction.transpose();
    }
  }
  return q;
}

std::vector<Quadratic> cost_expansions(const Task& task, const Batch& batch, int threads) {
  const MatrixXd joint = joint_samples(batch);
  const Index n = task.ds() + task.da(), usable = usable_rollouts(batch);
  std::vector<Quadratic> costs(static_cast<std::size_t>(task.horizon) + 1);
  parallel_for(task.horizon + 1, threads, [&](Index t) {
    const MatrixXd z = t < task.horizon ? MatrixXd(joint.block(0, t * usable, n, usable))
                                        : observations_at(batch, static_cast<int>(t));
    costs[static_cast<std::size_t>(t)] = cost_expansion(task, static_cast<int>(t), sample_moments(z));
  });
  return costs;
}

}  // namespace kedge
