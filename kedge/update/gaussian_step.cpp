#include "kedge/update/gaussian_step.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/math/compensated.h"

namespace kedge {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The search accepts a KL in [epsilon (1 - 2 kMargin), epsilon]: below the bound by more than rounding usually adds
/// when the policy is stored, and by less than anybody notices.
constexpr double kMargin = 1e-12;
/// Where rounding adds more, the search is repeated with tighter bounds, so often at most and down to epsilon / 2.
constexpr int kAttempts = 8;

// ---- Matrices -------------------------------------------------------------------------------------------------------

void check_shapes(const LinearGaussian& pi, const MatrixXd& A, const MatrixXd& B, const VectorXd& g,
                  const Gaussian& rho) {
  const Index da = pi.k.size(), ds = rho.mean.size();
  const auto is = [](const MatrixXd& m, Index rows, Index cols) { return m.rows() == rows && m.cols() == cols; };
  if (da < 1 || !is(pi.K, da, ds) || !is(pi.Sigma, da, da) || !is(pi.C, da, da) || !is(A, da, da) || !is(B, da, ds) ||
      g.size() != da || !is(rho.L, ds, ds))
    throw InputError(
        fmt::format("policy update: k has {} entries, K is {}x{}, Sigma {}x{}, the state distribution has {} "
                    "dimensions, and Q has blocks {}x{}, {}x{} and {}, but da and ds must agree",
                    da, pi.K.rows(), pi.K.cols(), pi.Sigma.rows(), pi.Sigma.cols(), ds, A.rows(), A.cols(), B.rows(),
                    B.cols(), g.size()));
}

/// Which input is not finite; null: none.
const char* not_finite(const LinearGaussian& pi, const WhitenedQuadratic& q, const Gaussian& rho) {
  const auto finite = [](const auto& m) { return (0.0 * m).sum() == 0.0; };  // vectorised, unlike allFinite()
  if (!(finite(q.A) && finite(q.B) && finite(q.g))) return "the quadratic model of Q";
  if (!(finite(pi.K) && finite(pi.k) && finite(pi.Sigma) && finite(pi.C))) return "the old policy";
  if (!(finite(rho.mean) && finite(rho.L))) return "the state distribution";
  return nullptr;
}

/// X L^-1 for a lower triangular L, column by column from the last. (For matrices this small, half the time of Eigen's
/// blocked triangular solver.)
MatrixXd divide_right(MatrixXd X, const MatrixXd& L) {
  for (Index j = L.cols() - 1; j >= 0; --j) {
    const Index done = L.cols() - 1 - j;
    X.col(j).noalias() -= X.rightCols(done) * L.col(j).tail(done);
    X.col(j) /= L(j, j);
  }
  return X;
}

/// X L'^-1 for a lower triangular L, column by column from the first.
void divide_right_transposed(MatrixXd& X, const MatrixXd& L) {
  for (Index j = 0; j < L.cols(); ++j) {
    for (Index i = 0; i < j; ++i) X.col(j) -= L(j, i) * X.col(i);
    X.col(j) /= L(j, j);
  }
}

MatrixXd symmetric_part(const MatrixXd& m) { return 0.5 * (m + m.transpose()); }

// ---- The dual -------------------------------------------------------------------------------------------------------
//
// With A = U diag(lambda) U', h = B xi + g = dQ/dalpha at the old mean and s_i = (U' E[h h'] U)_ii, the solution is
//   Sigma' = C U diag(r) U' C',   mean' = K s + k + C U diag(1/x) U' h,   x_i = eta - lambda_i > 0,  r_i = (eta + omega) / x_i
//   KL = 1/2 sum_i [ r_i - 1 - log r_i + s_i / x_i^2 ],   H' - H = 1/2 sum_i log r_i
// For every eta the best omega >= 0 is explicit: the one that meets H' = H - entropy_drop, or 0 where H' is larger without it.
// What remains is one equation in one unknown: epsilon - KL(eta, omega(eta)) is the derivative of a convex function, so
// KL falls with eta, from infinity at eta = max(0, lambda_max) (finite only if lambda_max < 0 and the entropy is bounded).
// The unknown is d = eta - max(0, lambda_max), so that no x_i suffers from cancellation.

/// Q along the eigenvectors of its curvature, in units of `scale`, where its largest entry is of order 1.
struct EigenQuadratic {
  double scale = 0.0;  ///< a power of two: dividing by it is exact, whatever the units of Q; 0 if Q = 0
  VectorXd lambda;     ///< [da] ascending: the eigenvalues of A
  MatrixXd V;          ///< [da, da] C U: the eigenvectors, in the units of the action
  MatrixXd G;          ///< [da, ds + 1] U'[B g], so that U'h = G [xi; 1]
  VectorXd s;          ///< [da] E (U'h)_i^2 >= 0

  [[nodiscard]] Index da() const { return lambda.size(); }
  [[nodiscard]] double lambda_max() const { return lambda[da() - 1]; }
};

/// The power of two below the largest entry; 0 if Q = 0.
double scale_of(const WhitenedQuadratic& q) {
  double largest = std::max(q.A.cwiseAbs().maxCoeff(), q.g.cwiseAbs().maxCoeff());
  if (q.B.size() > 0) largest = std::max(largest, q.B.cwiseAbs().maxCoeff());
  return largest > 0.0 ? std::ldexp(1.0, std::ilogb(largest)) : 0.0;
}

EigenQuadratic diagonalise(const WhitenedQuadratic& q, const MatrixXd& C) {
  EigenQuadratic e;
  e.scale = scale_of(q);
  const double unit = e.scale > 0.0 ? e.scale : 1.0;
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(symmetric_part(q.A / unit));
  const MatrixXd& U = eigen.eigenvectors();
  e.lambda = eigen.eigenvalues();
  e.V.noalias() = C * U;
  MatrixXd h(q.A.rows(), q.B.cols() + 1);
  h << q.B, q.g;
  e.G.noalias() = U.transpose() * h;
  e.G /= unit;
  e.s = e.G.rowwise().squaredNorm();
  return e;
}

/// r - 1 of the evenly inflated covariance whose entropy is just high enough; 0 if the entropy may fall.
double inflation(Index da, const TrustRegion& bounds) {
  const double drop = bounds.entropy_drop.value_or(0.0);
  return drop < 0.0 ? std::expm1(-2.0 * drop / static_cast<double>(da)) : 0.0;
}

/// The KL for eta -> infinity, the least that the entropy constraint costs: of the old mean and that covariance, nats.
double smallest_kl(Index da, const TrustRegion& bounds) {
  const double change = inflation(da, bounds);
  return change < kInfinity ? 0.5 * static_cast<double>(da) * x_minus_log1p(change) : kInfinity;
}

struct Dual {
  const EigenQuadratic& q;
  TrustRegion bounds;
  double kl_min = smallest_kl(q.da(), bounds);
  double top = std::max(0.0, q.lambda_max());

  [[nodiscard]] double x(Index i, double d) const { return d + (top - q.lambda[i]); }
  /// Whether eta = 0 is allowed: the Newton step, with a variance that only the entropy constraint holds up.
  [[nodiscard]] bool has_newton_step() const { return q.lambda_max() < 0.0 && bounds.entropy_drop; }
};

struct DualPoint {
  double d = 0.0, eta = 0.0, omega = 0.0;
  double growth = 0.0;  ///< d log(eta + omega) / d eta
  double kl = 0.0;      ///< at (eta, omega(eta)), nats
  double slope = 0.0;   ///< its derivative by eta, < 0
};

/// omega(eta) = max(0, exp([sum_i log x_i - 2 entropy_drop] / da) - eta), as eta (exp(...) - 1) so that nothing cancels.
void set_omega(const Dual& dual, DualPoint& p) {
  p.growth = 1.0 / p.eta;
  if (!dual.bounds.entropy_drop) return;
  const double n = static_cast<double>(dual.q.da());
  const double unit = p.eta > 0.0 ? p.eta : 1.0;
  double log_total =
      -2.0 * *dual.bounds.entropy_drop / n;  // log((eta + omega) / unit) that meets the entropy constraint
  double mean_inverse = 0.0;
  for (Index i = 0; i < dual.q.da(); ++i) {
    const double x = dual.x(i, p.d), ratio = dual.q.lambda[i] / unit;
    const bool near_one = p.eta > 0.0 && std::abs(ratio) < 0.5;
    log_total += (near_one ? std::log1p(-ratio) : std::log(x / unit)) / n;
    mean_inverse += 1.0 / (x * n);
  }
  if (p.eta > 0.0 && log_total <= 0.0) return;
  p.omega = p.eta > 0.0 ? p.eta * std::expm1(log_total) : std::exp(log_total);
  p.growth = mean_inverse;
}

/// KL(eta, omega) and its derivative along omega(eta).
void set_kl(const Dual& dual, DualPoint& p) {
  for (Index i = 0; i < dual.q.da(); ++i) {
    const double inverse = 1.0 / dual.x(i, p.d);
    const double change = (p.omega + dual.q.lambda[i]) * inverse;  // r_i - 1
    const double spread =
        std::abs(change) < 0.1 ? x_minus_log1p(change) : change - std::log((p.eta + p.omega) * inverse);
    const double mean = dual.q.s[i] * inverse * inverse;
    p.kl += 0.5 * (spread + mean);
    p.slope += 0.5 * change * (p.growth - inverse) - mean * inverse;
  }
}

/// The dual at eta = top + d. @param d > 0, or 0 if there is a Newton step
DualPoint evaluate(const Dual& dual, double d) {
  DualPoint p;
  p.d = d;
  p.eta = dual.top + d;
  set_omega(dual, p);
  set_kl(dual, p);
  return p;
}

/// A good place to start: no single term of the KL may exceed epsilon, which bounds d from below. (The bound by negative
/// lambda holds for omega = 0 only; the search does not rely on it.)
double first_guess(const Dual& dual) {
  const double epsilon = dual.bounds.epsilon, root = std::sqrt(epsilon);
  double d = 1e-280;
  if (dual.top > 0.0) d = std::max(d, dual.top / (2.0 * epsilon + 2.0 * root));
  for (Index i = 0; i < dual.q.lambda.size(); ++i) {
    const double shrink = std::max(1.0 / std::expm1(1.0 + 2.0 * epsilon), 0.5 / root - 1.0);
    d = std::max(d, std::sqrt(0.5 * dual.q.s[i]) / root - (dual.top - dual.q.lambda[i]));
    d = std::max(d, -dual.q.lambda[i] * shrink - dual.top);
  }
  return d;
}

/// Where Newton's method on (KL - kl_min)^(-1/2) goes from p: that is nearly linear in d both near the poles of the KL and
/// far from them (as for the secular equation of trust-region methods).
double newton(const Dual& dual, const DualPoint& p) {
  const double target = (dual.bounds.epsilon - dual.kl_min) * (1.0 - kMargin);
  const double above = p.kl - dual.kl_min;
  return p.d + 2.0 * above * (1.0 - std::sqrt(above / target)) / p.slope;
}

/// Solves KL = epsilon for kl_min <= epsilon and lambda, s not all zero, by Newton's method inside a bracket; eta = 0 if
/// the KL of the Newton step of Q is smaller.
DualPoint solve(const Dual& dual) {
  const double epsilon = dual.bounds.epsilon;
  double low = 0.0, high = kInfinity;  // KL > epsilon at low (or low = 0); KL <= epsilon at high
  const double guess = dual.has_newton_step() ? 0.0 : first_guess(dual);
  double d = guess;
  DualPoint p;
  for (int iteration = 0; iteration < 300; ++iteration) {
    p = evaluate(dual, d);
    if (p.kl <= epsilon && (d == 0.0 || p.kl >= epsilon * (1.0 - 2.0 * kMargin))) return p;
    (p.kl > epsilon ? low : high) = d;
    if (high <= low * (1.0 + 4e-16) || high < 1e-290) break;

    d = newton(dual, p);
    const bool trust = iteration < 16 || iteration % 2 == 0;  // else bisect in log d: ends whatever the KL looks like
    if (trust && d > low && d < high) continue;
    if (high == kInfinity)
      d = std::max(8.0 * low, first_guess(dual));
    else
      d = low > 0.0 ? std::sqrt(low) * std::sqrt(high) : 1e-3 * high;
  }
  return high < kInfinity ? evaluate(dual, high) : p;
}

/// Whether the maximum is attained: it is if the KL is bounded; else Q must be strictly concave and the entropy bounded.
bool is_attained(const EigenQuadratic& q, const TrustRegion& bounds) {
  const double rounding =
      static_cast<double>(q.da()) * std::numeric_limits<double>::epsilon() * q.lambda.cwiseAbs().maxCoeff();
  return bounds.epsilon < kInfinity || q.scale == 0.0 || (q.lambda_max() < -rounding && bounds.entropy_drop);
}

// ---- From the multipliers to the policy -----------------------------------------------------------------------------

/// What the policy does along each eigenvector. Multipliers and gain in units of the scale of Q.
struct Step {
  VectorXd F;  ///< [da] 1 / x_i: the mean moves by V diag(F) G [xi; 1]
  VectorXd r;  ///< [da] the new variance, as a multiple of the old one
  double eta = 0.0, omega = 0.0;
  double gain = 0.0;  ///< change of E Q
};

/// The step at a solution of the dual. E Q changes by tr(A (Sigma' - I)) / 2 + E[h'F h + h'F A F h / 2].
Step step_of(const Dual& dual, const DualPoint& p) {
  const EigenQuadratic& q = dual.q;
  Step step{VectorXd(q.da()), VectorXd(q.da()), p.eta, p.omega, 0.0};
  for (Index i = 0; i < q.da(); ++i) {
    const double F = 1.0 / dual.x(i, p.d);
    step.F[i] = F;
    step.r[i] = (p.eta + p.omega) * F;
    step.gain += 0.5 * q.lambda[i] * (p.omega + q.lambda[i]) * F + q.s[i] * F * (1.0 + 0.5 * q.lambda[i] * F);
  }
  return step;
}

/// If Q = 0, all feasible policies are equally good: the nearest one.
Step nearest_step(Index da, const TrustRegion& bounds) {
  return {VectorXd::Zero(da), VectorXd::Constant(da, 1.0 + inflation(da, bounds)), 0.0, 0.0, 0.0};
}

Step best_step(const EigenQuadratic& q, const TrustRegion& bounds) {
  if (q.scale == 0.0) return nearest_step(q.da(), bounds);
  const Dual dual{q, bounds};
  return step_of(dual, bounds.epsilon < kInfinity ? solve(dual) : evaluate(dual, 0.0));
}

/// Sigma' = V diag(r) V' and K' = K + V diag(F) G_xi L^-1, rounded, and the k' with which the mean at mu_s moves by
/// V diag(F) G_1 for this rounded K': far from the origin that makes a difference. If Sigma' is not positive, C is NaN.
LinearGaussian stored(const Step& step, const EigenQuadratic& q, const LinearGaussian& pi, const Gaussian& rho) {
  const Index ds = rho.mean.size();
  const MatrixXd shift = q.V * step.F.asDiagonal() * q.G;  // new mean - old mean = shift [xi; 1], xi = L^-1 (s - mu)
  LinearGaussian next;
  next.K = pi.K + divide_right(shift.leftCols(ds), rho.L);
  next.k = pi.k + shift.col(ds) - (next.K - pi.K) * rho.mean;
  next.Sigma = symmetric_part(q.V * step.r.asDiagonal() * q.V.transpose());
  const Eigen::LLT<MatrixXd> cholesky(next.Sigma);
  next.C = cholesky.matrixL();
  if (cholesky.info() != Eigen::Success) next.C.setConstant(std::numeric_limits<double>::quiet_NaN());
  return next;
}

/// True if the measured step keeps both bounds.
bool within_bounds(const GaussianStep& u) {
  return std::isfinite(u.kl + u.entropy + u.eta + u.omega + u.gain) && u.kl_residual <= kBoundTolerance &&
         u.entropy_residual <= kBoundTolerance;
}

/// Tighter by twice what the stored policy missed of the bounds: rounding differs from one attempt to the next.
TrustRegion tightened(const TrustRegion& aim, const GaussianStep& missed, const TrustRegion& bounds) {
  TrustRegion tighter = aim;
  tighter.epsilon -= 2.0 * std::max(0.0, missed.kl - bounds.epsilon);
  if (tighter.entropy_drop) *tighter.entropy_drop -= 2.0 * std::max(0.0, missed.beta - missed.entropy);
  return tighter;
}

}  // namespace

const char* to_string(StepStatus status) {
  switch (status) {
    case StepStatus::ok: return "ok";
    case StepStatus::not_finite: return "not finite";
    case StepStatus::infeasible: return "infeasible";
    case StepStatus::unbounded: return "unbounded";
    case StepStatus::imprecise: return "imprecise";
  }
  return "?";
}

double least_entropy(double entropy, const TrustRegion& bounds) {
  return bounds.entropy_drop ? entropy - *bounds.entropy_drop : -kInfinity;
}

WhitenedQuadratic whiten(const ActionQuadratic& q, const LinearGaussian& pi, const Gaussian& rho) {
  check_shapes(pi, q.Qaa, q.Qas, q.qa, rho);
  const MatrixXd Qaa = symmetric_part(q.Qaa);
  const MatrixXd H = Qaa * pi.K + q.Qas;  // dQ/da at the old mean is H s + Qaa k + qa
  const auto Ct = pi.C.transpose();
  return {symmetric_part(Ct * Qaa * pi.C), Ct * H * rho.L, Ct * (H * rho.mean + Qaa * pi.k + q.qa)};
}

ActionQuadratic unwhiten(const WhitenedQuadratic& q, const LinearGaussian& pi, const Gaussian& rho) {
  check_shapes(pi, q.A, q.B, q.g, rho);
  const auto Ct = pi.C.transpose().triangularView<Eigen::Upper>();
  const MatrixXd Qaa = symmetric_part(divide_right(Ct.solve(symmetric_part(q.A)), pi.C));
  const MatrixXd H = divide_right(Ct.solve(q.B), rho.L);
  return {Qaa, H - Qaa * pi.K, Ct.solve(q.g) - H * rho.mean - Qaa * pi.k};
}

double expected_kl(const LinearGaussian& p, const LinearGaussian& q, const Gaussian& rho) {
  // 2 KL = tr(R R') - da - log|R R'| + E|Cq^-1 (mean_p - mean_q)|^2 with R = Cq^-1 Cp, lower triangular: the first part is
  // sum_i [R_ii^2 - 1 - log R_ii^2] + sum_{i>j} R_ij^2.
  const Index da = p.k.size(), ds = rho.mean.size();
  const MatrixXd dK = p.K - q.K;
  MatrixXd X(ds + 1 + da, da);  // [dK L, dK mu + dk, Cp]' to be divided by Cq'
  X.topRows(ds).noalias() = rho.L.transpose() * dK.transpose();
  X.row(ds) = affine_difference(p.K, p.k, q.K, q.k, rho.mean);  // far from the origin dK mu and dk cancel
  X.bottomRows(da) = p.C.transpose();
  divide_right_transposed(X, q.C);
  const auto R = X.bottomRows(da);  // transposed: upper triangular
  double sum = X.topRows(ds + 1).squaredNorm();
  for (Index j = 0; j < da; ++j) sum += scale_divergence(R(j, j)) + R.col(j).head(j).squaredNorm();
  return 0.5 * sum;
}

double expected_kl(const LinearGaussian& p, const LinearGaussian& q, const Moments& state) {
  // As above, but for the part of the means: E|Cq^-1 (dK s + dk)|^2 without a factor of the covariance.
  const auto Cq = q.C.triangularView<Eigen::Lower>();
  const MatrixXd R = Cq.solve(p.C), D = Cq.solve(p.K - q.K);
  double sum = (D * state.mean + Cq.solve(p.k - q.k)).squaredNorm();
  const MatrixXd DP = D * state.cov;
  for (Index i = 0; i < D.rows(); ++i) sum += std::max(0.0, DP.row(i).dot(D.row(i)));
  for (Index j = 0; j < R.cols(); ++j) sum += scale_divergence(R(j, j)) + R.col(j).tail(R.rows() - j - 1).squaredNorm();
  return 0.5 * sum;
}

GaussianStep gaussian_step(const LinearGaussian& pi, const WhitenedQuadratic& q, const Gaussian& rho,
                           const TrustRegion& bounds) {
  require(bounds.epsilon > 0.0, "epsilon", bounds.epsilon, "> 0 (nats)");
  const double drop = bounds.entropy_drop.value_or(0.0);
  require(std::isfinite(drop), "entropy_drop", drop, "finite (nats)");
  check_shapes(pi, q.A, q.B, q.g, rho);
  const Index da = pi.k.size();

  GaussianStep old;  // the result without a step
  old.next = pi;
  old.entropy = entropy(pi.C);
  old.beta = least_entropy(old.entropy, bounds);
  const auto fail = [&old](StepStatus status, std::string message) {
    old.status = status;
    old.message = std::move(message);
    return old;
  };

  if (const char* what = not_finite(pi, q, rho))
    return fail(StepStatus::not_finite, fmt::format("{} contains a number that is not finite", what));
  if (const double kl = smallest_kl(da, bounds); kl > bounds.epsilon || kl == kInfinity)
    return fail(StepStatus::infeasible,
                fmt::format("an entropy higher by {:.6g} nats needs a KL of at least {:.6g}, but epsilon = {:.6g}",
                            -drop, kl, bounds.epsilon));
  const EigenQuadratic e = diagonalise(q, pi.C);
  old.qaa_max = e.scale * e.lambda_max();
  if (e.scale == 0.0 && drop >= 0.0) return old;
  if (!is_attained(e, bounds))
    return fail(
        StepStatus::unbounded,
        fmt::format("without a bound on the KL, Q must be strictly concave in the action and the entropy "
                    "bounded, but the largest eigenvalue of C'Qaa C is {:.6g} and there is {} entropy constraint",
                    old.qaa_max, bounds.entropy_drop ? "an" : "no"));

  GaussianStep update;
  update.beta = old.beta;
  update.qaa_max = old.qaa_max;
  TrustRegion aim = bounds;
  for (int i = 0; i < kAttempts && aim.epsilon >= 0.5 * bounds.epsilon && smallest_kl(da, aim) <= aim.epsilon; ++i) {
    const Step step = best_step(e, aim);
    update.next = stored(step, e, pi, rho);
    update.eta = e.scale * step.eta;
    update.omega = e.scale * step.omega;
    update.gain = e.scale * step.gain;
    measure_step(pi, rho, update);
    update.kl_residual = relative_excess(update.kl, bounds.epsilon);
    if (within_bounds(update)) return update;
    aim = tightened(aim, update, bounds);
  }
  return fail(StepStatus::imprecise,
              fmt::format("KL {:.17g} for epsilon = {:.17g}, entropy {:.17g} for beta = {:.17g}, eta = {:.6g}, omega = "
                          "{:.6g}",
                          update.kl, bounds.epsilon, update.entropy, update.beta, update.eta, update.omega));
}

}  // namespace kedge
