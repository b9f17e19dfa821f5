// Diagnostics of one policy update: how well its local models describe the present rollouts, and how far it moves.
#pragma once

#include <vector>

#include "kedge/evaluation/epoch.h"
#include "kedge/evaluation/quadratic_fit.h"

namespace kedge {

struct StepDiagnostics {
  /// [T] KL(rho_t || rho_t of the iteration before), nats, >= 0; 0 in the first iteration
  std::vector<double> state_kl;

  /// [T] mean of |xi|^2 / ds over the states of the present rollouts: 1 if rho_t describes them, below 1 if it is too wide
  std::vector<double> state_spread;

  /// [T] max |A_t(s)| over the states of the present rollouts, A_t the expected advantage of the new policy; units of Q
  std::vector<double> advantage;
};

/// Returns the diagnostics of an update.
/// @param epoch the present rollouts, with the policy that made them and its state distributions
/// @param previous_rho [T] of the iteration before, or empty  @param fits [T]  @param next the new policy
StepDiagnostics step_diagnostics(const Epoch& epoch, const std::vector<Gaussian>& previous_rho,
                                 const std::vector<QuadraticFit>& fits, const TvLinearGaussian& next, int threads);

}  // namespace kedge
