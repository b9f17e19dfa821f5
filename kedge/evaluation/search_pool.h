// The samples of an episodic search: parameters of controllers theta, drawn from Gaussians that may depend on features phi of
// the initial state, and the returns that they brought. Samples of earlier iterations count by importance weights.
#pragma once

#include <optional>
#include <vector>

#include "kedge/core/types.h"
#include "kedge/math/lq.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// One iteration's usable rollouts. A search distribution is a LinearGaussian: theta ~ N(K phi + k, Sigma), K [P, F].
struct Generation {
  LinearGaussian search;  ///< that the parameters were drawn from
  MatrixXd theta;         ///< [P, N]
  MatrixXd phi;           ///< [F, N]
  VectorXd returns;       ///< [N]
};

template <class G, class Visit>
requires std::same_as<std::remove_const_t<G>, Generation>
void describe(G& g, Visit&& visit) {
  visit("search", g.search);
  visit("theta", g.theta);
  visit("phi", g.phi);
  visit("returns", g.returns);
}

/// All samples of a pool.
struct PooledSamples {
  MatrixXd theta;    ///< [P, N]
  MatrixXd phi;      ///< [F, N]
  VectorXd returns;  ///< [N]

  /// [N] >= 0, sum 1: density under the newest search distribution over that of the mixture of all, in proportion to their
  /// numbers of samples. The distribution of the initial state is the same in all and cancels.
  VectorXd weight;

  double effective = 0.0;  ///< effective sample size 1 / sum weight^2
  Moments context;         ///< [F] of phi over all samples
};

/// @param pool oldest generation first, not empty, with at least one sample  @return nullopt if no weight is finite
std::optional<PooledSamples> pooled(const std::vector<Generation>& pool);

/// Returns the whitened coordinates of samples, C^-1 (theta_n - K phi_n - k). @return [P, N]
MatrixXd whitened(const LinearGaussian& search, MatrixIn theta, MatrixIn phi);

}  // namespace kedge
