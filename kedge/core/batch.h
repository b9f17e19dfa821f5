// Rollouts as plain data, with their summaries: returns, divergence, success, simulated steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// N rollouts of one policy on one task, each of T steps. Column `at(n, t)` of the state-like matrices holds rollout n at
/// time t = 0 ... T (T is the final state), column `step(n, t)` of `action` holds t = 0 ... T-1.
///
/// A rollout that diverged at step t (`diverged_at[n] = t >= 0`) is finite up to and including state t, and zero from
/// there on. Such rollouts are counted and never used for learning; the others are usable.
///
/// A rollout that ended early at state t (`ended_at[n] = t >= 1`) has t steps. `cost(t, n)` is the cost of the end. From
/// there on states and observations stay as they are, and actions, terms and costs are zero.
struct Batch {
  int rollouts = 0;  ///< N
  int horizon = 0;   ///< T, control steps

  MatrixXd state;        ///< [nx, N (T+1)] full state of the system, x
  MatrixXd observation;  ///< [ds, N (T+1)] seen by the policy, s
  MatrixXd action;       ///< [da, N T] as commanded by the policy, before limits, a

  /// [cost terms, N (T+1)] Value of every cost term, whether it is active at that step or not.
  MatrixXd terms;

  MatrixXd cost;                 ///< [T+1, N] sum of the active terms at t; row T: the final state
  std::vector<int> diverged_at;  ///< [N] step that diverged; -1: never

  /// [N] Value of the task's success measure. NaN if none is declared, or if the rollout diverged or ended early.
  VectorXd success;

  /// [N] Why a rollout diverged, in the simulator's terms; empty if it did not. Not stored: empty as a whole in batches
  /// that were read from a file.
  std::vector<std::string> why_diverged = {};

  /// [N] State at which a rollout ended early; -1: none. Empty as a whole in batches that were read from a file: they have
  /// no early ends.
  std::vector<int> ended_at = {};

  double saturated = 0.0;  ///< share of commanded action entries outside their limits, in [0, 1]

  [[nodiscard]] Index at(int n, int t) const { return Index{n} * (horizon + 1) + t; }
  [[nodiscard]] Index step(int n, int t) const { return Index{n} * horizon + t; }
  /// Returns the state at which rollout n ended early; -1 if it did not.
  [[nodiscard]] int end(int n) const { return ended_at.empty() ? -1 : ended_at[static_cast<std::size_t>(n)]; }
  /// Returns the number of steps of a usable rollout n, at most T.
  [[nodiscard]] int steps(int n) const { return end(n) < 0 ? horizon : end(n); }
  [[nodiscard]] bool usable(int n) const { return diverged_at[static_cast<std::size_t>(n)] < 0; }
};

/// Returns rollouts of which nothing is known yet: all numbers are 0, success is NaN, none has diverged.
/// @param nx, ds, da, terms  rows of state, observation, action and terms
Batch empty_batch(int rollouts, int horizon, Index nx, Index ds, Index da, Index terms);

/// Returns the number of rollouts that did not diverge.
int usable_rollouts(const Batch& batch);

/// Returns the number of rollouts that diverged.
int diverged_rollouts(const Batch& batch);

/// Returns the number of rollouts that ended early.
int ended_rollouts(const Batch& batch);

/// Returns why rollouts diverged, the most frequent cause first, each with how often it came if there are several:
/// "MuJoCo: bad qacc at joint "hip" of body "leg" (3), the action is not finite (1)". Causes that differ only in numbers count
/// as one. Empty if nothing is known.
std::string divergence_text(const Batch& batch);

/// Returns the return of rollout n: minus its summed cost, up to the step before divergence if it diverged.
double rollout_return(const Batch& batch, int n);

/// Returns the returns of the usable rollouts, in order. @return [usable]
std::vector<double> returns(const Batch& batch);

/// Returns the mean return of the usable rollouts. @param batch with at least one
double return_mean(const Batch& batch);

/// Returns the number of control steps that were simulated, including those of rollouts that diverged or ended early.
std::int64_t simulated_steps(const Batch& batch);

/// Returns the share of all rollouts whose success measure is below a limit, in [0, 1].
/// @param below the task's `success_limit()`; nothing is below NaN
double success_rate(const Batch& batch, double below);

/// Returns the observations of the usable rollouts at step t, one per column. @param t in [0, T]  @return [ds, usable]
MatrixXd observations_at(const Batch& batch, int t);

}  // namespace kedge
