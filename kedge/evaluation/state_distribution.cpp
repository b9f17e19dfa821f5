#include "kedge/evaluation/state_distribution.h"

#include <cmath>

#include "kedge/core/parallel.h"
#include "kedge/evaluation/whitening.h"

namespace kedge {

namespace {

// Early states are nearly deterministic: their covariance is singular up to rounding. A millionth of its own diagonal and a
// floor far below any physical scale keep it invertible.
constexpr double kRelativeRidge = 1e-6;
constexpr double kAbsoluteRidge = 1e-8;

/// The Gaussian of the columns of s, its variances raised by the squares of the floor.
std::optional<Gaussian> fit_states(MatrixIn s, VectorIn weight, const VectorXd& floor) {
  auto fit = fit_gaussian(s, weight, kRelativeRidge, kAbsoluteRidge);
  if (!fit || floor.size() == 0 || floor.isZero(0.0)) return fit;
  MatrixXd cov = fit->cov;
  cov.diagonal() += floor.cwiseAbs2();
  return make_gaussian(std::move(fit->mean), cov);
}

/// States of step t of the whole window, side by side. @return [ds, sum of usable]
MatrixXd stacked_observations(const Window& window, int t) {
  Index n = 0;
  for (const Epoch& epoch : window) n += usable_rollouts(epoch.batch);
  MatrixXd s(window.back().batch.observation.rows(), n);
  Index column = 0;
  for (const Epoch& epoch : window) {
    const MatrixXd part = observations_at(epoch.batch, t);
    s.middleCols(column, part.cols()) = part;
    column += part.cols();
  }
  return s;
}

/// log z_t(s, a) of the transitions of step t of `batch` under (rho, pi). @return [usable]
VectorXd log_density_at(const Batch& batch, int t, const Gaussian& rho, const LinearGaussian& pi) {
  const Whitening map = whitening(rho, pi);
  VectorXd x(map.dim()), log_z(usable_rollouts(batch));
  Index i = 0;
  for (int n = 0; n < batch.rollouts; ++n) {
    if (!batch.usable(n)) continue;
    x << batch.observation.col(batch.at(n, t)), batch.action.col(batch.step(n, t));
    log_z[i++] = map.log_normaliser - 0.5 * (map.W.triangularView<Eigen::Lower>() * x - map.b).squaredNorm();
  }
  return log_z;
}

}  // namespace

std::optional<std::vector<Gaussian>> mixture_state_distribution(const Window& window, double gamma, int threads,
                                                                const VectorXd& floor) {
  const int T = window.back().batch.horizon;
  Index n = 0;
  for (const Epoch& epoch : window) n += usable_rollouts(epoch.batch);
  if (usable_rollouts(window.back().batch) < 2) return std::nullopt;

  VectorXd weight(n);
  Index row = 0;
  for (std::size_t i = 0; i < window.size(); ++i) {
    const Index usable = usable_rollouts(window[i].batch);
    const double age = static_cast<double>(window.size() - 1 - i);
    weight.segment(row, usable).setConstant(age == 0 ? 1.0 : std::pow(gamma, age));
    row += usable;
  }
  std::vector<std::optional<Gaussian>> fits(static_cast<std::size_t>(T));
  parallel_for(T, threads, [&](Index t) {
    fits[static_cast<std::size_t>(t)] = fit_states(stacked_observations(window, static_cast<int>(t)), weight, floor);
  });
  std::vector<Gaussian> rho;
  for (auto& fit : fits) {
    if (!fit) return std::nullopt;
    rho.push_back(std::move(*fit));
  }
  return rho;
}

std::optional<std::vector<Gaussian>> forward_state_distribution(const Window& window, const VectorXd& floor) {
  const Epoch& present = window.back();
  const int T = present.batch.horizon;
  if (usable_rollouts(present.batch) < 2) return std::nullopt;

  std::vector<Gaussian> rho;
  VectorXd weight;
  for (int t = 0; t < T; ++t) {
    const MatrixXd s = stacked_observations(window, t);
    if (t == 0) weight = VectorXd::Ones(s.cols());
    auto fit = fit_states(s, weight, floor);
    if (!fit) return std::nullopt;
    rho.push_back(std::move(*fit));

    // z_t^i / z_t^{1:i}: the denominator is the mixture of the window's policies in proportion to their samples.
    Index row = 0;
    weight.resize(s.cols());
    for (const Epoch& data : window) {
      const Index usable = usable_rollouts(data.batch);
      const VectorXd numerator = log_density_at(data.batch, t, rho.back(), present.policy[t]);
      MatrixXd each(usable, static_cast<Index>(window.size()));
      for (std::size_t j = 0; j < window.size(); ++j) {
        const bool own = j + 1 == window.size();
        const Gaussian& rho_j = own ? rho.back() : window[j].rho[static_cast<std::size_t>(t)];
        const double share = std::log(static_cast<double>(usable_rollouts(window[j].batch)));
        each.col(static_cast<Index>(j)) = log_density_at(data.batch, t, rho_j, window[j].policy[t]).array() + share;
      }
      const VectorXd top = each.rowwise().maxCoeff();
      const VectorXd denominator = top.array() + (each.colwise() - top).array().exp().rowwise().sum().log();
      weight.segment(row, usable) = numerator - denominator;
      row += usable;
    }
    weight = (weight.array() - weight.maxCoeff()).exp();
  }
  return rho;
}

}  // namespace kedge
