// The affine map that whitens a Gaussian: z = L^-1 (x - mean) = W x - b, with its density in these coordinates.
#pragma once

#include "kedge/core/types.h"
#include "kedge/math/gaussian.h"

namespace kedge {

struct Whitening {
  MatrixXd W;                   ///< [n, n] lower triangular
  VectorXd b;                   ///< [n]
  double log_normaliser = 0.0;  ///< log density of x = log_normaliser - |z|^2 / 2

  [[nodiscard]] Index dim() const { return b.size(); }
};

/// Returns the map of x ~ g.
Whitening whitening(const Gaussian& g);

/// Returns the log density of N(0, L L') where it is largest, nats. @param log_det_cov log det(L L')
double log_normaliser(Index n, double log_det_cov);

/// Returns L^-1. @param L [n, n] lower triangular
MatrixXd inverse_of_lower(const MatrixXd& L);

}  // namespace kedge
