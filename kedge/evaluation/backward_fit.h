// The backward pass over time of MOTO [Akrour2018, Sec. 4.1.2]: Q~_t and V~_t of every step, from the last to the first.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "kedge/evaluation/quadratic_fit.h"

namespace kedge {

enum class BackwardFitStatus {
  ok,
  degenerate,  ///< at some step no importance weight is usable, or the features have lost rank
  not_finite,  ///< at some step a coefficient of the fitted Q or V is not finite
};
const char* to_string(BackwardFitStatus status);

/// The number of samples behind the regression of one step.
struct SampleUse {
  double effective = 0.0;  ///< effective sample size
  double used = 0.0;       ///< number of samples
  double left_out = 0.0;   ///< share of the total weight that was left out, in [0, 1]
};

struct BackwardFit {
  BackwardFitStatus status = BackwardFitStatus::ok;
  std::string message;             ///< the step and the reason, if status != ok
  std::vector<QuadraticFit> fits;  ///< [T]; empty if status != ok
  std::vector<SampleUse> samples;  ///< [T]
};

/// Returns bounds of a fitted V_t of costs that are never negative. The values themselves lie between minus the largest
/// cost to go R_t that a stored rollout had from step t, and 0; a sound fit leaves that by a part of R_t at samples that
/// weigh little, so the bounds are -2 R_t and R_t. A quadratic that is bootstrapped knows none of it and runs away where
/// states pile up (joint stops, contacts). No bounds if a stored cost is negative.
/// @return [horizon + 1]
std::vector<ValueBounds> value_bounds(const std::deque<Transitions>& data, int horizon);

/// Fits Q~_t and V~_t for t = T - 1 ... 0 to the newest epoch of `reuse`. Weights, features and Gram matrices do not
/// depend on V~_{t+1}: they are prepared in parallel, a few steps ahead, so that their samples are still in the cache
/// when the targets are known. Results do not depend on the number of threads.
/// @param workspace memory of the regressions, kept from call to call because fresh memory takes time
[[nodiscard]] BackwardFit fit_backwards(const Task& task, const SampleReuse& reuse, const RegressionOptions& options,
                                        int threads, std::vector<Regression>& workspace);

}  // namespace kedge
