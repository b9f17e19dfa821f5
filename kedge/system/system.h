// A simulator, seen by rollouts.
#pragma once

#include <memory>

#include "kedge/core/types.h"

namespace kedge {

/// Discrete-time dynamics, one control step at a time. An object holds one simulation; each thread owns a clone.
/// After `reset(x)` nothing of earlier use remains: the same x and the same controls give the same numbers, bit for bit.
struct System {
  virtual ~System() = default;
  [[nodiscard]] virtual Index nx() const = 0;       ///< size of the full state x
  [[nodiscard]] virtual Index nu() const = 0;       ///< number of controls u
  [[nodiscard]] virtual Index nsensor() const = 0;  ///< size of the sensor vector y, may be 0
  [[nodiscard]] virtual std::unique_ptr<System> clone() const = 0;

  /// Sets the whole state. @param x [nx], finite
  virtual void reset(VectorIn x) = 0;
  /// One control step with constant u (sub-steps inside). @param u [nu], within limits
  /// @return false if the simulation diverged (non-finite or refused by the simulator); only `reset` is allowed then.
  [[nodiscard]] virtual bool step(VectorIn u) = 0;
  /// Makes `sensors` describe the present state under u = 0, without advancing: used at the final state.
  virtual void settle() = 0;
  /// @param x [nx], out: the present state
  virtual void state(VectorOut x) const = 0;
  /// @param y [nsensor], out: sensors as they were at the beginning of the last `step` (at its state, with its u), or
  /// at the present state after `settle`.
  virtual void sensors(VectorOut y) const = 0;
};

}  // namespace kedge
