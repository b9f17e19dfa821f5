// Many Gaussians with independent entries, one a column: densities and divergences.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// N(mean_n, diag(std_n^2)) for n = 0 ... N-1.
struct DiagonalGaussians {
  MatrixXd mean;  ///< [n, N]
  MatrixXd std;   ///< [n, N] > 0
};

/// Returns the log density of column n of x under Gaussian n, nats. @param x [n, N]  @return [N]
VectorXd log_densities(const DiagonalGaussians& p, MatrixIn x);

/// Returns the mean over n of KL(p_n || q_n) >= 0, nats: a sum of terms that are not negative, without cancellation for nearly
/// equal ones. @param p, q of one size, not empty
double mean_kl(const DiagonalGaussians& p, const DiagonalGaussians& q);

}  // namespace kedge
