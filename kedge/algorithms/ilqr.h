// iLQR as an algorithm: the iterations of ilqr_solver.h on the task's own cost, as a loop that can be stopped and resumed.
// docs/algorithms/ilqr.md.
#pragma once

#include "kedge/algorithms/ilqr_solver.h"
#include "kedge/algorithms/loop.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// `describe` below gives the meaning and the range of each option.
struct IlqrOptions : IlqrSolverOptions {
  double cost_scale = 1.0;
  ActionNumbers initial_noise = 0.0;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, IlqrOptions>
void describe(O& o, Visit&& visit) {
  describe_solver(o, visit);
  visit("cost_scale", o.cost_scale, above(0),
        {"factor on the cost: the covariance of the policy is the inverse of Quu of the scaled cost"});
  visit("initial_noise", o.initial_noise, at_least(0),
        {"standard deviation of noise on the first actions: leaves a symmetric start", "units of the action"});
}

struct IlqrState : LoopState {
  TvLinearGaussian policy;  ///< around the last trajectory, with covariance Quu^-1
  MatrixXd action;          ///< [da, T] of that trajectory, which follows from them
  double lambda = 0.0;      ///< regularisation to continue with
};

template <class S, class Visit>
requires IsOptions<S, IlqrState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("action", s.action);
  visit("lambda", s.lambda);
}

using IlqrResult = LoopResult<IlqrState>;
using IlqrObserver = LoopObserver<IlqrState>;

/// Checks the observation. @throws InputError unless it is the whole state, in order
void require_full_state(const Task& task);

/// Returns the state before the first iteration: the first actions, and a policy of them without feedback.
/// @throws InputError if the task is not valid or does not observe its whole state
IlqrState ilqr_start(const Task& task, const IlqrOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1 from the mean of the task's start.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] IlqrResult ilqr(const Task& task, IlqrState state, const IlqrOptions& options, const Run& run,
                              const IlqrObserver& observe = {});

}  // namespace kedge
