#include "kedge/update/reps_dual.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr double kTolerance = 1e-9;  ///< of KL and balance, as promised
constexpr double kAim = 1e-12;       ///< as aimed at
/// In standard deviations of the returns. Below it the rounding of delta / eta costs the balance.
constexpr double kLeastEta = 1e-5;
constexpr int kIterations = 100;

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

struct Point {
  double eta;
  VectorXd v;
  RepsDual dual;
};

Point point(const Standard& s, double epsilon, double eta, VectorXd v) {
  RepsDual dual = reps_dual(s.returns, s.base, s.P, epsilon, eta, v);
  return {eta, std::move(v), std::move(dual)};
}

double largest(const VectorXd& x) { return x.size() > 0 ? x.cwiseAbs().maxCoeff() : 0.0; }

/// (g_vv + damping I)^-1 x by a decomposition of the square root of g_vv: where the weights are on few samples, g_vv itself has
/// lost what this keeps. Along directions in which the dual is flat (features that depend on each other) it is zero.
VectorXd solve_curvature(const Standard& s, const Point& at, double damping, const VectorXd& x) {
  const Index F = at.v.size(), N = s.base.size();
  if (F == 0) return x;
  const VectorXd mean = -at.dual.gradient.tail(F);
  MatrixXd root(N + F, F);
  root.topRows(N) = (at.dual.weight / at.eta).cwiseSqrt().asDiagonal() * (s.P.colwise() - mean).transpose();
  root.bottomRows(F) = std::sqrt(damping) * MatrixXd::Identity(F, F);
  const auto decomposed = root.completeOrthogonalDecomposition();
  return decomposed.solve(VectorXd(decomposed.transpose().solve(x)));
}

/// The minimum of the dual over v at one eta, by damped Newton steps from `at`.
Point balanced(const Standard& s, double epsilon, Point at, int& iterations) {
  const Index F = at.v.size();
  for (int i = 0; i < kIterations && largest(at.dual.gradient.tail(F)) > kAim; ++i, ++iterations) {
    const VectorXd slope = at.dual.gradient.tail(F);
    const Point start = at;
    double damping = 0.0;
    bool lower = false;
    for (int tries = 0; tries < 40 && !lower; ++tries) {
      const VectorXd step = solve_curvature(s, start, damping, -slope);
      at = point(s, epsilon, start.eta, start.v + step);
      // Where the dual is level but for rounding, the balance says which of two points is better.
      lower = at.dual.value <= start.dual.value + 1e-4 * slope.dot(step) ||
              (at.dual.value <= start.dual.value + 1e-13 * std::abs(start.dual.value) &&
               largest(at.dual.gradient.tail(F)) < 0.5 * largest(slope));
      damping = std::max(4.0 * damping, 1e-3 * largest(slope) / start.eta);
    }
    if (!lower) return start;
  }
  return at;
}

/// Newton's step of log(eta) for log(KL) = log(epsilon) along the path v(eta); at most a factor of e.
/// @param bend  [F] dv/deta on the path
double next_eta(const Point& at, double epsilon, const VectorXd& bend) {
  const MatrixXd& H = at.dual.hessian;
  const double curvature = H(0, 0) + H.col(0).tail(bend.size()).dot(bend);
  const double wanted = std::log(at.dual.kl / epsilon) * at.dual.kl / (curvature * at.eta);
  return at.eta * std::exp(std::isfinite(wanted) ? std::clamp(wanted, -1.0, 1.0) : -1.0);
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
  // KL(eta), with v at its minimum, falls with eta: a root between two bounds, each begun where the path v(eta) leads from the last.
  Point at = point(s, epsilon, 1.0 / std::sqrt(2.0 * epsilon), result.v);
  double low = 0.0, high = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kIterations; ++i) {
    at = balanced(s, epsilon, std::move(at), result.iterations);
    result.bounded = at.eta > kLeastEta || at.dual.kl >= epsilon;
    if (!result.bounded || std::abs(at.dual.kl - epsilon) <= kAim) break;
    (at.dual.kl > epsilon ? low : high) = at.eta;
    const VectorXd bend = -solve_curvature(s, at, 0.0, at.dual.hessian.col(0).tail(result.v.size()));
    double eta = std::max(kLeastEta, next_eta(at, epsilon, bend));
    if (!(low < eta && eta < high)) eta = std::isinf(high) ? 4.0 * low : std::sqrt(std::max(low, kLeastEta) * high);
    if (eta == at.eta || eta == low || eta == high) break;
    at = point(s, epsilon, eta, at.v + (eta - at.eta) * bend);
  }
  result.weight = at.dual.weight;
  result.eta = s.unit * at.eta;
  for (Index i = 0; i < at.v.size(); ++i) result.v[i] = s.scale[i] > 0.0 ? s.unit * at.v[i] / s.scale[i] : 0.0;
  result.kl = at.dual.kl;
  result.balance = phi.rows() > 0 ? (s.P * result.weight).cwiseAbs().maxCoeff() : 0.0;
  if (result.balance > kTolerance || (result.bounded && std::abs(result.kl - epsilon) > kTolerance)) {
    result.status = RepsStatus::imprecise;
    result.message =
        fmt::format("KL {:.17g} for epsilon = {:.17g}, features off by {:.3g}, eta = {:.6g}, after {} iterations",
                    result.kl, epsilon, result.balance, result.eta, result.iterations);
  }
  return result;
}

}  // namespace kedge
