// Linear-quadratic control within a bound on the KL divergence of the whole trajectory: the policy update of guided policy
// search [LevineAbbeel2014, Sec. 3.1], with MOTO's entropy constraint as an option (docs/algorithms/gps.md).
//
//   minimise    E_new [ sum_t c_t(s, a) + c_T(s) ]          s' ~ N(F_t [s; a] + f_t, S_t)
//   subject to  sum_t E_new KL(pi'_t || pi_t) <= bound      the states are those of the new policy
//               H(pi'_t) >= H(pi_t) - entropy_drop          for every t
//
// One multiplier eta holds the bound. For a given eta the problem is a soft Bellman recursion: with whitened actions
// alpha = C^-1 (a - K s - k) and Q_t = alpha' A alpha / 2 + alpha' h(s) + (terms in s), A = C'Qaa C = U diag(lambda) U',
//
//   X = eta I + A > 0                                        the same as eta Sigma^-1 + Qaa > 0
//   mean step = -X^-1 h(s),   Sigma' = (eta + omega_t) C X^-1 C'
//   V_t(s) = E_{a ~ pi_t} Q_t - h'X^-1 h / 2 + constant
//
// omega_t >= 0 is explicit (the least that keeps the entropy). The dual function of eta is concave, and its derivative is
// exactly the KL of the minimiser minus the bound. It remains to solve a monotone equation in eta.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kedge/math/lq.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

/// Returns the moments of z_t = [s_t; a_t] under a policy. @return [T]; their leading ds entries are those of s_t
std::vector<Moments> joint_moments(const TvLinearGaussian& policy, const LqModel& model);

/// Returns E [ sum_t c_t + c_T ] under a policy and the model.
double expected_cost(const TvLinearGaussian& policy, const LqModel& model);

/// The dual function at one eta, and its minimiser.
struct KlLqrPoint {
  double eta = 0.0;
  double kl = 0.0;             ///< sum_t E_new KL(pi'_t || pi_t) of the minimiser, nats
  double cost = 0.0;           ///< its expected cost
  double value = 0.0;          ///< cost + eta (kl - bound), for the best multipliers of the entropy constraint
  TvLinearGaussian minimiser;  ///< C is not set
};
/// Evaluates the dual function.
/// @param bounds entropy_drop >= 0 or none  @param eta >= 0; > 0 without an entropy constraint
/// @return nullopt if X is not positive definite at some step: the dual function is minus infinity there
std::optional<KlLqrPoint> kl_lqr_dual(const TvLinearGaussian& policy, const LqModel& model, const TrustRegion& bounds,
                                      double eta);

/// The new policy. Unless status == ok, `steps` is empty.
struct KlLqrUpdate {
  StepStatus status = StepStatus::ok;
  std::string message;  ///< the numbers that decided, when status != ok

  /// [T] New policy, multipliers, KL and entropy of every step.
  std::vector<GaussianStep> steps;

  std::vector<Moments> states;     ///< [T] state distributions under which `steps[t].kl` is taken
  std::vector<ActionQuadratic> q;  ///< [T] Q of the return, as MOTO's, in raw coordinates

  double eta = 0.0;          ///< multiplier of the bound on the sum, >= 0, units of the cost; 0 if there is none
  double kl = 0.0;           ///< sum of the KL reached, nats, recomputed from the new policy
  double kl_residual = 0.0;  ///< relative excess over the bound
  double cost_old = 0.0;     ///< expected cost of the old policy under the model
  double cost_new = 0.0;     ///< and of the new one
  int evaluations = 0;       ///< evaluations of the dual function
};

/// Updates the policy under one bound on the whole trajectory, bounds.epsilon = sum of all steps, nats. It is met to
/// 1e-9 relative, from below up to rounding. eta = 0 only if the entropy is bounded and the solution without the KL
/// bound meets it, or if no action matters. Failures:
///   not_finite
///   unbounded   epsilon is infinite, and Qaa is not positive definite or the entropy is not bounded
///   infeasible  no multiplier in the range of floating point makes X positive definite at every step
///   imprecise   as for `gaussian_step`
/// @throws InputError if shapes do not agree, epsilon is not > 0 or entropy_drop is not >= 0 and finite
[[nodiscard]] KlLqrUpdate kl_lqr(const TvLinearGaussian& policy, const LqModel& model, const TrustRegion& bounds);

/// Updates the policy under one bound for every step, E_{s ~ rho_t} KL(pi'_t || pi_t) <= bounds.epsilon, with given state
/// distributions. In one sweep backwards in time each step is a `gaussian_step` with the Q under the new later steps.
/// @param rho [T] state distributions of the old policy
[[nodiscard]] KlLqrUpdate kl_lqr_stepwise(const TvLinearGaussian& policy, const LqModel& model,
                                          const std::vector<Gaussian>& rho, const TrustRegion& bounds);

}  // namespace kedge
