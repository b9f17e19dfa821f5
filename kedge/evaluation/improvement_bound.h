// The lower bound on the improvement of an update, Theorem 4 of [Akrour2018] with corrected constants
// (docs/algorithms/moto.md, "The lower bound").
#pragma once

#include <vector>

#include "kedge/evaluation/quadratic_fit.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// Returns bounds on KL(p_t || q_t) of the state distributions of the new and the old policy, step by step:
///   e_0 = 0,   e_{t+1} = e_t + (1 + e/(e-1)) kl_t (1 + 2 e_t)
/// (Lemma 3; the printed constant 2 (3 e_t + ds + 1) is valid but grows with ds). Assumes Gaussian states.
/// @param kl [T] E_q KL(new || old) reached at step t  @return [T]
std::vector<double> state_kl_bounds(const std::vector<double>& kl);

/// Returns the change of Q's expectation at a state when the action is drawn from `next` instead of `old`,
///   A(s) = E_{a ~ next} Q(s,a) - E_{a ~ old} Q(s,a): a quadratic function of xi.
Quadratic expected_advantage(const Quadratic& q, const LinearGaussian& old, const LinearGaussian& next,
                             const Gaussian& rho);

/// Returns the lower bound
///   J(new) - J(old) >= sum_t gain_t - 2 sum_t delta_t min(1, sqrt(e_t / 2)),   delta_t = max_s |A_t(s)|.
/// On all of R^ds delta_t is infinite for a quadratic A; the maximum is taken over the states that the
/// present rollouts visited, so the bound is one for that set of states and for the fitted Q.
/// @param gain, delta, kl [T]
double improvement_bound(const std::vector<double>& gain, const std::vector<double>& delta,
                         const std::vector<double>& kl);

}  // namespace kedge
