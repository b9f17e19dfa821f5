#include "kedge/update/importance_objective.h"

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/math/gaussian_mixture.h"

namespace kedge {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check(const MlpGaussian& policy, const ImportanceData& d) {
  const Index T = d.horizon, columns = d.s.cols(), J = d.share.size();
  require(T >= 1, "importance objective, horizon", T, ">= 1");
  if (columns == 0 || columns % T != 0 || d.s.rows() != policy.observation_dim() || d.a.rows() != policy.action_dim() ||
      d.a.cols() != columns || d.reward.rows() != T || d.reward.cols() != columns / T || d.log_q.rows() != J ||
      d.log_q.cols() != columns || J == 0)
    throw InputError(fmt::format(
        "importance objective: T = {}, states {}x{}, actions {}x{}, rewards {}x{}, log densities {}x{}, shares {}; the "
        "policy has ds = {}, da = {}",
        T, d.s.rows(), columns, d.a.rows(), d.a.cols(), d.reward.rows(), d.reward.cols(), d.log_q.rows(),
        d.log_q.cols(), J, policy.observation_dim(), policy.action_dim()));
  for (const double share : d.share) require(share > 0.0, "importance objective, share", share, "> 0");
  if (!(d.log_q.array() < kInfinity).all())
    throw InputError("importance objective: a log density is not a number or infinite");
  require(std::abs(d.share.sum() - 1.0) < 1e-9, "importance objective, sum of the shares", d.share.sum(), "1");
}

/// log q(zeta_i,1:t) = log sum_j share_j prod_{tau <= t} pi_j. @return [T, N]
MatrixXd prefix_mixture(const ImportanceData& d) {
  const Index T = d.horizon, N = d.reward.cols();
  MatrixXd log_q(T, N), prefix(T, d.share.size());
  for (Index i = 0; i < N; ++i) {
    prefix = d.log_q.middleCols(i * T, T).transpose();
    for (Index t = 1; t < T; ++t) prefix.row(t) += prefix.row(t - 1);
    prefix.rowwise() += d.share.array().log().matrix().transpose();
    log_q.col(i) = log_sum_exp_rows(prefix);
  }
  return log_q;
}

}  // namespace

const char* to_string(ImportanceStatus status) {
  switch (status) {
    case ImportanceStatus::ok: return "ok";
    case ImportanceStatus::degenerate: return "degenerate";
    case ImportanceStatus::not_finite: return "not_finite";
  }
  return "?";
}

ImportanceObjective::ImportanceObjective(const MlpGaussian& policy, ImportanceData data, double regulariser,
                                         double min_effective, int threads)
    : policy_(policy),
      data_(std::move(data)),
      regulariser_(regulariser),
      min_effective_(min_effective),
      threads_(threads) {
  check(policy_, data_);
  require(regulariser >= 0.0 && regulariser < kInfinity, "importance objective, w_r", regulariser, ">= 0 and finite");
  require(min_effective >= 1.0, "importance objective, min_effective", min_effective, ">= 1");
  inputs_ = policy_.prepare(data_.s);
  log_q_ = prefix_mixture(data_);
}

ImportanceValue ImportanceObjective::operator()(VectorIn theta) {
  policy_.set_theta(theta);
  const Index T = data_.horizon, N = data_.reward.cols();
  MatrixXd log_w = policy_.log_probs(inputs_, data_.a, threads_).reshaped(T, N);
  for (Index t = 1; t < T; ++t) log_w.row(t) += log_w.row(t - 1);
  log_w -= log_q_;

  ImportanceValue phi;
  phi.effective = VectorXd::Zero(T);
  phi.gradient = VectorXd::Zero(theta.size());
  MatrixXd c(T, N);  // dPhi / dlog w_i,t, then c_i,tau
  const VectorXd all_log_Z = log_sum_exp_rows(log_w);
  Index worst = 0;
  for (Index t = 0; t < T; ++t) {
    const double log_Z = all_log_Z[t];
    const VectorXd p = (log_w.row(t).array() - log_Z).exp(), reward = data_.reward.row(t);
    const double mean = p.dot(reward);
    if (!std::isfinite(log_Z) || !std::isfinite(mean)) {
      phi.status = ImportanceStatus::not_finite;
      phi.message = fmt::format("step {}: log Z = {}, mean reward {}", t, log_Z, mean);
      return phi;
    }
    phi.reward += mean;
    phi.value += mean + regulariser_ * log_Z;
    phi.effective[t] = 1.0 / p.squaredNorm();
    if (phi.effective[t] < phi.effective[worst]) worst = t;
    c.row(t) = (p.array() * (reward.array() - mean + regulariser_)).matrix().transpose();
  }
  for (Index t = T - 1; t-- > 0;) c.row(t) += c.row(t + 1);
  phi.gradient = policy_.log_prob_gradient(inputs_, data_.a, c.reshaped(), threads_);
  if (phi.effective[worst] < min_effective_) {
    phi.status = ImportanceStatus::degenerate;
    phi.message = fmt::format("step {}: effective sample size {:.3g} of {} rollouts, but at least {:.3g} is asked for",
                              worst, phi.effective[worst], N, min_effective_);
  }
  return phi;
}

}  // namespace kedge
