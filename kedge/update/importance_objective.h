// The objective of importance-sampled guided policy search [LevineKoltun2013b, "Guided Policy Search", ICML 2013]: the
// expected reward of a policy, estimated from rollouts of other policies. Maximised over theta:
//
//   Phi(theta) = sum_t [ 1/Z_t sum_i w_i,t r_i,t + w_r log Z_t ]
//   w_i,t = prod_{tau <= t} pi_theta(u_tau|x_tau) / q(zeta_i,1:t),   Z_t = sum_i w_i,t
//   q(zeta_1:t) = sum_j share_j prod_{tau <= t} pi_j(u_tau|x_tau)    the mixture of all policies that made samples, over
//                                                                   prefixes; dynamics and start cancel
//
// Everything in the log domain. With p_i,t = w_i,t / Z_t and rbar_t = sum_i p_i,t r_i,t:
//
//   dPhi/dtheta = sum_i,tau c_i,tau dlog pi_theta(u_i,tau|x_i,tau)/dtheta,   c_i,tau = sum_{t >= tau} p_i,t (r_i,t - rbar_t + w_r)
#pragma once

#include <string>

#include "kedge/policy/mlp_gaussian.h"

namespace kedge {

/// N rollouts of T steps; column n T + t of the matrices with N T columns is step t of rollout n.
struct ImportanceData {
  int horizon = 0;  ///< T
  MatrixXd s;       ///< [ds, N T] observations
  MatrixXd a;       ///< [da, N T] actions as commanded
  MatrixXd reward;  ///< [T, N] r_i,t: minus the cost, in the unit of the algorithm
  MatrixXd log_q;   ///< [J, N T] log pi_j(a|s) of every policy that made samples, nats; -inf allowed
  VectorXd share;   ///< [J] > 0, sum 1: fraction of the samples that policy j made
};

enum class ImportanceStatus {
  ok,
  degenerate,  ///< at some step the effective sample size is below the required one
  not_finite,  ///< a density or a reward is not a number, or no policy gives a sample any density
};
const char* to_string(ImportanceStatus status);

struct ImportanceValue {
  ImportanceStatus status = ImportanceStatus::ok;
  std::string message;  ///< the numbers that decided, when status != ok
  double value = 0.0;   ///< Phi; also when degenerate
  double reward = 0.0;  ///< its first part, the estimate without w_r log Z
  VectorXd gradient;    ///< [P] dPhi/dtheta
  VectorXd effective;   ///< [T] effective sample size 1 / sum_i p_i,t^2, in [1, N]
};

/// Evaluates Phi for many thetas on the same samples.
class ImportanceObjective {
 public:
  /// @param regulariser w_r >= 0  @param min_effective below this a step's weights are degenerate, >= 1
  /// @param threads of every evaluation; results do not depend on it
  /// @throws InputError if shapes do not agree, or a share, w_r or min_effective is out of its range
  ImportanceObjective(const MlpGaussian& policy, ImportanceData data, double regulariser, double min_effective,
                      int threads);
  /// @param theta [P]
  [[nodiscard]] ImportanceValue operator()(VectorIn theta);

 private:
  MlpGaussian policy_;
  ImportanceData data_;
  NetworkInputs inputs_;
  MatrixXd log_q_;  // [T, N] log q(zeta_i,1:t)
  double regulariser_, min_effective_;
  int threads_;
};

}  // namespace kedge
