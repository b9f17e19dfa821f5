#include "kedge/update/reps_dual.h"

#include <algorithm>
#include <cmath>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr double kTolerance = 1e-9;  ///< of KL and balance, as promised
constexpr double kAim = 1e-12;       ///< as aimed at
constexpr double kLeastEta = 1e-8;   ///< in standard deviations of the returns
constexpr int kIterations = 200;

/// The problem in standard units: returns and features with mean 0 and variance 1 under w.
struct Standard {
  VectorXd returns, base;
  MatrixXd P;      ///< [F, N]
  double unit;     ///< of the returns
  VectorXd scale;  ///< [F] of the features; 0: constant
};

Standard standardise(VectorIn returns, VectorIn base, MatrixIn phi) {
  Standard s{returns.array() - base.dot(returns), base, phi, 1.0, VectorXd(phi.rows())};
  s.unit = std::sqrt(base.dot(s.returns.cwiseAbs2()));
  if (s.unit > 0.0) s.returns /= s.unit;
  for (Index i = 0; i < phi.rows(); ++i) {
    auto row = s.P.row(i);
    const double size = row.cwiseAbs().maxCoeff();
    row.array() -= row.dot(base);
    s.scale[i] = std::sqrt(row.cwiseAbs2().dot(base));
    if (s.scale[i] > 1e-12 * size)
      row /= s.scale[i];
    else
      row.setZero(), s.scale[i] = 0.0;
  }
  return s;
}

/// The Newton step; along directions in which the dual is flat (features that depend on each other) none. Where all weight is
/// on the best samples, the dual is a line in eta: there, as far down as the line search goes.
VectorXd newton_step(const RepsDual& dual, double eta, bool eta_fixed) {
  VectorXd step = VectorXd::Zero(dual.gradient.size());
  const Index first = eta_fixed ? 1 : 0, n = step.size() - first;
  if (n == 0) return step;
  const VectorXd diagonal = dual.hessian.diagonal().tail(n);
  const VectorXd unit = diagonal.unaryExpr([](double h) { return h > 0.0 ? 1.0 / std::sqrt(h) : 0.0; });
  const MatrixXd H = unit.asDiagonal() * dual.hessian.bottomRightCorner(n, n) * unit.asDiagonal();
  step.tail(n) =
      -unit.cwiseProduct(H.completeOrthogonalDecomposition().solve(VectorXd(unit.cwiseProduct(dual.gradient.tail(n)))));
  if (!eta_fixed && !(diagonal[0] > 0.0)) step[0] = dual.gradient[0] > 0.0 ? -eta : eta;
  return step;
}

bool solved(const RepsDual& dual, bool eta_fixed, double tolerance) {
  const Index first = eta_fixed ? 1 : 0;
  return dual.gradient.tail(dual.gradient.size() - first).cwiseAbs().maxCoeff() <= tolerance;
}

struct Point {
  double eta;
  VectorXd v;
  RepsDual dual;
};

/// The largest part of the step that lowers the dual enough; the point itself if rounding allows none.
Point line_search(const Standard& s, double epsilon, const Point& at, const VectorXd& step) {
  const double slope = at.dual.gradient.dot(step);
  double length = 1.0;
  if (at.eta + step[0] < 0.1 * at.eta) length = std::max(0.0, (std::max(0.1 * at.eta, kLeastEta) - at.eta) / step[0]);
  for (int i = 0; i < 40; ++i, length *= 0.5) {
    Point next{std::max(kLeastEta, at.eta + length * step[0]), at.v + length * step.tail(at.v.size()), {}};
    next.dual = reps_dual(s.returns, s.base, s.P, epsilon, next.eta, next.v);
    if (next.dual.value <= at.dual.value + 1e-4 * length * slope + 1e-15 * std::abs(at.dual.value)) return next;
  }
  return at;
}

}  // namespace

RepsDual reps_dual(VectorIn returns, VectorIn base, MatrixIn P, double epsilon, double eta, VectorIn v) {
  const Index F = P.rows();
  const VectorXd delta = returns - P.transpose() * v;
  double highest = -std::numeric_limits<double>::infinity();
  for (Index n = 0; n < delta.size(); ++n)
    if (base[n] > 0.0) highest = std::max(highest, delta[n]);
  RepsDual d;
  d.weight = base.array() * ((delta.array() - highest) / eta).exp().min(1.0);
  const double Z = d.weight.sum();
  d.weight /= Z;
  const double log_mean = highest / eta + std::log(Z);
  const double mean = d.weight.dot(delta);
  const VectorXd P_mean = P * d.weight, apart = delta.array() - mean;
  const MatrixXd P_apart = P.colwise() - P_mean;
  const MatrixXd weighted = P_apart * d.weight.asDiagonal();
  d.kl = std::max(0.0, (mean - highest) / eta - std::log(Z));
  d.value = eta * (epsilon + log_mean);
  d.gradient = VectorXd(1 + F);
  d.gradient << epsilon - d.kl, -P_mean;
  d.hessian = MatrixXd(1 + F, 1 + F);
  d.hessian(0, 0) = d.weight.dot(apart.cwiseAbs2()) / (eta * eta * eta);
  d.hessian.col(0).tail(F) = weighted * apart / (eta * eta);
  d.hessian.row(0).tail(F) = d.hessian.col(0).tail(F).transpose();
  d.hessian.bottomRightCorner(F, F) = weighted * P_apart.transpose() / eta;
  return d;
}

const char* to_string(RepsStatus status) {
  switch (status) {
    case RepsStatus::ok: return "ok";
    case RepsStatus::not_finite: return "not finite";
    case RepsStatus::imprecise: return "imprecise";
  }
  return "?";
}

RepsWeights reps_weights(VectorIn returns, VectorIn base, MatrixIn phi, double epsilon) {
  require(epsilon > 0.0 && std::isfinite(epsilon), "epsilon", epsilon, "> 0 (nats)");
  if (base.size() != returns.size() || phi.cols() != returns.size() || returns.size() < 1)
    throw InputError(fmt::format("reps: {} returns, {} weights, {} features of samples, but they must agree",
                                 returns.size(), base.size(), phi.cols()));
  RepsWeights result;
  result.weight = base;
  result.v = VectorXd::Zero(phi.rows());
  if (!returns.allFinite() || !base.allFinite() || !phi.allFinite()) {
    result.status = RepsStatus::not_finite;
    result.message = "a return, weight or feature of a sample is not finite";
    return result;
  }
  const Standard s = standardise(returns, base, phi);
  if (s.unit == 0.0) {  // all returns are equal: nothing to prefer
    result.bounded = false;
    return result;
  }
  Point at{1.0 / std::sqrt(2.0 * epsilon), result.v, {}};
  at.dual = reps_dual(s.returns, s.base, s.P, epsilon, at.eta, at.v);
  bool eta_fixed = false;
  for (; result.iterations < kIterations; ++result.iterations) {
    eta_fixed = at.eta <= kLeastEta && at.dual.gradient[0] > 0.0;
    if (solved(at.dual, eta_fixed, kAim)) break;
    Point next = line_search(s, epsilon, at, newton_step(at.dual, at.eta, eta_fixed));
    const bool stuck = next.eta == at.eta && next.v == at.v;
    at = std::move(next);
    if (stuck) break;
  }
  result.weight = at.dual.weight;
  result.eta = s.unit * at.eta;
  for (Index i = 0; i < at.v.size(); ++i) result.v[i] = s.scale[i] > 0.0 ? s.unit * at.v[i] / s.scale[i] : 0.0;
  result.kl = at.dual.kl;
  result.balance = phi.rows() > 0 ? (s.P * result.weight).cwiseAbs().maxCoeff() : 0.0;
  result.bounded = !eta_fixed;
  if (!solved(at.dual, eta_fixed, kTolerance)) {
    result.status = RepsStatus::imprecise;
    result.message =
        fmt::format("KL {:.17g} for epsilon = {:.17g}, features off by {:.3g}, eta = {:.6g}, after {} iterations",
                    result.kl, epsilon, result.balance, result.eta, result.iterations);
  }
  return result;
}

}  // namespace kedge
