#include "kedge/evaluation/improvement_bound.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kedge {

std::vector<double> state_kl_bounds(const std::vector<double>& kl) {
  constexpr double constant = 1.0 + std::numbers::e / (std::numbers::e - 1.0);
  std::vector<double> bound(kl.size(), 0.0);
  for (std::size_t t = 0; t + 1 < kl.size(); ++t) bound[t + 1] = bound[t] + constant * kl[t] * (1.0 + 2.0 * bound[t]);
  return bound;
}

Quadratic expected_advantage(const Quadratic& q, const LinearGaussian& old, const LinearGaussian& next,
                             const Gaussian& rho) {
  const Index ds = rho.dim(), da = old.k.size();
  const MatrixXd A = q.H.bottomRightCorner(da, da), B = q.H.bottomLeftCorner(da, ds);
  const VectorXd g = q.g.tail(da);
  // Under `next`, alpha ~ N(D xi + d, R) in the whitened coordinates of `old`.
  const auto C = old.C.triangularView<Eigen::Lower>();
  const MatrixXd dK = next.K - old.K;
  const MatrixXd D = C.solve(dK * rho.L);
  const VectorXd d = C.solve(dK * rho.mean + next.k - old.k);
  const MatrixXd root = C.solve(next.C);
  Quadratic a;
  const MatrixXd AD = A * D;
  a.c = 0.5 * ((A * root).cwiseProduct(root).sum() - A.trace() + d.dot(A * d)) + g.dot(d);
  a.g = D.transpose() * (A * d + g) + B.transpose() * d;
  const MatrixXd BD = B.transpose() * D;
  a.H = D.transpose() * AD + BD + BD.transpose();
  return a;
}

double improvement_bound(const std::vector<double>& gain, const std::vector<double>& delta,
                         const std::vector<double>& kl) {
  const std::vector<double> state_kl = state_kl_bounds(kl);
  double bound = 0.0;
  for (std::size_t t = 0; t < gain.size(); ++t) {
    const double variation = std::min(1.0, std::sqrt(0.5 * state_kl[t]));  // total variation distance <= 1 (Pinsker)
    bound += gain[t] - 2.0 * delta[t] * variation;
  }
  return bound;
}

}  // namespace kedge
