#include "kedge/math/conjugate_gradient.h"

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"

namespace kedge {

const char* to_string(ConjugateGradientStatus status) {
  switch (status) {
    case ConjugateGradientStatus::converged: return "converged";
    case ConjugateGradientStatus::max_iterations: return "max_iterations";
    case ConjugateGradientStatus::not_positive: return "not_positive";
    case ConjugateGradientStatus::not_finite: return "not_finite";
  }
  return "?";
}

ConjugateGradient conjugate_gradient(const LinearMap& A, VectorIn b, const ConjugateGradientOptions& options) {
  require(options.iterations >= 1, "conjugate gradient iterations", options.iterations, ">= 1");
  require(options.tolerance >= 0.0, "conjugate gradient tolerance", options.tolerance, ">= 0");
  using Status = ConjugateGradientStatus;
  ConjugateGradient result;
  result.x = VectorXd::Zero(b.size());
  const double norm = b.norm();
  const auto ended = [&](Status status) {
    result.status = status;
    return result;
  };
  if (!std::isfinite(norm)) {
    result.residual = std::numeric_limits<double>::quiet_NaN();
    return ended(Status::not_finite);
  }
  if (norm == 0.0) return result;
  result.residual = 1.0;

  VectorXd r = b, v = b;
  double rr = r.squaredNorm();
  while (result.iterations < options.iterations) {
    const VectorXd Av = A(v);
    ++result.iterations;
    const double curvature = v.dot(Av);
    if (!std::isfinite(curvature)) return ended(Status::not_finite);
    if (!(curvature > 0.0)) return ended(Status::not_positive);
    const double alpha = rr / curvature;
    const VectorXd x = result.x + alpha * v;
    r -= alpha * Av;
    const double rr_next = r.squaredNorm();
    if (!x.allFinite() || !std::isfinite(rr_next)) return ended(Status::not_finite);
    result.x = x;
    result.residual = std::sqrt(rr_next) / norm;
    if (result.residual <= options.tolerance) return ended(Status::converged);
    v = r + (rr_next / rr) * v;
    rr = rr_next;
  }
  return ended(Status::max_iterations);
}

}  // namespace kedge
