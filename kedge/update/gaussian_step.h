// The exact Gaussian trust-region step: maximises a quadratic over linear-Gaussian policies within a KL and an entropy
// constraint. It is the policy update of MOTO [Akrour2018, Sec. 3 and App. A], solved in whitened coordinates, where
// its dual is one-dimensional (docs/algorithms/moto.md derives it and lists the misprints of the paper).
//
//   maximise    E Q(s, a)                     s ~ N(mu_s, S_s),  a ~ pi'(.|s)
//   subject to  E KL(pi'(.|s) || pi(.|s)) <= epsilon
//               H(pi') >= beta = H(pi) - entropy_drop
//
// The state dimension enters only where E[h h'] is formed and the new gains are written: the search for the
// multipliers works on 2 da numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "kedge/core/types.h"
#include "kedge/math/gaussian.h"
#include "kedge/math/lq.h"
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
/// Changes the coordinates of Q. @throws InputError if shapes do not agree
WhitenedQuadratic whiten(const ActionQuadratic& q, const LinearGaussian& pi, const Gaussian& rho);
ActionQuadratic unwhiten(const WhitenedQuadratic& q, const LinearGaussian& pi, const Gaussian& rho);

struct TrustRegion {
  /// Bound on E KL(pi' || pi), nats, > 0. Infinity: no bound.
  double epsilon = 0.1;

  /// The entropy may fall by at most this much, nats, finite. A negative drop asks for a rise. Empty: no constraint.
  std::optional<double> entropy_drop = 0.1;
};

/// Returns beta, the least entropy that is allowed after a policy of this entropy, nats: -infinity without such a constraint.
double least_entropy(double entropy, const TrustRegion& bounds);

enum class StepStatus {
  ok,
  not_finite,  ///< Q, rho or pi contains a number that is not finite
  infeasible,  ///< no policy within the KL bound has the required entropy (only if entropy_drop < 0)

  /// Epsilon is infinite and the maximum is not attained by a density: Q is not strictly concave in the action, or
  /// there is no entropy constraint either.
  unbounded,

  /// As stored in double precision, the solution misses a bound by more than 1e-9 relative, and so do those for slightly
  /// tighter bounds, epsilon / 2 at the tightest.
  imprecise,
};
const char* to_string(StepStatus status);

/// The new policy at one time step. Unless status == ok, `next` equals the old policy and the numbers describe it.
struct GaussianStep {
  StepStatus status = StepStatus::ok;
  std::string message;  ///< the numbers that decided, when status != ok
  LinearGaussian next;
  double eta = 0.0;               ///< multiplier of the KL constraint, >= 0, units of Q
  double omega = 0.0;             ///< multiplier of the entropy constraint, >= 0, units of Q
  double kl = 0.0;                ///< E KL(next || pi) reached, nats, recomputed from `next`
  double entropy = 0.0;           ///< H(next), nats, recomputed from `next`
  double beta = 0.0;              ///< lower bound on the entropy, nats
  double gain = 0.0;              ///< E_{next} Q - E_pi Q under rho, units of Q; >= 0 if entropy_drop >= 0
  double kl_residual = 0.0;       ///< max(0, kl - epsilon) / epsilon; 0 where only a sum over steps is bounded
  double entropy_residual = 0.0;  ///< max(0, beta - entropy) / max(1, |beta|)
  double qaa_max = 0.0;           ///< largest eigenvalue of C'Qaa C; > 0: Q is not concave in the action here
};

/// Solves the problem for one time step: the constraints hold to 1e-9 relative, the KL bound from below up to rounding.
/// If rounding of the stored policy exceeds that, the problem is solved again for bounds that are tighter by as much.
/// Which constraints are active (have a multiplier > 0):
///   KL             whenever epsilon is finite, except in the next case
///   KL, entropy    where the KL step alone would lose more entropy than entropy_drop
///   entropy        Q strictly concave: the Newton step, with the largest covariance of the entropy
///                  beta, lies within the KL bound (eta = 0)
///   none           only if Q does not depend on the action. Every feasible policy is then a solution; the one that is
///                  nearest to pi is returned, i.e. pi itself if entropy_drop >= 0. Otherwise a maximiser without multipliers
///                  would have no variance, an infinite KL, and be no density.
/// Q need not be concave: eta > qaa_max, and the variance grows along the directions of positive curvature. There is
/// no hard case as for trust regions on vectors: where the mean alone cannot reach the KL bound, the variance does.
/// @throws InputError if shapes do not agree, epsilon is not > 0, or entropy_drop is not finite.
[[nodiscard]] GaussianStep gaussian_step(const LinearGaussian& pi, const WhitenedQuadratic& q, const Gaussian& rho,
                                         const TrustRegion& bounds);

/// Returns E_{s ~ rho} KL(p(.|s) || q(.|s)) >= 0 of two linear-Gaussian policies, from their raw parameters, nats. It is a
/// sum of terms that are not negative: no cancellation, also for policies that hardly differ.
double expected_kl(const LinearGaussian& p, const LinearGaussian& q, const Gaussian& rho);

/// Returns the same expectation for states that need not have a density.
double expected_kl(const LinearGaussian& p, const LinearGaussian& q, const Moments& state);

/// Bounds count as met up to this relative error.
inline constexpr double kBoundTolerance = 1e-9;

/// Sets the KL, the entropy and the residual of the entropy bound from the stored parameters of `step.next`.
/// @param states Gaussian or Moments  @param step `next` and `beta` are set
template <class States>
void measure_step(const LinearGaussian& old, const States& states, GaussianStep& step) {
  step.kl = expected_kl(step.next, old, states);
  step.entropy = entropy(step.next.C);
  step.entropy_residual = std::max(0.0, step.beta - step.entropy) / std::max(1.0, std::abs(step.beta));
}

/// Returns by how much a value exceeds its upper bound, relative to the bound, >= 0; 0 for an infinite bound.
inline double relative_excess(double value, double bound) { return std::max(0.0, value - bound) / bound; }

}  // namespace kedge
