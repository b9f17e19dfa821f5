// The search distribution that follows weighted samples, and a step towards it within a KL bound. The distribution fitted to
// few samples moves much further than the samples' weights do: with fewer effective samples than parameters its covariance
// collapses. So the step goes only as far as the closed-form KL of the Gaussians allows.
#pragma once

#include <optional>
#include <string>

#include "kedge/core/types.h"
#include "kedge/math/lq.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// Returns N(K phi + k, Sigma) of weighted samples: linear regression with
///   Sigma = sum_n p_n e_n e_n' / (1 - sum_n p_n^2 h_n),   h_n = 1 + P_n' (sum p P P')^-1 P_n,   P = phi - E_p phi,
/// which has no bias where the weights do not depend on the samples: with few samples and many features the plain one is far
/// too small. K moves from `old` only where the features vary. Where the samples fix no more than the mean (one sample
/// alone), Sigma is that of `old`. Sigma may be singular; C is not set.
/// @param theta [P, N]  @param phi [F, N]  @param weight [N] >= 0, sum 1
LinearGaussian fit_search(const LinearGaussian& old, MatrixIn theta, MatrixIn phi, VectorIn weight);

enum class SearchStatus {
  ok,
  not_finite,  ///< a number of the fit is not finite
  imprecise,   ///< no step keeps the bound in double precision
};
const char* to_string(SearchStatus status);

/// The new search distribution. Unless status == ok, `next` equals the old one.
struct SearchStep {
  SearchStatus status = SearchStatus::ok;
  std::string message;  ///< the numbers that decided, when status != ok
  LinearGaussian next;
  double length = 0.0;   ///< alpha in (0, 1]
  double kl = 0.0;       ///< E KL(next || old) over the contexts, <= epsilon, nats
  double entropy = 0.0;  ///< H(next), nats
};

/// Goes from `old` towards `fitted` along the mixture of both, with the moments of (1 - alpha) old + alpha fitted:
///   mean = (1 - alpha) old + alpha fitted,   Sigma = (1 - alpha) Sigma_old + alpha Sigma_fitted + alpha (1 - alpha) E d d',
/// d the difference of the means. KL(next || old) grows with alpha (it is convex in the moments), so that the largest alpha
/// within the bound is unique; it is met to 1e-9 from below, or as nearly as double precision allows, unless alpha = 1 is within.
/// @param context [F] moments of the features  @param epsilon > 0, nats
[[nodiscard]] SearchStep search_step(const LinearGaussian& old, const LinearGaussian& fitted, const Moments& context,
                                     double epsilon);

}  // namespace kedge
