// Vocabulary of the library: linear-algebra aliases and the plain data that flows between the modules
// (docs/notation.md: indices, shapes, units, signs).
#pragma once

#include <Eigen/Dense>
#include <vector>

namespace kedge {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using VectorIn = const Eigen::Ref<const VectorXd>&;
using VectorOut = Eigen::Ref<VectorXd>;
using MatrixIn = const Eigen::Ref<const MatrixXd>&;
using MatrixOut = Eigen::Ref<MatrixXd>;

/// N rollouts of one policy on one task, all of T steps. Column `at(n, t)` of the state-like matrices holds
/// rollout n at time t = 0 ... T (T is the final state), column `step(n, t)` of `action` holds t = 0 ... T-1.
///
/// A rollout that diverged at step t (`diverged_at[n] = t >= 0`) is finite up to and including state t; what
/// follows is zero. Such rollouts are counted and never used for learning.
struct Batch {
  int rollouts = 0;              ///< N
  int horizon = 0;               ///< T, control steps
  MatrixXd state;                ///< [nx, N (T+1)] full state of the system
  MatrixXd observation;          ///< [ds, N (T+1)] what the policy sees, s
  MatrixXd action;               ///< [da, N T] as commanded by the policy, before limits, a
  MatrixXd terms;                ///< [cost terms, N (T+1)] value of every cost term, whether active then or not
  MatrixXd cost;                 ///< [T+1, N] sum of the active terms at t; row T: the final state
  std::vector<int> diverged_at;  ///< [N] step that diverged; -1: never
  VectorXd success;              ///< [N] value of the task's success measure; NaN if none is declared or diverged
  double saturated = 0.0;        ///< fraction of commanded action entries outside their limits, in [0, 1]

  [[nodiscard]] Index at(int n, int t) const { return Index{n} * (horizon + 1) + t; }
  [[nodiscard]] Index step(int n, int t) const { return Index{n} * horizon + t; }
  [[nodiscard]] bool usable(int n) const { return diverged_at[static_cast<std::size_t>(n)] < 0; }
};

}  // namespace kedge
