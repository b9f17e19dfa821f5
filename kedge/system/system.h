// The simulator as the library sees it: discrete-time dynamics of one control step.
#pragma once

#include <memory>
#include <string>

#include "kedge/core/types.h"

namespace kedge {

/// Discrete-time dynamics x' = f(x, u), one control step at a time. An object holds one simulation; each thread owns a
/// clone. x is the whole state: `reset(x)` removes every trace of earlier use, and a simulation that arrived at x
/// continues like one that was reset to x, bit for bit.
///
/// Where entries of x are not independent (the four of a quaternion), small changes dx live in a tangent space of
/// ndx <= nx dimensions: x (+) dx = `integrate`, y (-) x = `difference`. Gains, gradients and derivatives are in dx.
struct System {
  virtual ~System() = default;
  [[nodiscard]] virtual Index nx() const = 0;       ///< size of the full state x
  [[nodiscard]] virtual Index nu() const = 0;       ///< number of controls u
  [[nodiscard]] virtual Index nsensor() const = 0;  ///< size of the sensor vector y, may be 0
  [[nodiscard]] virtual std::unique_ptr<System> clone() const = 0;

  /// Returns the size of the tangent space; a quaternion counts 3.
  [[nodiscard]] virtual Index ndx() const { return nx(); }
  /// Computes dx = to (-) from: integrate(from, dx) is `to`. @param from, to [nx]  @param dx [ndx], out
  virtual void difference(VectorIn from, VectorIn to, VectorOut dx) const { dx = to - from; }
  /// Computes moved = x (+) dx. @param x [nx]  @param dx [ndx]  @param moved [nx], out; not the memory of x
  virtual void integrate(VectorIn x, VectorIn dx, VectorOut moved) const { moved = x + dx; }
  /// Computes G = d(x (+) dx) / d(dx) at dx = 0. @param x [nx]  @param G [nx, ndx], out
  virtual void tangent([[maybe_unused]] VectorIn x, MatrixOut G) const { G.setIdentity(); }

  /// Sets the whole state. @param x [nx], finite
  virtual void reset(VectorIn x) = 0;
  /// Simulates one control step with constant u; sub-steps are inside. @param u [nu], within limits
  /// @return false if the simulation diverged (not finite, or refused by the simulator); only `reset` is allowed then
  [[nodiscard]] virtual bool step(VectorIn u) = 0;
  /// Returns why the last `step` or `settle` failed, in the simulator's own terms and without a place in time; empty where
  /// nothing failed or the system does not say.
  [[nodiscard]] virtual std::string trouble() const { return {}; }
  /// Makes `sensors` describe the present state under u = 0, without advancing. Used at the final state.
  virtual void settle() = 0;
  /// Reads the present state. @param x [nx], out
  virtual void state(VectorOut x) const = 0;
  /// Reads the sensors as they were at the beginning of the last `step` (at its state, with its u), or at the present
  /// state after `settle`. @param y [nsensor], out
  virtual void sensors(VectorOut y) const = 0;
};

}  // namespace kedge
