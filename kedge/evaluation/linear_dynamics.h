// Time-varying linear-Gaussian dynamics from rollouts [LevineAbbeel2014, Sec. 3.2]: for every step the joint Gaussian
// of (s, a, s'), conditioned on (s, a); optionally with a normal-inverse-Wishart prior from a mixture over all stored
// transitions.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "kedge/evaluation/epoch.h"
#include "kedge/math/gaussian_mixture.h"
#include "kedge/math/lq.h"

namespace kedge {

/// Returns the samples [s; a; s'] of all steps of a batch, one a column, in the order of `transitions`.
/// @return [2 ds + da, usable * T]
MatrixXd joint_samples(const Batch& batch);

/// Returns the samples of a whole window, oldest first.
MatrixXd joint_samples(const Window& window);

/// Returns mean and maximum-likelihood covariance of the columns of x. The covariance of a constant entry is exactly 0.
/// @param x [n, N], N >= 1
Moments sample_moments(MatrixIn x);

/// Returns the normal-inverse-Wishart posterior (as in the supplement of [LevineAbbeel2014]):
///   mean = (m mu0 + N mu) / (m + N),   cov = [m Sigma0 + N Sigma + (m N / (m + N)) (mu - mu0)(mu - mu0)'] / (m + N)
/// @param prior mu0, Sigma0  @param strength m > 0: samples that the prior is worth  @param count N >= 1
Moments normal_inverse_wishart(const Moments& sample, double count, const Moments& prior, double strength);

/// Returns s' | z of a joint Gaussian over [z; s'], z = [s; a], by ridge regression in units of the standard deviations
/// of z. Entries of z without variance get the coefficient 0: the data says nothing about them. S is the covariance of
/// the residual.
/// @param inputs ds + da  @param ridge >= 0, share of the variance of every input
/// @return nullopt if the inputs (with the ridge) are linearly dependent to working precision
std::optional<LinearDynamics> conditional_dynamics(const Moments& joint, Index inputs, double ridge);

struct DynamicsPrior {
  const GaussianMixture* mixture = nullptr;  ///< distribution of [s; a; s']; null: no prior
  double strength = 1.0;                     ///< samples that it is worth at every step, > 0
};

enum class DynamicsStatus {
  ok,
  rank,        ///< without prior: fewer than ds + da + 1 usable rollouts; or dependent inputs
  not_finite,  ///< a coefficient is not finite
};
const char* to_string(DynamicsStatus status);

/// Unless status == ok, the vectors are empty.
struct DynamicsFit {
  DynamicsStatus status = DynamicsStatus::ok;
  std::string message;                   ///< step and numbers that decided, when status != ok
  std::vector<LinearDynamics> dynamics;  ///< [T]
  std::vector<double> r2;                ///< [T] explained share of the variance of s', mean over its entries that vary
};

/// Fits the dynamics of every step to the usable rollouts of one batch. With a prior, the responsibilities of the
/// mixture's components for the samples of a step, averaged over them, give that step's prior moments.
/// @param ridge see conditional_dynamics  @param threads changes no result
[[nodiscard]] DynamicsFit fit_dynamics(const Batch& batch, const DynamicsPrior& prior, double ridge, int threads);

}  // namespace kedge
