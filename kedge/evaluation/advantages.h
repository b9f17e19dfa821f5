// Generalised advantage estimation [Schulman2016], and the targets that go with it.
//
//   delta_t = r_t + gamma V(s_t+1) - V(s_t)
//   A_t     = sum_l (gamma lambda)^l delta_t+l                     Eq. 16
//   V(s_t) + A_t                                                   the TD(lambda) return, target of the next V
#pragma once

#include <span>

#include "kedge/core/types.h"

namespace kedge {

/// Steps of one episode, one after the other.
struct Segment {
  Index first = 0;  ///< of its samples
  Index count = 0;  ///< >= 1
  double end_value =
      0.0;  ///< V of the state after the last step: 0 where the episode ended there, else what it is cut from
};

/// Computes A of every sample. @param reward, value [N] r and V(s)  @param segments cover each sample once
/// @param gamma, lambda in [0, 1]  @return [N]
VectorXd generalised_advantages(VectorIn reward, VectorIn value, std::span<const Segment> segments, double gamma,
                                double lambda);

/// Returns what a cost of 1 in each of n steps is worth now, sum_k gamma^k, k = 0 ... n - 1, for n = 0 ... `steps`.
/// @param gamma in [0, 1]  @param steps >= 0  @return [steps + 1]
VectorXd discounted_steps(double gamma, int steps);

/// Returns (A - mean) / deviation; zeros where all are equal. @param advantage [N], not empty  @return [N]
VectorXd standardised(VectorIn advantage);

}  // namespace kedge
