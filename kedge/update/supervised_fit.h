// The M-step of variational guided policy search [LevineKoltun2013, Sec. 5], and supervised learning of a network
// policy in general: the policy nearest to given Gaussian actions N(target_n, diag(variance_n)) at given states, the
// integral over actions taken analytically. Minimised over theta:
//
//   1/W sum_n w_n sum_i [ ((mu_i(s_n) - target_i,n)^2 + variance_i,n) / (2 sigma_i^2) + log sigma_i ] + decay |weights|^2 / 2
//
// W = sum_n w_n. Up to constants the first part is the weighted mean of -E log pi_theta(a|s_n),
// a ~ N(target_n, variance_n).
#pragma once

#include <string>

#include "kedge/core/random.h"
#include "kedge/core/run.h"
#include "kedge/policy/mlp_gaussian.h"

namespace kedge {

struct FitData {
  MatrixXd s;         ///< [ds, N]
  MatrixXd target;    ///< [da, N] mean action
  MatrixXd variance;  ///< [da, N] >= 0, of each action entry
  VectorXd weight;    ///< [N] >= 0; a sample of weight 0 has no effect
};

/// Evaluates the function above for many thetas of one network.
class FitObjective {
 public:
  /// @param decay >= 0  @param threads of every evaluation; results do not depend on it
  /// @throws InputError if shapes do not agree, or a weight or variance is negative
  FitObjective(const MlpGaussian& policy, const FitData& data, double decay, int threads);
  [[nodiscard]] double weight() const { return total_; }  ///< W
  /// @param theta [P]  @param gradient [P], out  @return the value
  double operator()(VectorIn theta, VectorOut gradient);

 private:
  MlpGaussian policy_;
  VectorXd decay_;  // [P] zero where nothing decays
  int threads_;
  NetworkInputs inputs_;
  MatrixXd target_;  // [N up to whole blocks, da] one sample a row
  VectorXd weight_;  // [N up to whole blocks] w_n / W, the surplus zero
  VectorXd spread_;  // [da] sum_n w_n variance_n / W
  double total_ = 0.0;
};

enum class FitMethod { lbfgs, adam };

struct FitOptions {
  FitMethod method = FitMethod::lbfgs;
  double decay = 1e-5;                      ///< decay of the weights, not of biases and log_std; >= 0
  double log_std_low = -6.907755278982137;  ///< box of every log_std: log 1e-3 ...
  double log_std_high = 20.0;               ///< ... to here; a start outside is first moved to its border
  int storage = 20;                         ///< L-BFGS: see LbfgsOptions
  int max_evaluations = 100;                ///< L-BFGS
  double gradient_tolerance = 1e-6;         ///< L-BFGS
  int steps = 2000;                         ///< Adam: steps, >= 1
  int minibatch = 256;                      ///< Adam: samples a step, drawn with probability w_n / W, >= 1
  double learning_rate = 0.01;              ///< Adam: step size at the start, falls linearly to 0; > 0
};

enum class FitStatus {
  ok,
  no_improvement,  ///< the objective did not fall
  not_finite,      ///< the data, or the objective on the way, is not finite
  no_weight,       ///< all weights are zero
  cancelled,       ///< by run.stop
};
const char* to_string(FitStatus status);

/// Unless status == ok, `theta` is the old policy's.
struct FitResult {
  FitStatus status = FitStatus::ok;
  std::string message;  ///< the numbers that decided, one line
  VectorXd theta;       ///< [P]
  double before = 0.0;  ///< objective of the old policy; NaN if not evaluated
  double after = 0.0;   ///< objective of theta
  int evaluations = 0;  ///< evaluations of the objective; Adam: steps
};

/// Minimises the function above, from the policy's theta. Adam is Kingma & Ba's (2015) with their constants 0.9, 0.999,
/// 1e-8.
/// @param random draws Adam's minibatches; L-BFGS uses none  @param run threads and stop
/// @throws InputError if shapes do not agree, a weight or variance is negative or an option is out of its range
[[nodiscard]] FitResult supervised_fit(const MlpGaussian& policy, const FitData& data, const FitOptions& options,
                                       Stream random, const Run& run);

/// Returns theta with the log_std that minimises the function above, given the mean, within the box of FitOptions:
///   sigma_i^2 = 1/W sum_n w_n ((mu_i - target_i,n)^2 + variance_i,n).   @return [P]
/// @throws InputError if shapes do not agree, a weight or variance is negative, or all weights are 0
VectorXd with_fitted_noise(const MlpGaussian& policy, const FitData& data, int threads);

}  // namespace kedge
