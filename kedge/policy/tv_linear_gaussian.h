// The time-varying linear-Gaussian policy pi_t(a|s) = N(K_t s + k_t, Sigma_t) [Akrour2018, Sec. 2].
#pragma once

#include <vector>

#include "kedge/policy/policy.h"

namespace kedge {

/// One time step of the policy: a ~ N(K s + k, Sigma), Sigma = C C'.
struct LinearGaussian {
  MatrixXd K;      ///< [da, ds]
  VectorXd k;      ///< [da]
  MatrixXd Sigma;  ///< [da, da] symmetric positive definite
  MatrixXd C;      ///< [da, da] lower Cholesky factor of Sigma
};

/// Checks shapes, finiteness and positive definiteness, and factorises Sigma.
/// @throws InputError that names the fault
LinearGaussian make_linear_gaussian(MatrixXd K, VectorXd k, const MatrixXd& Sigma);

class TvLinearGaussian final : public Policy {
 public:
  static constexpr const char* kKind = "tv_linear_gaussian";
  static constexpr const char* kSummary = "a ~ N(K_t s + k_t, Sigma_t), one linear controller per time step";

  TvLinearGaussian() = default;
  explicit TvLinearGaussian(std::vector<LinearGaussian> steps) : steps_(std::move(steps)) {}

  /// Returns a policy with K = 0, k = mean_action, Sigma = diag(std^2) at every step.
  /// @param mean_action, std [da]; std > 0
  static TvLinearGaussian constant(int horizon, Index ds, VectorIn mean_action, VectorIn std);

  [[nodiscard]] int horizon() const override { return static_cast<int>(steps_.size()); }
  [[nodiscard]] Index observation_dim() const override { return steps_.empty() ? 0 : steps_[0].K.cols(); }
  [[nodiscard]] Index action_dim() const override { return steps_.empty() ? 0 : steps_[0].K.rows(); }
  void mean(int t, VectorIn s, VectorOut a) const override;
  void sample(int t, VectorIn s, Stream& noise, VectorOut a) const override;
  [[nodiscard]] double log_prob(int t, VectorIn s, VectorIn a) const override;

  [[nodiscard]] const LinearGaussian& operator[](int t) const { return steps_[static_cast<std::size_t>(t)]; }
  [[nodiscard]] LinearGaussian& operator[](int t) { return steps_[static_cast<std::size_t>(t)]; }

 private:
  std::vector<LinearGaussian> steps_;
};

}  // namespace kedge
