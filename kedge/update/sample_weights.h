// Weights of samples by their cost, and by their density under a trajectory's marginals.
#pragma once

#include <optional>

#include "kedge/core/types.h"

namespace kedge {

struct SampleWeights {
  VectorXd weight;         ///< [N] >= 0, sum 1
  double effective = 0.0;  ///< effective sample size 1 / sum w^2, in [1, N]
};

/// Returns the weights of cost-weighted regression (as PoWER), w_i = softmax_i(-alpha c_i).
/// @param cost [N], summed costs; inf (a diverged rollout) gives the weight 0  @param alpha >= 0, 1/cost
/// @return nullopt if no cost is finite, or one is NaN or -inf
std::optional<SampleWeights> cost_weights(VectorIn cost, double alpha);

/// Returns the weights of weighted DAGGER, the density of states under N(0, Sigma) relative to its maximum:
/// w = exp(-d' Sigma^-1 d / 2), and 0 below exp(-cut).
/// @param d [ndx, N] states less the marginal's mean, in tangent coordinates  @param Sigma [ndx, ndx]  @param cut > 0
/// @return [N] in [0, 1]; nullopt if Sigma is not positive definite or a number is not finite
std::optional<VectorXd> marginal_weights(MatrixIn d, const MatrixXd& Sigma, double cut = 20.0);

}  // namespace kedge
