// iLQR as an algorithm: the iterations of ilqr_solver.h on the task's own cost, from several first trajectories that race, as
// a loop that can be stopped and resumed.
// docs/algorithms/ilqr.md.
#pragma once

#include "kedge/algorithms/ilqr_solver.h"
#include "kedge/algorithms/loop.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// `describe` below gives the meaning and the range of each option.
struct IlqrOptions : IlqrSolverOptions {
  int starts = 16;
  ActionNumbers initial_noise = ActionNumbers::share_of_range(0.3);
  double cost_scale = 1.0;

  IlqrOptions() { box = true; }

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, IlqrOptions>
void describe(O& o, Visit&& visit) {
  describe_solver(o, visit);
  visit("starts", o.starts, between(1, 1000),
        {"first trajectories: one without noise, the others with it. The worse half is left behind after every 10 "
         "iterations, until one is left"});
  visit("initial_noise", o.initial_noise, at_least(0),
        {"standard deviation of the noise on the actions of every second start, the others have a third of it; a share "
         "is of half the range of each action",
         "units of the action"});
  visit("cost_scale", o.cost_scale, above(0),
        {"factor on the cost: the covariance of the policy is the inverse of Quu of the scaled cost"});
}

/// A trajectory in the race, as it can be continued.
struct IlqrRacer {
  MatrixXd action;      ///< [da, T]; the trajectory follows from them
  double lambda = 0.0;  ///< regularisation to continue with
  int ended = 0;        ///< 1: it has converged, or nothing better was found; it stays in the race
};

template <class S, class Visit>
requires IsOptions<S, IlqrRacer>
void describe(S& s, Visit&& visit) {
  visit("action", s.action);
  visit("lambda", s.lambda);
  visit("ended", s.ended);
}

struct IlqrState : LoopState {
  TvLinearGaussian policy;      ///< around the best trajectory, with covariance Quu^-1
  std::vector<IlqrRacer> race;  ///< by their start; before the first iteration one, of the first actions without noise
};

template <class S, class Visit>
requires IsOptions<S, IlqrState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("race", s.race);
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
