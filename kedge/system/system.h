// The simulator as the library sees it: discrete-time dynamics of one control step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// A control that drives one coordinate of the system.
struct Drive {
  Index control = 0;                 ///< entry of u
  Index position = 0, velocity = 0;  ///< of the coordinate: entries of x
};

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

  /// Returns whether what follows depends on x and u alone; where it does not (delays), steps have no derivatives.
  [[nodiscard]] virtual bool markov() const { return true; }

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

  /// Replaces the entries of u that laws of the system hold at x, whatever is asked of them (soft limits of joints), as `step`
  /// does at its beginning. @param x [nx], NaN where it is not known: a law that reads that holds nothing
  /// @param u [nu], within limits, in and out
  virtual void hold([[maybe_unused]] VectorIn x, [[maybe_unused]] VectorOut u) const {}

  /// Returns the controls that drive one coordinate each, no coordinate twice; empty where the system does not know.
  [[nodiscard]] virtual std::vector<Drive> drives() const { return {}; }
  /// Inverse dynamics: computes the controls, before limits, under which the coordinates of `drives` have these accelerations
  /// at x, and all others none. A reset is needed afterwards.
  /// @param x [nx]  @param acceleration [drives]  @param u [drives], out  @param inertia [drives, drives] du/dacceleration, out
  /// @return false if the system has none, or if it failed at x
  [[nodiscard]] virtual bool inverse_dynamics([[maybe_unused]] VectorIn x, [[maybe_unused]] VectorIn acceleration,
                                              [[maybe_unused]] VectorOut u, [[maybe_unused]] MatrixOut inertia) {
    return false;
  }
};

}  // namespace kedge
