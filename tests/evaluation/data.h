// Invented data for the tests of evaluation: random policies, state distributions and batches; Gauss-Hermite grids; linear
// systems with noise whose state distributions are known exactly.
#pragma once

#include <deque>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/system/task.h"
#include "tests/support/numbers.h"

namespace kedge::test {

/// Mean and covariance of order 1, times `scale` and its square.
Gaussian random_gaussian(Index n, double scale, Stream& random);
LinearGaussian random_step(Index da, Index ds, Stream& random);
TvLinearGaussian random_policy(int horizon, Index da, Index ds, Stream& random);

bool same_bits(const std::vector<Gaussian>& a, const std::vector<Gaussian>& b);

/// An iteration without a simulator: every number of its batch is random.
struct Sizes {
  Index ds = 2, da = 1;
  int horizon = 3, rollouts = 5;
  Index terms = 2;
  std::vector<int> diverged = {};  ///< rollouts that are marked as diverged
};
Epoch random_epoch(const Sizes& sizes, int iteration, std::uint64_t seed);

/// A task of which only the horizon, the sizes and the steps of its cost terms count.
/// @param active [terms][horizon + 1]
Task task_with_terms(int horizon, const std::vector<std::vector<char>>& active, Index ds = 2, Index da = 1);

/// log rho(s) pi(a|s), by solving with the covariances, in long double.
long double log_density(const Gaussian& rho, const LinearGaussian& pi, const VectorXd& s, const VectorXd& a);

/// Nodes of the three-point Gauss-Hermite rule in every one of n dimensions, one a row, and their weights, which sum to one:
/// exact under N(0, I) for polynomials up to the fifth degree in each variable.
struct Grid {
  MatrixXd z;  ///< [3^n, n]
  VectorXd weight;
};
Grid gauss_hermite(Index n);

/// phi(z) by its definition in kedge/math/hermite.h. @return [feature_count(z.size())]
VectorXd plain_features(const VectorXd& z);

/// s+ = A s + B a + N(0, W): the state distributions under a linear-Gaussian policy are known.
struct NoisyLinear {
  MatrixXd A, B;
  Gaussian noise;
};
NoisyLinear random_noisy_linear(Index ds, Index da, Stream& random);

/// [T + 1] state distributions from `start` under `policy`.
std::vector<Gaussian> propagate(const NoisyLinear& system, const Gaussian& start, const TvLinearGaussian& policy);

/// An iteration of `rollouts` rollouts of the system; `rho` are the true distributions.
Epoch simulate(const NoisyLinear& system, const Gaussian& start, const TvLinearGaussian& policy, int rollouts,
               int iteration, std::uint64_t seed);

}  // namespace kedge::test
