// The time-varying linear-Gaussian policy with a diagonal covariance as a function of one vector of parameters, for methods that
// step along gradients:
//
//   pi_t(a|s) = N(G_t z + g_t, diag(exp(2 log_std_t))),   z = (s - input_mean) / input_scale
//
// theta [P] holds for t = 0 ... T-1: G_t [da, ds] column by column, g_t [da], log_std_t [da].
#pragma once

#include "kedge/math/diagonal_gaussians.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// States and the time steps at which they are seen.
struct StatesAtSteps {
  MatrixXd s;             ///< [ds, N]
  std::vector<int> step;  ///< [N] in [0, T)
};

class DiagonalTvLinear {
 public:
  /// @param policy its covariances are diagonal  @param input_mean, input_scale [ds]
  /// @throws InputError if a covariance is not diagonal, sizes do not agree, or a scale is not > 0
  DiagonalTvLinear(TvLinearGaussian policy, VectorXd input_mean, VectorXd input_scale);

  [[nodiscard]] const TvLinearGaussian& policy() const { return policy_; }
  [[nodiscard]] const VectorXd& theta() const { return theta_; }  ///< [P]
  /// @param theta [P]  @throws InputError if the size is wrong, a number is not finite or a log_std no standard deviation
  void set_theta(VectorXd theta);

  /// Returns what `policy()` does at the states.
  [[nodiscard]] DiagonalGaussians actions(const StatesAtSteps& states) const;

  /// Returns F v, F the Fisher information of theta, mean over the states: the Hessian of the mean KL(pi || pi') by theta' at
  /// theta' = theta. @param v [P]  @return [P]
  [[nodiscard]] VectorXd fisher_product(const StatesAtSteps& states, VectorIn v) const;

  /// d/dtheta sum_n w_n log pi(a_n | s_n). @param a [da, N]  @param w [N]  @return [P]
  [[nodiscard]] VectorXd log_prob_gradient(const StatesAtSteps& states, MatrixIn a, VectorIn w) const;

 private:
  struct Part;  // of a vector of parameters

  TvLinearGaussian policy_;
  VectorXd input_mean_, input_scale_;
  VectorXd theta_;
};

}  // namespace kedge
