// Invented data for the tests of evaluation: random policies, state distributions and batches; Gauss-Hermite grids; linear
// systems with noise whose state distributions are known exactly.
#pragma once

#include <cstring>
#include <deque>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/evaluation/epoch.h"

namespace kedge::test {

VectorXd vec(std::initializer_list<double> values);
VectorXd random_vector(Index n, Stream& random);
MatrixXd random_matrix(Index rows, Index cols, Stream& random);

/// Mean and covariance of order 1, times `scale` and its square.
Gaussian random_gaussian(Index n, double scale, Stream& random);
LinearGaussian random_step(Index da, Index ds, Stream& random);
TvLinearGaussian random_policy(int horizon, Index da, Index ds, Stream& random);

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), sizeof(double) * static_cast<std::size_t>(a.size())) == 0;
}
bool same_bits(const std::vector<Gaussian>& a, const std::vector<Gaussian>& b);

/// An iteration without a simulator: every number of its batch is random.
struct Sizes {
  Index ds = 2, da = 1;
  int horizon = 3, rollouts = 5;
  Index terms = 2;
  std::vector<int> diverged = {};  ///< rollouts that are marked as diverged
};
Epoch random_epoch(const Sizes& sizes, int iteration, std::uint64_t seed);

/// log rho(s) pi(a|s), by solving with the covariances, in long double.
long double log_density(const Gaussian& rho, const LinearGaussian& pi, const VectorXd& s, const VectorXd& a);

/// Nodes of the three-point Gauss-Hermite rule in every one of n dimensions, one a row, and their weights, which sum to one:
/// exact under N(0, I) for polynomials up to the fifth degree in each variable.
struct Grid {
  MatrixXd z;  ///< [3^n, n]
  VectorXd weight;
};
Grid gauss_hermite(Index n);

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
