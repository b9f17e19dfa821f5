#include "kedge/evaluation/cost_expansion.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/linear_dynamics.h"

namespace kedge {

namespace {

/// Position of entry i of [x; y] among the observations; -1: not observed.
Index observed_at(const Task& task, Index i) {
  const auto found = std::find(task.observation.begin(), task.observation.end(), i);
  return found == task.observation.end() ? -1 : found - task.observation.begin();
}

/// Residuals at z and their derivative, r(z) = r + J (z - mean).
struct Linearised {
  VectorXd r;  ///< [residuals]
  MatrixXd J;  ///< [residuals, z]
};

/// @param unobserved  see cost_expansion
Linearised linearise(const Task& task, const Residual& spec, const VectorXd& z, const LinearDynamics* unobserved) {
  const auto entries = static_cast<Index>(spec.index.size());
  VectorXd value = VectorXd::Zero(entries);
  MatrixXd derivative = MatrixXd::Zero(entries, z.size());
  for (Index j = 0; j < entries; ++j) {
    const Index i = spec.index[static_cast<std::size_t>(j)];
    Index column = -1, row = -1;  // of z; of the model of what is not observed
    switch (spec.source) {
      case Source::state:
        column = observed_at(task, i);
        if (column < 0) row = task.system->nsensor() + i;
        break;
      case Source::action: column = task.ds() + i; break;
      case Source::control: {
        const Index action = driver_of(task, i);
        if (action >= 0) column = task.ds() + action;
        break;
      }
      case Source::sensor:
        column = observed_at(task, task.nx() + i);
        if (column < 0) row = i;
        break;
    }
    if (row >= 0 && unobserved) {
      derivative.row(j) = unobserved->F.row(row);
      value[j] = derivative.row(j).dot(z) + unobserved->f[row];
    }
    if (column < 0) continue;
    value[j] = z[column];
    derivative(j, column) = 1.0;
    if (spec.source != Source::control) continue;
    const Index action = column - task.ds();
    value[j] = task.limited(action, z[column]);
    if (value[j] != z[column]) derivative(j, column) = 0.0;
  }
  Linearised l;
  const bool plain = spec.matrix.size() == 0;
  if (spec.quaternion) {
    const double sign = quaternion_sign(value, spec.target);
    value *= sign;
    derivative *= sign;
  }
  l.r = (plain ? value : VectorXd(spec.matrix * value)) - spec.target;
  l.J = plain ? std::move(derivative) : MatrixXd(spec.matrix * derivative);
  if (spec.angle) wrap(l.r);
  return l;
}

}  // namespace

NormExpansion expand_norm(const CostTerm& term, double r, double variance) {
  switch (term.norm) {
    case Norm::quadratic: return {r * r, 2.0 * r, 2.0};
    case Norm::smooth: {
      const double rho = std::hypot(r, term.width), share = term.width / rho;
      return {rho - term.width, r / rho, share * share / rho};
    }
    case Norm::bounded: {
      const double most = term.width * term.width, share = most / (r * r + most);
      return {r * r * share, 2.0 * r * share * share, 2.0 * share * share};
    }
    case Norm::absolute:
    case Norm::distance: break;  // the latter is not a sum over entries: expand_distance
  }
  const double std = std::sqrt(variance);
  if (!(std > 0.0)) return {std::abs(r), static_cast<double>((r > 0) - (r < 0)), 0.0};
  const double u = r / std, density = std::exp(-0.5 * u * u) / std::sqrt(2.0 * std::numbers::pi);
  const double slope = std::erf(u / std::numbers::sqrt2), curvature = 2.0 * density / std;
  return {r * slope + 2.0 * std * density - 0.5 * curvature * variance, slope, curvature};
}

DistanceExpansion expand_distance(const CostTerm& term, const VectorXd& r, double variance) {
  const VectorXd wr = term.weight.cwiseProduct(r);
  const double around = term.width * term.width + variance, rho = std::sqrt(wr.dot(r) + around);
  DistanceExpansion d{rho - std::sqrt(around), VectorXd::Zero(r.size()), MatrixXd::Zero(r.size(), r.size())};
  if (!(rho > 0.0)) return d;
  d.slope = wr / rho;
  d.curvature = -d.slope * d.slope.transpose() / rho;
  d.curvature.diagonal() += term.weight / rho;
  return d;
}

bool reads_unobserved(const Task& task) {
  return std::any_of(task.cost.begin(), task.cost.end(), [&](const CostTerm& term) {
    const Residual& r = term.residual;
    const Index first = r.source == Source::sensor ? task.nx() : 0;
    return (r.source == Source::state || r.source == Source::sensor) &&
           std::any_of(r.index.begin(), r.index.end(), [&](Index i) { return observed_at(task, first + i) < 0; });
  });
}

void require_expandable(const Task& task) {
  Index hidden = 0;  // the first entry of the state that is not observed
  while (hidden < task.nx() && observed_at(task, hidden) >= 0) ++hidden;
  for (const CostTerm& term : task.cost) {
    const auto refuse = [&](const std::string& what) {
      throw InputError(
          fmt::format("task {}: cost {} reads {}, but a quadratic model of it needs observed state entries, actions, "
                      "controls, or sensors that follow from them",
                      task.name, term.name, what));
    };
    if (term.residual.source == Source::sensor) {
      if (term.residual.needs_action) refuse("sensors that depend on forces, or on what the step leads to");
      if (hidden < task.nx()) refuse(fmt::format("sensors, and state entry {} is not observed", hidden));
    }
    if (term.residual.source != Source::state) continue;
    for (const Index i : term.residual.index)
      if (observed_at(task, i) < 0) refuse(fmt::format("state entry {}, which is not observed", i));
  }
}

Outcome<std::vector<LinearDynamics>> fit_unobserved(const Task& task, const Batch& batch, MatrixIn values, double ridge,
                                                    int threads) {
  const MatrixXd joint = joint_samples(batch);
  const Index n = task.ds() + task.da(), usable = usable_rollouts(batch);
  std::vector<std::optional<LinearDynamics>> fits(static_cast<std::size_t>(task.horizon) + 1);
  parallel_for(task.horizon + 1, threads, [&](Index t) {
    const int step = static_cast<int>(t);
    const MatrixXd z =
        t < task.horizon ? MatrixXd(joint.block(0, t * usable, n, usable)) : observations_at(batch, step);
    MatrixXd both(z.rows() + values.rows(), usable);
    both.topRows(z.rows()) = z;
    Index column = 0;
    for (int i = 0; i < batch.rollouts; ++i)
      if (batch.usable(i)) both.col(column++).tail(values.rows()) = values.col(batch.at(i, step));
    fits[static_cast<std::size_t>(t)] = conditional_dynamics(sample_moments(both), z.rows(), ridge);
  });
  std::vector<LinearDynamics> models;
  for (std::size_t t = 0; t < fits.size(); ++t) {
    if (!fits[t])
      return failure(
          fmt::format("step {}: the quantities that costs read and the policy does not see cannot be fitted: the "
                      "inputs are linearly dependent; raise ridge or rollouts",
                      t));
    models.push_back(std::move(*fits[t]));
  }
  return models;
}

Quadratic cost_expansion(const Task& task, int t, const Moments& z, const LinearDynamics* unobserved) {
  assert(unobserved || !reads_unobserved(task));
  const Index n = z.mean.size();
  Quadratic q{0.0, VectorXd::Zero(n), MatrixXd::Zero(n, n)};
  for (const CostTerm& term : task.cost) {
    if (!term.active[static_cast<std::size_t>(t)]) continue;
    const auto [r, J] = linearise(task, term.residual, z.mean, unobserved);
    if (term.norm == Norm::distance) {
      const double variance = std::max(0.0, (J * z.cov * J.transpose()).diagonal().dot(term.weight));
      const DistanceExpansion d = expand_distance(term, r, variance);
      const VectorXd slope = J.transpose() * d.slope;
      const MatrixXd curvature = J.transpose() * d.curvature * J;
      q.c += d.value - slope.dot(z.mean) + 0.5 * z.mean.dot(curvature * z.mean);
      q.g += slope - curvature * z.mean;
      q.H += curvature;
      continue;
    }
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

std::vector<Quadratic> cost_expansions(const Task& task, const Batch& batch, int threads,
                                       std::span<const LinearDynamics> unobserved) {
  const MatrixXd joint = joint_samples(batch);
  const Index n = task.ds() + task.da(), usable = usable_rollouts(batch);
  std::vector<Quadratic> costs(static_cast<std::size_t>(task.horizon) + 1);
  parallel_for(task.horizon + 1, threads, [&](Index t) {
    const MatrixXd z = t < task.horizon ? MatrixXd(joint.block(0, t * usable, n, usable))
                                        : observations_at(batch, static_cast<int>(t));
    const auto at = static_cast<std::size_t>(t);
    costs[at] =
        cost_expansion(task, static_cast<int>(t), sample_moments(z), unobserved.empty() ? nullptr : &unobserved[at]);
  });
  return costs;
}

}  // namespace kedge
