// Gaussians: densities by Cholesky factors, divergences, entropies. Everything in nats.
#pragma once

#include <optional>
#include <span>

#include "kedge/core/types.h"

namespace kedge {

/// N(mean, cov) with its lower Cholesky factor, cov = L L'.
struct Gaussian {
  VectorXd mean;  ///< [n]
  MatrixXd cov;   ///< [n, n] symmetric positive definite
  MatrixXd L;     ///< [n, n] lower triangular

  [[nodiscard]] Index dim() const { return mean.size(); }
};

/// Returns the Gaussian with its factor; nullopt if cov (symmetrised) is not positive definite or not finite.
std::optional<Gaussian> make_gaussian(VectorXd mean, const MatrixXd& cov);

/// Returns log det(L L') = 2 sum_i log L_ii of a lower triangular factor.
double log_det(MatrixIn L);

/// Returns x - log(1 + x) >= 0 for x > -1, to full relative precision near 0, where the two terms cancel. It is the
/// building block of divergences.
double x_minus_log1p(double x);

/// Returns 2 KL(N(0, q^2) || N(0, 1)) = q^2 - 1 - log q^2 >= 0 for q > 0, to full precision near 1 and near 0.
double scale_divergence(double q);

/// Returns KL(p || q) >= 0 in nats, without cancellation for nearly equal p and q of the same dimension.
double kl(const Gaussian& p, const Gaussian& q);

/// Returns the entropy of a Gaussian with Cholesky factor L: (n (1 + log 2 pi) + log det) / 2, nats.
double entropy(MatrixIn L);

/// Returns the weighted maximum-likelihood Gaussian of the columns of x, with a ridge that keeps it positive definite:
///   mean = sum_k w_k x_k,   cov = sum_k w_k (x_k - mean)(x_k - mean)' + relative * diag(cov) + absolute * I.
/// @param x [n, N]  @param w [N] >= 0, not all zero; normalised inside
/// @return nullopt if the weights are degenerate or the result is not positive definite.
std::optional<Gaussian> fit_gaussian(MatrixIn x, VectorIn w, double relative, double absolute);

}  // namespace kedge
