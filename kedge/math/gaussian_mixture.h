// Mixtures of Gaussians with full covariances, fitted by expectation maximisation in the log domain.
#pragma once

#include <string>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/core/types.h"
#include "kedge/math/gaussian.h"
#include "kedge/math/lq.h"

namespace kedge {

/// p(x) = sum_k weight_k N(x; mean_k, cov_k).
struct GaussianMixture {
  VectorXd weight;                  ///< [K] > 0, sum 1
  std::vector<Gaussian> component;  ///< [K]

  [[nodiscard]] Index size() const { return weight.size(); }
};

struct MixtureOptions {
  int components = 10;  ///< K >= 1

  /// Prior weight of a covariance of this share of the overall variance of each variable, > 0.
  double ridge = 1e-6;

  int iterations = 50;  ///< largest number of iterations of EM, >= 1

  /// EM ends when the objective rises by less than this per sample, nats, >= 0.
  double tolerance = 1e-5;
};

enum class MixtureStatus {
  ok,
  too_few,     ///< fewer distinct samples than components
  not_finite,  ///< a sample is not finite, or so large that its square is not
};
const char* to_string(MixtureStatus status);

/// Unless status == ok, `mixture` is empty.
struct MixtureFit {
  MixtureStatus status = MixtureStatus::ok;
  std::string message;            ///< the numbers that decided, when status != ok
  GaussianMixture mixture;        ///< components that lost all their samples are left out
  std::vector<double> objective;  ///< after each iteration; never falls but by rounding
};

/// Returns the number of components that samples can bear, in [1, most]: each has at least twice as many as there are variables.
int components_for(Index samples, Index variables, int most);

/// Maximises, with variables scaled to unit variance, the penalised log-likelihood per sample
///   (1/N) [ sum_n log p(x_n) - 1/2 sum_k tr(Lambda Sigma_k^-1) ],   Lambda = ridge (N / K) I,
/// whose M-step is Sigma_k = S_k + Lambda / N_k: the ridge keeps covariances regular and EM monotone. It begins with
/// k-means++ seeding [Arthur2007]. A variable that is the same in all samples is scaled by one.
/// @param x [n, N]  @param random decides the seeding  @param threads changes no result
[[nodiscard]] MixtureFit fit_mixture(MatrixIn x, const MixtureOptions& options, Stream random, int threads);

/// Who made the samples: share(n, k) = p(k | x_n), exactly zero where it is below e^-45.
struct Responsibilities {
  MatrixXd share;  ///< [N, K] in [0, 1], rows sum to 1
  VectorXd log_p;  ///< [N] log p(x_n), nats
};
/// Returns who made the samples, and how likely each is. @param x [n, N] finite  @param threads changes no result
Responsibilities responsibilities(const GaussianMixture& mixture, MatrixIn x, int threads);

/// Returns log sum_j exp(row_j) of every row, -infinity for a row of -infinity.
VectorXd log_sum_exp_rows(MatrixIn m);

/// Returns mean and covariance of the mixture under other weights of its components. @param weight [K] >= 0, not all zero
Moments mixture_moments(const GaussianMixture& mixture, VectorIn weight);

}  // namespace kedge
