// The weights of relative entropy policy search for episodes [Peters2010; Kupcsik2013]: the samples' weights p that maximise
// the mean return within a KL of the weights w that they came with, and with the contexts' features as they were:
//
//   maximise sum_n p_n R_n   subject to   sum_n p_n log(p_n / w_n) <= epsilon,   sum_n p_n phi_n = sum_n w_n phi_n
//
//   dual     g(eta, v) = eta epsilon + eta log sum_n w_n exp(delta_n / eta),   delta = R - P v,   P = phi - sum_n w_n phi_n
//   weights  p_n ~ w_n exp(delta_n / eta)
//
// The dual is convex and smooth. For each eta it is minimised over v by Newton's method, and eta is the root of
// KL(p || w) = epsilon, with
//   dg/deta = epsilon - KL(p || w),              dg/dv = -E_p P,
//   g_ee = Var_p(delta) / eta^3,   g_ev = Cov_p(P, delta) / eta^2,   g_vv = Cov_p(P) / eta.
#pragma once

#include <string>

#include "kedge/core/types.h"

namespace kedge {

/// The dual at one point.
struct RepsDual {
  double value = 0.0;
  VectorXd gradient;  ///< [1 + F] by (eta, v)
  MatrixXd hessian;   ///< [1 + F, 1 + F]
  VectorXd weight;    ///< [N] p
  double kl = 0.0;    ///< KL(p || w), nats
};

/// @param returns [N]  @param base [N] w > 0 where p may be, sum 1  @param P [F, N] centred features
/// @param eta > 0, units of the return  @param v [F]
RepsDual reps_dual(VectorIn returns, VectorIn base, MatrixIn P, double epsilon, double eta, VectorIn v);

enum class RepsStatus {
  ok,
  not_finite,  ///< a return, weight or feature is not finite
  imprecise,   ///< the KL misses epsilon, or the features their means, by more than 1e-9
};
const char* to_string(RepsStatus status);

struct RepsWeights {
  RepsStatus status = RepsStatus::ok;
  std::string message;   ///< the numbers that decided, when status != ok
  VectorXd weight;       ///< [N] p, sum 1
  double eta = 0.0;      ///< multiplier of the KL constraint, units of the return
  VectorXd v;            ///< [F] baseline of the features, units of the return per unit of the feature
  double kl = 0.0;       ///< KL(p || w) reached, nats: epsilon to 1e-9, unless `bounded` is false
  double balance = 0.0;  ///< largest |E_p phi - E_w phi| in standard deviations of the feature

  /// False where no weights with these means of the features are so far from w that the bound could bind: p is then on the
  /// best samples alone, within 1e-4 of a standard deviation of the returns.
  bool bounded = true;
  int iterations = 0;  ///< of Newton's method, over all eta
};

/// Solves the dual. @param returns [N]  @param base [N] >= 0, sum 1  @param phi [F, N], without a constant; F may be 0
/// @param epsilon > 0, nats  @throws InputError if sizes do not agree
[[nodiscard]] RepsWeights reps_weights(VectorIn returns, VectorIn base, MatrixIn phi, double epsilon);

}  // namespace kedge
