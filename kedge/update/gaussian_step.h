// The policy update of MOTO: the exact solution of a Gaussian problem with a KL and an entropy constraint
// [Akrour2018, Sec. 3 and App. A], in whitened coordinates, where its dual is one-dimensional
// (docs/algorithms/moto.md derives it and lists the misprints of the paper that it avoids).
//
//   maximise    E Q(s, a)                     s ~ N(mu_s, S_s),  a ~ pi'(.|s)
//   subject to  E KL(pi'(.|s) || pi(.|s)) <= epsilon
//               H(pi') >= beta = H(pi) - beta0
//
// The state dimension enters only where E[h h'] is formed and the new gains are written: the search for the
// multipliers works on 2 da numbers.
#pragma once

#include <string>

#include "kedge/core/types.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// Q(s,a) = a'Qaa a / 2 + a'Qas s + a'qa + q(s): the return to go, which is maximised (Eq. 5). q(s) is irrelevant.
struct ActionQuadratic {
  MatrixXd Qaa;  ///< [da, da] symmetric
  MatrixXd Qas;  ///< [da, ds]
  VectorXd qa;   ///< [da]
};

/// The same Q in whitened coordinates xi = L_s^-1 (s - mu_s), alpha = C^-1 (a - K s - k):
///   Q = alpha'A alpha / 2 + alpha'(B xi + g) + (terms without alpha)
struct WhitenedQuadratic {
  MatrixXd A;  ///< [da, da] symmetric: C'Qaa C
  MatrixXd B;  ///< [da, ds] C'(Qaa K + Qas) L_s
  VectorXd g;  ///< [da] C'((Qaa K + Qas) mu_s + Qaa k + qa)
};
/// @throws InputError if shapes do not agree.
WhitenedQuadratic whiten(const ActionQuadratic& q, const LinearGaussian& pi, const Gaussian& rho);
ActionQuadratic unwhiten(const WhitenedQuadratic& q, const LinearGaussian& pi, const Gaussian& rho);

struct TrustRegion {
  double epsilon = 0.1;  ///< bound on E KL(pi' || pi), nats, > 0 (infinity: no bound)
  double beta0 = 0.1;    ///< the entropy may fall by at most this much, nats; negative: it must rise by at least
                         ///< -beta0; infinity: no entropy constraint
};

enum class UpdateStatus {
  ok,
  not_finite,  ///< Q, rho or pi contains a number that is not finite
  infeasible,  ///< no policy within the KL bound has the entropy that is asked for (only if beta0 < 0)
  unbounded,   ///< epsilon is infinite and the maximum is not attained by a density: Q is not strictly concave in
               ///< the action, or beta0 is infinite too
  imprecise,  ///< as stored in double precision, the solution misses a bound by more than 1e-9 relative, and so do those
              ///< for slightly tighter bounds, epsilon / 2 at the tightest
};
const char* to_string(UpdateStatus status);

/// The new policy at one time step. Unless status == ok, `next` equals the old policy and the numbers describe it.
struct MotoUpdate {
  UpdateStatus status = UpdateStatus::ok;
  std::string message;  ///< the numbers that decided, when status != ok
  LinearGaussian next;
  double eta = 0.0;               ///< multiplier of the KL constraint, >= 0, units of Q
  double omega = 0.0;             ///< multiplier of the entropy constraint, >= 0, units of Q
  double kl = 0.0;                ///< E KL(next || pi) reached, nats, recomputed from `next`
  double entropy = 0.0;           ///< H(next), nats, recomputed from `next`
  double beta = 0.0;              ///< lower bound on the entropy, nats
  double gain = 0.0;              ///< E_{next} Q - E_pi Q under rho, units of Q; >= 0 if beta0 >= 0
  double kl_residual = 0.0;       ///< max(0, kl - epsilon) / epsilon
  double entropy_residual = 0.0;  ///< max(0, beta - entropy) / max(1, |beta|)
  double qaa_max = 0.0;           ///< largest eigenvalue of C'Qaa C; > 0: Q is not concave in the action here
};

/// Solves the problem for one time step: the constraints hold to 1e-9 relative, the KL bound from below up to rounding.
/// Where rounding of the stored policy costs more than that, the problem is solved for bounds as much tighter.
/// Which constraints are active (have a multiplier > 0):
///   KL             whenever epsilon is finite, except in the next case
///   KL, entropy    where the KL step alone would lose more entropy than beta0
///   entropy        Q strictly concave and beta0 finite: the Newton step, with the largest covariance of the entropy
///                  beta, lies within the KL bound (eta = 0)
///   none           only if Q does not depend on the action. Every feasible policy is then a solution; the one that is
///                  nearest to pi is returned, i.e. pi itself if beta0 >= 0. Otherwise a maximiser without multipliers
///                  would have no variance, an infinite KL, and be no density.
/// Q need not be concave: eta > qaa_max, and the variance grows along the directions of positive curvature. There is
/// no hard case as for trust regions on vectors: where the mean alone cannot reach the KL bound, the variance does.
/// @throws InputError if shapes do not agree, epsilon is not > 0, or beta0 is not a number.
[[nodiscard]] MotoUpdate moto_update(const LinearGaussian& pi, const WhitenedQuadratic& q, const Gaussian& rho,
                                     const TrustRegion& bounds);

/// E_{s ~ rho} KL(p(.|s) || q(.|s)) >= 0 of two linear-Gaussian policies, from their raw parameters, nats. A sum of
/// terms that are not negative: no cancellation, also for policies that hardly differ.
double expected_kl(const LinearGaussian& p, const LinearGaussian& q, const Gaussian& rho);

}  // namespace kedge
