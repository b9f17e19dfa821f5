#include "kedge/evaluation/linear_dynamics.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "kedge/core/parallel.h"

namespace kedge {

namespace {

/// Mean over the entries of s' that vary.
double explained(const MatrixXd& residual, const MatrixXd& total) {
  double sum = 0.0;
  Index count = 0;
  for (Index i = 0; i < residual.rows(); ++i) {
    if (!(total(i, i) > 0.0)) continue;
    sum += 1.0 - residual(i, i) / total(i, i);
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : 1.0;
}

}  // namespace

MatrixXd joint_samples(const Batch& batch) {
  const Transitions d = transitions(batch);
  MatrixXd joint(d.x.rows() + d.next.rows(), d.size());
  joint.topRows(d.x.rows()) = d.x;
  joint.bottomRows(d.next.rows()) = d.next;
  return joint;
}

MatrixXd joint_samples(const Window& window) {
  std::vector<MatrixXd> parts;
  Index count = 0;
  for (const Epoch& epoch : window) {
    parts.push_back(joint_samples(epoch.batch));
    count += parts.back().cols();
  }
  MatrixXd all(parts.front().rows(), count);
  Index column = 0;
  for (const MatrixXd& part : parts) {
    all.middleCols(column, part.cols()) = part;
    column += part.cols();
  }
  return all;
}

Moments sample_moments(MatrixIn x) {
  const double N = static_cast<double>(x.cols());
  MatrixXd d = x.colwise() - x.col(0);  // from one of the samples: zero for what never varies
  const VectorXd offset = d.rowwise().sum() / N;
  d.colwise() -= offset;
  return {x.col(0) + offset, d * d.transpose() / N};
}

Moments normal_inverse_wishart(const Moments& sample, double count, const Moments& prior, double strength) {
  const double total = strength + count;
  const VectorXd d = sample.mean - prior.mean;
  return {(strength * prior.mean + count * sample.mean) / total,
          (strength * prior.cov + count * sample.cov + strength * count / total * d * d.transpose()) / total};
}

std::optional<LinearDynamics> conditional_dynamics(const Moments& joint, Index inputs, double ridge) {
  const Index n = inputs, ds = joint.mean.size() - n;
  std::vector<Index> used;
  for (Index i = 0; i < n; ++i)
    if (joint.cov(i, i) > 0.0) used.push_back(i);
  const auto m = static_cast<Index>(used.size());

  LinearDynamics result{MatrixXd::Zero(ds, n), {}, {}};
  if (m > 0) {
    const VectorXd scale = joint.cov.diagonal()(used).cwiseSqrt().cwiseInverse();
    MatrixXd correlation = scale.asDiagonal() * MatrixXd(joint.cov(used, used)) * scale.asDiagonal();
    correlation.diagonal().array() += ridge;
    const Eigen::LLT<MatrixXd> factor(correlation);
    if (factor.info() != Eigen::Success ||
        !(factor.rcond() > static_cast<double>(m) * std::numeric_limits<double>::epsilon()))
      return std::nullopt;
    const MatrixXd cross = scale.asDiagonal() * MatrixXd(joint.cov.topRightCorner(n, ds)(used, Eigen::all));
    const MatrixXd coefficients = scale.asDiagonal() * factor.solve(cross);  // [m, ds]
    for (Index i = 0; i < m; ++i) result.F.col(used[static_cast<std::size_t>(i)]) = coefficients.row(i).transpose();
  }
  result.f = joint.mean.tail(ds) - result.F * joint.mean.head(n);
  // E (s' - F z - f)(s' - F z - f)', for whatever F
  const MatrixXd FC = result.F * joint.cov.topRightCorner(n, ds);
  const MatrixXd S = joint.cov.bottomRightCorner(ds, ds) - FC - FC.transpose() +
                     result.F * joint.cov.topLeftCorner(n, n) * result.F.transpose();
  result.S = 0.5 * (S + S.transpose());
  result.S.diagonal() = result.S.diagonal().cwiseMax(0.0);
  return result;
}

const char* to_string(DynamicsStatus status) {
  switch (status) {
    case DynamicsStatus::ok: return "ok";
    case DynamicsStatus::rank: return "rank";
    case DynamicsStatus::not_finite: return "not finite";
  }
  return "?";
}

DynamicsFit fit_dynamics(const Batch& batch, const DynamicsPrior& prior, double ridge, int threads) {
  const Index ds = batch.observation.rows(), n = ds + batch.action.rows();
  const int usable = usable_rollouts(batch);
  const Index needed = prior.mixture ? 1 : n + 1;
  DynamicsFit fit;
  const auto fail = [&](DynamicsStatus status, std::string message) {
    return DynamicsFit{status, std::move(message), {}, {}};
  };
  if (usable < needed)
    return fail(DynamicsStatus::rank,
                fmt::format("the dynamics of a step have {} coefficients for each observation, but only {} of {} "
                            "rollouts are usable",
                            n + 1, usable, batch.rollouts));

  const MatrixXd joint = joint_samples(batch);
  const MatrixXd share = prior.mixture ? responsibilities(*prior.mixture, joint, threads).share : MatrixXd();
  std::vector<std::optional<LinearDynamics>> models(static_cast<std::size_t>(batch.horizon));
  fit.r2.resize(models.size());
  parallel_for(batch.horizon, threads, [&](Index t) {
    const MatrixXd samples = joint.middleCols(t * usable, usable);
    Moments moments = sample_moments(samples);
    if (prior.mixture) {  // what it says about the samples of this step: its moments under their mean responsibilities
      const VectorXd mean_share = share.middleRows(t * usable, usable).colwise().mean().transpose();
      moments = normal_inverse_wishart(moments, usable, mixture_moments(*prior.mixture, mean_share), prior.strength);
    }
    const auto at = static_cast<std::size_t>(t);
    models[at] = conditional_dynamics(moments, n, ridge);
    if (models[at]) fit.r2[at] = explained(models[at]->S, moments.cov.bottomRightCorner(ds, ds));
  });
  for (std::size_t t = 0; t < models.size(); ++t) {
    if (!models[t])
      return fail(DynamicsStatus::rank,
                  fmt::format("step {}: the observations and actions of the {} usable rollouts are linearly dependent",
                              t, usable));
    if (!models[t]->F.allFinite() || !models[t]->f.allFinite() || !models[t]->S.allFinite())
      return fail(DynamicsStatus::not_finite, fmt::format("step {}: the fitted dynamics are not finite", t));
    fit.dynamics.push_back(std::move(*models[t]));
  }
  return fit;
}

}  // namespace kedge
