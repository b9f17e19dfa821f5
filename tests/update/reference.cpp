#include "reference.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace kedge::test {

namespace {

constexpr Real pi_number = std::numbers::pi_v<Real>;

Real log_determinant(const Matrix& m) { return std::log(m.determinant()); }
Real quadratic(const Vector& x, const Matrix& m) { return x.dot(m * x); }
Matrix symmetrised(const Matrix& m) { return (m + m.transpose()) / 2; }

#ifdef __SIZEOF_FLOAT128__
__extension__ using Quad = __float128;
#else
using Quad = long double;  // as precise, where there is no other
#endif

/// dK s + k_p - k_q with 113 bits: far from the origin large terms cancel.
Vector mean_difference(const RawPolicy& p, const RawPolicy& q, const VectorXd& s) {
  Vector d(p.k.size());
  for (Index i = 0; i < d.size(); ++i) {
    Quad sum = static_cast<Quad>(p.k[i]) - static_cast<Quad>(q.k[i]);
    for (Index j = 0; j < s.size(); ++j)
      sum += (static_cast<Quad>(p.K(i, j)) - static_cast<Quad>(q.K(i, j))) * static_cast<Quad>(s[j]);
    d[i] = static_cast<Real>(sum);
  }
  return d;
}

}  // namespace

RawPolicy raw(const LinearGaussian& pi) { return {pi.K.cast<Real>(), pi.k.cast<Real>(), pi.Sigma.cast<Real>()}; }

Real expected_return(const Problem& problem, const RawPolicy& p) {
  const Matrix Qaa = symmetrised(problem.q.Qaa.cast<Real>()), Qas = problem.q.Qas.cast<Real>(),
               S = problem.rho.cov.cast<Real>();
  const Vector qa = problem.q.qa.cast<Real>(), mu = problem.rho.mean.cast<Real>();
  const Vector a = p.K * mu + p.k;
  return ((Qaa * (p.Sigma + p.K * S * p.K.transpose())).trace() + quadratic(a, Qaa)) / 2 +
         (Qas * S * p.K.transpose()).trace() + a.dot(Qas * mu) + a.dot(qa);
}

Real expected_divergence(const Problem& problem, const RawPolicy& p, const RawPolicy& q) {
  const Matrix P = q.Sigma.inverse(), dK = p.K - q.K, S = problem.rho.cov.cast<Real>();
  const Vector d = mean_difference(p, q, problem.rho.mean);
  return ((P * p.Sigma).trace() - static_cast<Real>(p.k.size()) + log_determinant(q.Sigma) - log_determinant(p.Sigma) +
          quadratic(d, P) + (dK.transpose() * P * dK * S).trace()) /
         2;
}

Real policy_entropy(const RawPolicy& p) {
  const Real da = static_cast<Real>(p.k.size());
  return (da * (1 + std::log(2 * pi_number)) + log_determinant(p.Sigma)) / 2;
}

Real lower_bound(const Problem& problem) {
  return problem.bounds.entropy_drop ? policy_entropy(raw(problem.pi)) - static_cast<Real>(*problem.bounds.entropy_drop)
                                     : -std::numeric_limits<Real>::infinity();
}

std::optional<PaperDual> paper_dual(const Problem& problem, Real eta, Real omega) {
  const RawPolicy old = raw(problem.pi);
  const Matrix &K = old.K, &Sigma = old.Sigma;
  const Vector &k = old.k, mu = problem.rho.mean.cast<Real>();
  const Matrix Qaa = symmetrised(problem.q.Qaa.cast<Real>()), Qas = problem.q.Qas.cast<Real>(),
               Ss = problem.rho.cov.cast<Real>();
  const Vector qa = problem.q.qa.cast<Real>();
  const Real da = static_cast<Real>(k.size()), epsilon = static_cast<Real>(problem.bounds.epsilon),
             beta = lower_bound(problem);

  const Matrix P = symmetrised(Sigma.inverse());
  const Matrix X = eta * P - Qaa;
  if (!(eta + omega > 0) || X.llt().info() != Eigen::Success) return std::nullopt;
  const Matrix F = symmetrised(X.inverse());
  const Matrix L = eta * P * K + Qas;
  const Vector f = eta * P * k + qa;
  const auto log_2pi = [&](const Matrix& m) { return da * std::log(2 * pi_number) + log_determinant(m); };

  PaperDual dual;
  const Matrix M = (L.transpose() * F * L - eta * K.transpose() * P * K) / 2;
  const Vector m = L.transpose() * F * f - eta * K.transpose() * P * k;
  const Real m0 =
      (quadratic(f, F) - eta * quadratic(k, P) - eta * log_2pi(Sigma) + (eta + omega) * log_2pi((eta + omega) * F)) / 2;
  dual.value = (eta > 0 ? eta * epsilon : 0) - (omega > 0 ? omega * beta : 0) + quadratic(mu, M) + (Ss * M).trace() +
               mu.dot(m) + m0;

  const Matrix dK = K - F * L;  // the paper prints K + F L in `quad`, with the opposite sign and without 1/2
  const Vector dk = k - F * f;
  const Real cst = epsilon - quadratic(dk, P) / 2 -
                   (log_2pi(Sigma) - log_2pi((eta + omega) * F) + (eta + omega) * (P * F).trace() - da) / 2;
  const Real lin = -(dK * mu).dot(P * dk);
  const Real quad = -(quadratic(dK * mu, P) + (Ss * dK.transpose() * P * dK).trace()) / 2;
  dual.d_eta = cst + lin + quad;
  dual.d_omega = -beta + (da + log_2pi((eta + omega) * F)) / 2;
  dual.policy = {F * L, F * f, (eta + omega) * F};
  return dual;
}

namespace {

/// The solution for this eta and its best omega >= 0, and the derivative of the dual by eta there; nullopt if eta is too
/// small.
std::optional<ReferenceSolution> best_for(const Problem& problem, Real eta, Real& d_eta) {
  const bool bounded = problem.bounds.entropy_drop.has_value();
  Real omega = eta > 0 ? 0 : std::max(static_cast<Real>(problem.q.Qaa.norm()), std::numeric_limits<Real>::min());
  if (!bounded && !(eta > 0)) return std::nullopt;
  auto dual = paper_dual(problem, eta, omega);
  if (!dual) return std::nullopt;
  if (bounded && !(eta > 0 && dual->d_omega >= 0)) {
    // F does not depend on omega, so from here d g/d omega grows by da/2 log((eta + omega) / (eta + start)).
    const Real half = static_cast<Real>(problem.da()) / 2, start = eta + omega;
    const auto slope = [&](Real w) { return dual->d_omega + half * std::log((eta + w) / start); };
    Real high = start;
    while (slope(high) < 0) high *= 2;
    while (slope(high / 2) > 0) high /= 2;
    Real low = high / 2;
    for (int i = 0; i < 70; ++i) {
      const Real middle = (low + high) / 2;
      (slope(middle) < 0 ? low : high) = middle;
    }
    omega = high;
    dual = paper_dual(problem, eta, omega);
  }
  d_eta = dual->d_eta;
  return ReferenceSolution{eta, omega, dual->policy};
}

}  // namespace

ReferenceSolution solve_slowly(const Problem& problem) {
  Real d_eta = 0;
  if (const auto newton_step = best_for(problem, 0, d_eta); newton_step && d_eta >= 0) return *newton_step;
  const auto within_bound = [&](Real eta) {
    const auto solution = best_for(problem, eta, d_eta);
    return solution && d_eta >= 0;  // epsilon >= KL
  };
  Real high = 1;
  while (!within_bound(high)) high *= 4;
  while (within_bound(high / 4)) high /= 4;
  Real low = high / 4;
  for (int i = 0; i < 70; ++i) {
    const Real middle = (low + high) / 2;
    (within_bound(middle) ? high : low) = middle;
  }
  return *best_for(problem, high, d_eta);
}

}  // namespace kedge::test
