#include "kedge/update/moto_update.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Bounds count as met up to this relative error.
constexpr double tolerance = 1e-9;
/// The search accepts a KL in [epsilon (1 - 2 margin), epsilon]: below the bound by more than rounding usually adds
/// when the policy is stored, and by less than anybody notices.
constexpr double margin = 1e-12;

// ---- The dual -------------------------------------------------------------------------------------------------------
//
// With A = U diag(lambda) U', h = B xi + g = dQ/dalpha at the old mean and s_i = (U' E[h h'] U)_ii, the solution is
//   Sigma' = C U diag(r) U' C',   mean' = K s + k + C U diag(1/x) U' h,   x_i = eta - lambda_i > 0,  r_i = (eta + omega) / x_i
//   KL = 1/2 sum_i [ r_i - 1 - log r_i + s_i / x_i^2 ],   H' - H = 1/2 sum_i log r_i
// For every eta the best omega >= 0 is explicit: the one that meets H' = H - beta0, or 0 where H' is larger without it.
// What remains is one equation in one unknown: epsilon - KL(eta, omega(eta)) is the derivative of a convex function, so
// KL falls with eta, from infinity at eta = max(0, lambda_max) (finite only if lambda_max < 0 and beta0 is finite).
// The unknown is d = eta - max(0, lambda_max), so that no x_i suffers from cancellation.

struct Dual {
  VectorXd lambda;  ///< [da] ascending, largest entry of A, B, g of order 1
  VectorXd s;       ///< [da] >= 0
  TrustRegion bounds;
  double kl_min = 0.0;  ///< the KL for eta -> infinity: 0, or what the entropy constraint costs if beta0 < 0
  double top = 0.0;     ///< max(0, lambda_max)

  [[nodiscard]] double x(Index i, double d) const { return d + (top - lambda[i]); }
};

struct DualPoint {
  double d = 0.0, eta = 0.0, omega = 0.0;
  double kl = 0.0;     ///< at (eta, omega(eta)), nats
  double slope = 0.0;  ///< its derivative by eta, < 0
};

/// omega(eta) and KL(eta, omega(eta)). @param d >= 0; > 0 unless lambda_max < 0 and beta0 is finite
DualPoint evaluate(const Dual& dual, double d) {
  const Index da = dual.lambda.size();
  const double n = static_cast<double>(da);
  DualPoint p;
  p.d = d;
  p.eta = dual.top + d;

  double growth = 1.0 / p.eta;  // d log(eta + omega) / d eta
  if (dual.bounds.beta0 < infinity) {
    const double unit = p.eta > 0.0 ? p.eta : 1.0;
    double log_total = -2.0 * dual.bounds.beta0 / n;  // log((eta + omega) / unit) that meets the entropy constraint
    double mean_inverse = 0.0;
    for (Index i = 0; i < da; ++i) {
      const double x = dual.x(i, d), ratio = dual.lambda[i] / unit;
      const bool near_one = p.eta > 0.0 && std::abs(ratio) < 0.5;
      log_total += (near_one ? std::log1p(-ratio) : std::log(x / unit)) / n;
      mean_inverse += 1.0 / (x * n);
    }
    if (p.eta == 0.0 || log_total > 0.0) {
      p.omega = p.eta > 0.0 ? p.eta * std::expm1(log_total) : std::exp(log_total);
      growth = mean_inverse;
    }
  }
  for (Index i = 0; i < da; ++i) {
    const double inverse = 1.0 / dual.x(i, d);
    const double change = (p.omega + dual.lambda[i]) * inverse;  // r_i - 1
    const double spread =
        std::abs(change) < 0.1 ? x_minus_log1p(change) : change - std::log((p.eta + p.omega) * inverse);
    const double mean = dual.s[i] * inverse * inverse;
    p.kl += 0.5 * (spread + mean);
    p.slope += 0.5 * change * (growth - inverse) - mean * inverse;
  }
  return p;
}

/// A good place to start: no single term of the KL may exceed epsilon, which bounds d from below. (The bound by negative
/// lambda holds for omega = 0 only; the search does not rely on it.)
double first_guess(const Dual& dual) {
  const double epsilon = dual.bounds.epsilon, root = std::sqrt(epsilon);
  double d = 1e-280;
  if (dual.top > 0.0) d = std::max(d, dual.top / (2.0 * epsilon + 2.0 * root));
  for (Index i = 0; i < dual.lambda.size(); ++i) {
    const double shrink = std::max(1.0 / std::expm1(1.0 + 2.0 * epsilon), 0.5 / root - 1.0);
    d = std::max(d, std::sqrt(0.5 * dual.s[i]) / root - (dual.top - dual.lambda[i]));
    d = std::max(d, -dual.lambda[i] * shrink - dual.top);
  }
  return d;
}

/// Solves KL = epsilon for kl_min <= epsilon < infinity and lambda, s not all zero; eta = 0 if the KL stays below.
/// Newton's method on (KL - kl_min)^(-1/2), nearly linear in d both near the poles of the KL and far from them (as for
/// the secular equation of trust-region methods), inside a bracket.
DualPoint solve(const Dual& dual) {
  const double epsilon = dual.bounds.epsilon;
  double low = 0.0, high = infinity;  // KL > epsilon at low (or low = 0); KL <= epsilon at high
  const double guess = first_guess(dual);
  double d = guess;
  if (dual.lambda.maxCoeff() < 0.0 && dual.bounds.beta0 < infinity) {
    const DualPoint newton_step = evaluate(dual, 0.0);
    if (newton_step.kl <= epsilon) return newton_step;
    d = 0.0;
  }
  const double target = (epsilon - dual.kl_min) * (1.0 - margin);
  DualPoint p;
  for (int iteration = 0; iteration < 300; ++iteration) {
    p = evaluate(dual, d);
    if (p.kl <= epsilon && p.kl >= epsilon * (1.0 - 2.0 * margin)) return p;
    (p.kl > epsilon ? low : high) = d;
    if (high <= low * (1.0 + 4e-16) || high < 1e-290) break;

    const double above = p.kl - dual.kl_min;
    d += 2.0 * above * (1.0 - std::sqrt(above / target)) / p.slope;
    const bool newton = iteration < 16 || iteration % 2 == 0;  // else bisect in log d: ends whatever the KL looks like
    if (newton && d > low && d < high) continue;
    if (high == infinity)
      d = std::max(8.0 * low, guess);
    else
      d = low > 0.0 ? std::sqrt(low) * std::sqrt(high) : 1e-3 * high;
  }
  return high < infinity ? evaluate(dual, high) : p;
}

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

/// The power of two below the largest entry: dividing by it is exact, and makes the solution independent of the units of
/// Q. 0 if Q = 0.
double scale_of(const WhitenedQuadratic& q) {
  double largest = std::max(q.A.cwiseAbs().maxCoeff(), q.g.cwiseAbs().maxCoeff());
  if (q.B.size() > 0) largest = std::max(largest, q.B.cwiseAbs().maxCoeff());
  return largest > 0.0 ? std::ldexp(1.0, std::ilogb(largest)) : 0.0;
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

}  // namespace

const char* to_string(UpdateStatus status) {
  switch (status) {
    case UpdateStatus::ok: return "ok";
    case UpdateStatus::not_finite: return "not finite";
    case UpdateStatus::infeasible: return "infeasible";
    case UpdateStatus::unbounded: return "unbounded";
    case UpdateStatus::imprecise: return "imprecise";
  }
  return "?";
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
  X.row(ds) = dK * rho.mean + p.k - q.k;
  X.bottomRows(da) = p.C.transpose();
  divide_right_transposed(X, q.C);
  const auto R = X.bottomRows(da);  // transposed: upper triangular
  double sum = X.topRows(ds + 1).squaredNorm();
  for (Index j = 0; j < da; ++j) sum += scale_divergence(R(j, j)) + R.col(j).head(j).squaredNorm();
  return 0.5 * sum;
}

MotoUpdate moto_update(const LinearGaussian& pi, const WhitenedQuadratic& q, const Gaussian& rho,
                       const TrustRegion& bounds) {
  require(bounds.epsilon > 0.0, "epsilon", bounds.epsilon, "> 0 (nats)");
  require(!std::isnan(bounds.beta0), "beta0", bounds.beta0, "a number (nats)");
  check_shapes(pi, q.A, q.B, q.g, rho);
  const Index da = pi.k.size(), ds = rho.mean.size();
  const double n = static_cast<double>(da);

  MotoUpdate update;
  update.next = pi;
  const auto fail = [&](UpdateStatus status, std::string message) {
    update.status = status;
    update.message = std::move(message);
    return update;
  };
  if (const char* what = not_finite(pi, q, rho))
    return fail(UpdateStatus::not_finite, fmt::format("{} contains a number that is not finite", what));
  update.entropy = entropy(pi.C);
  update.beta = update.entropy - bounds.beta0;

  // The cheapest way to more entropy: the same mean and an evenly inflated covariance.
  const double inflation = bounds.beta0 < 0.0 ? std::expm1(-2.0 * bounds.beta0 / n) : 0.0;
  const double kl_min = inflation < infinity ? 0.5 * n * x_minus_log1p(inflation) : infinity;
  if (kl_min > bounds.epsilon || kl_min == infinity)
    return fail(UpdateStatus::infeasible,
                fmt::format("an entropy higher by {:.6g} nats needs a KL of at least {:.6g}, but epsilon = {:.6g}",
                            -bounds.beta0, kl_min, bounds.epsilon));

  LinearGaussian next = pi;
  double eta = 0.0, omega = 0.0, gain = 0.0;
  const double scale = scale_of(q);
  if (scale == 0.0) {
    if (bounds.beta0 >= 0.0) return update;
    next.Sigma *= 1.0 + inflation;
  } else {
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(symmetric_part(q.A / scale));
    const MatrixXd& U = eigen.eigenvectors();
    MatrixXd G(da, ds + 1);  // U'[B g]: h = G [xi; 1] in the coordinates of the eigenvectors
    G << q.B, q.g;
    G = U.transpose() * G / scale;
    const Dual dual{eigen.eigenvalues(), G.rowwise().squaredNorm(), bounds, kl_min,
                    std::max(0.0, eigen.eigenvalues()[da - 1])};
    update.qaa_max = scale * dual.lambda[da - 1];

    DualPoint p;
    if (bounds.epsilon < infinity) {
      p = solve(dual);
    } else {
      const double rounding = n * std::numeric_limits<double>::epsilon() * dual.lambda.cwiseAbs().maxCoeff();
      if (dual.lambda[da - 1] >= -rounding || bounds.beta0 == infinity)
        return fail(
            UpdateStatus::unbounded,
            fmt::format("without a bound on the KL, Q must be strictly concave in the action and beta0 finite, but "
                        "the largest eigenvalue of C'Qaa C is {:.6g} and beta0 = {:.6g}",
                        update.qaa_max, bounds.beta0));
      p = evaluate(dual, 0.0);
    }

    VectorXd F(da), r(da);
    for (Index i = 0; i < da; ++i) {
      F[i] = 1.0 / dual.x(i, p.d);
      r[i] = (p.eta + p.omega) * F[i];
      // E Q changes by tr(A (Sigma' - I)) / 2 + E[h'F h + h'F A F h / 2]
      gain += 0.5 * dual.lambda[i] * (p.omega + dual.lambda[i]) * F[i] +
              dual.s[i] * F[i] * (1.0 + 0.5 * dual.lambda[i] * F[i]);
    }
    const MatrixXd V = pi.C * U;
    next.Sigma.noalias() = V * r.asDiagonal() * V.transpose();
    const MatrixXd shift = V * F.asDiagonal() * G;  // new mean - old mean = shift [xi; 1], xi = L^-1 (s - mu)
    const MatrixXd dK = divide_right(shift.leftCols(ds), rho.L);
    next.K += dK;
    next.k += shift.col(ds) - dK * rho.mean;
    eta = scale * p.eta;
    omega = scale * p.omega;
    gain *= scale;
  }

  // Trust only what the stored parameters say.
  next.Sigma = symmetric_part(next.Sigma);
  const Eigen::LLT<MatrixXd> cholesky(next.Sigma);
  next.C = cholesky.matrixL();
  const double kl = expected_kl(next, pi, rho), h = entropy(next.C);
  const double kl_residual = std::max(0.0, kl - bounds.epsilon) / bounds.epsilon;
  const double entropy_residual = std::max(0.0, update.beta - h) / std::max(1.0, std::abs(update.beta));
  const bool met = kl_residual <= tolerance && entropy_residual <= tolerance;
  if (cholesky.info() != Eigen::Success || !met || !std::isfinite(kl + h + eta + omega + gain))
    return fail(
        UpdateStatus::imprecise,
        fmt::format(
            "KL {:.17g} for epsilon = {:.17g}, entropy {:.17g} for beta = {:.17g}, eta = {:.6g}, omega = {:.6g}", kl,
            bounds.epsilon, h, update.beta, eta, omega));
  return {UpdateStatus::ok, "", std::move(next), eta, omega, kl, h, update.beta, gain, kl_residual, entropy_residual,
          update.qaa_max};
}

}  // namespace kedge
