#include "kedge/math/diagonal_gaussians.h"

#include <cmath>
#include <numbers>

#include "kedge/math/gaussian.h"

namespace kedge {

VectorXd log_densities(const DiagonalGaussians& p, MatrixIn x) {
  const double constant = -0.5 * std::log(2.0 * std::numbers::pi) * static_cast<double>(x.rows());
  VectorXd result(x.cols());
  for (Index n = 0; n < x.cols(); ++n) {
    double sum = 0.0;
    for (Index i = 0; i < x.rows(); ++i) {
      const double d = (x(i, n) - p.mean(i, n)) / p.std(i, n);
      sum += 0.5 * d * d + std::log(p.std(i, n));
    }
    result[n] = constant - sum;
  }
  return result;
}

double mean_kl(const DiagonalGaussians& p, const DiagonalGaussians& q) {
  double sum = 0.0;
  for (Index n = 0; n < p.mean.cols(); ++n)
    for (Index i = 0; i < p.mean.rows(); ++i) {
      const double d = (p.mean(i, n) - q.mean(i, n)) / q.std(i, n);
      sum += 0.5 * (scale_divergence(p.std(i, n) / q.std(i, n)) + d * d);
    }
  return sum / static_cast<double>(p.mean.cols());
}

}  // namespace kedge
