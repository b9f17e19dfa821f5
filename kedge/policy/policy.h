// The policy as a rollout sees it.
#pragma once

#include <functional>
#include <limits>
#include <memory>

#include "kedge/core/random.h"
#include "kedge/core/types.h"

namespace kedge {

/// The horizon of a policy that is defined for every t >= 0.
inline constexpr int kEndless = std::numeric_limits<int>::max();

/// The model of a robot as a policy sees it that tracks a movement: computes the action, before limits, that gives the
/// coordinates that it drives an acceleration. NaN where the model fails.
/// @param q, qd, qdd [da] position, velocity and acceleration of the coordinate that each action drives
/// @param a [da], out  @param inertia [da, da] da/dqdd, out
using InverseDynamics = std::function<void(VectorIn q, VectorIn qd, VectorIn qdd, VectorOut a, MatrixOut inertia)>;

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

  /// Returns the policy of an episode, where the policy chooses one by the initial state; null: it is this one.
  /// @param x0 [nx] the whole initial state  @param model makes the model of the robot, empty where there is none; called
  /// only where the choice needs it
  /// @throws InputError if the choice needs more than there is
  [[nodiscard]] virtual std::unique_ptr<Policy> for_episode(
      [[maybe_unused]] VectorIn x0, [[maybe_unused]] const std::function<InverseDynamics()>& model) const {
    return nullptr;
  }
};

}  // namespace kedge
