// Augmented random search of a linear controller [Mania2018, Algorithm 1, V2]: a floor for algorithms that use more than
// returns. docs/algorithms/random_search.md.
#pragma once

#include "kedge/algorithms/loop.h"
#include "kedge/core/option.h"
#include "kedge/math/running_moments.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// `describe` below gives the meaning and the range of each option.
struct RandomSearchOptions {
  int iterations = 200;
  int directions = 8;
  int best = 4;
  int rollouts = 2;
  double spread = 0.05;
  double step = 0.05;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, RandomSearchOptions>
void describe(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned"});
  visit("directions", o.directions, at_least(1), {"random directions per iteration, each tried both ways", "", "N"});
  visit("best", o.best, at_least(1),
        {"directions with the largest returns that enter the step; of fewer directions, all", "", "b"});
  visit("rollouts", o.rollouts, at_least(1), {"rollouts of each controller that is tried"});
  visit("spread", o.spread, above(0),
        {"standard deviation of a direction, in shares of the action range per standard deviation of an observation",
         "", "nu"});
  visit("step", o.step, above(0), {"step size, in the same unit", "", "alpha"});
}

struct RandomSearchState : LoopState {
  TvLinearGaussian policy;
  MatrixXd gains;          ///< [da, ds] M: shares of the action range per standard deviation of an observation
  RunningMoments moments;  ///< of all observations so far
};

template <class S, class Visit>
requires IsOptions<S, RandomSearchState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("gains", s.gains);
  visit("moments", s.moments);
}

using RandomSearchResult = LoopResult<RandomSearchState>;
using RandomSearchObserver = LoopObserver<RandomSearchState>;

/// Returns the state before the first iteration: no gains, actions in the middle of their limits.
/// @throws InputError
RandomSearchState random_search_start(const Task& task, const RandomSearchOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] RandomSearchResult random_search(const Task& task, RandomSearchState state,
                                               const RandomSearchOptions& options, const Run& run,
                                               const RandomSearchObserver& observe = {});

}  // namespace kedge
