#include "kedge/math/whitening.h"

#include <cmath>
#include <numbers>

namespace kedge {

MatrixXd inverse_of_lower(const MatrixXd& L) {
  return L.triangularView<Eigen::Lower>().solve(MatrixXd::Identity(L.rows(), L.rows()));
}

double log_normaliser(Index n, double log_det_cov) {
  return -0.5 * (static_cast<double>(n) * std::log(2.0 * std::numbers::pi) + log_det_cov);
}

Whitening whitening(const Gaussian& g) {
  Whitening map{inverse_of_lower(g.L), {}, log_normaliser(g.dim(), log_det(g.L))};
  map.b = map.W * g.mean;
  return map;
}

}  // namespace kedge
