// The policy as a rollout sees it.
#pragma once

#include <limits>

#include "kedge/core/random.h"
#include "kedge/core/types.h"

namespace kedge {

/// The horizon of a policy that is defined for every t >= 0.
inline constexpr int kEndless = std::numeric_limits<int>::max();

/// a ~ pi_t(. | s). Const and thread-safe: no hidden scratch.
struct Policy {
  virtual ~Policy() = default;
  [[nodiscard]] virtual int horizon() const = 0;            ///< T: defined for t = 0 ... T-1; or kEndless
  [[nodiscard]] virtual Index observation_dim() const = 0;  ///< ds
  [[nodiscard]] virtual Index action_dim() const = 0;       ///< da
  /// Computes the mean action. @param s [ds]  @param a [da], out
  virtual void mean(int t, VectorIn s, VectorOut a) const = 0;
  /// Computes the mean plus exploration noise. All randomness comes from `noise`.
  virtual void sample(int t, VectorIn s, Stream& noise, VectorOut a) const = 0;
  /// Returns log pi_t(a | s), nats.
  [[nodiscard]] virtual double log_prob(int t, VectorIn s, VectorIn a) const = 0;
};

}  // namespace kedge
