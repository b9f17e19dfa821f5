// DAGGER with the DDP solution as the oracle, as VGPS is compared with [LevineKoltun2013, Sec. 6; Ross2011]: plain,
// weighted by the marginals of the DDP solution, and with the DDP solution adapted to the policy.
// docs/algorithms/dagger.md.
#pragma once

#include "kedge/algorithms/network_training.h"

namespace kedge {

struct DaggerOptions : GuidedOptions {
  enum class OwnStates { always, first, never };

  bool weighted = false;
  bool adapt = false;
  OwnStates own_states = OwnStates::always;
  int thin = 1;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, DaggerOptions>
void describe(O& o, Visit&& visit) {
  describe_guided(o, visit);
  visit("weighted", o.weighted, TrueOrFalse{},
        {"weigh a visited state by its density under the DDP solution's marginal, relative to the largest", "",
         "Sec. 6"});
  visit("adapt", o.adapt, TrueOrFalse{},
        {"optimise the DDP solution again in each iteration, on alpha c - log pi_theta", "", "Sec. 6"});
  visit(
      "own_states", o.own_states, Choices{"always", "first", "never"},
      {"data sets that also hold states of the DDP solution's own marginals: all, that of the first iteration, or none "
       "but that of the first fit"});
  visit("thin", o.thin, at_least(1), {"steps between two visited states that enter the data set"});
}

/// States that policies have visited: column i of `x` at step `t[i]`.
struct Visits {
  MatrixXd x;  ///< [nx, n]
  MatrixXd t;  ///< [1, n] whole numbers
};

struct DaggerState : LoopState {
  MlpGaussian policy;
  std::vector<Guide> guide;  ///< the oracle, without marginals; none before the first iteration
  Visits visits;
  double initial_cost = 0.0;  ///< cost of the first oracle
  double guide_cost = 0.0;    ///< cost of the present oracle
};

template <class S, class Visit>
requires IsOptions<S, DaggerState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("guide", s.guide);
  visit("visited_state", s.visits.x);
  visit("visited_step", s.visits.t);
  visit("initial_cost", s.initial_cost);
  visit("guide_cost", s.guide_cost);
}

using DaggerResult = LoopResult<DaggerState>;
using DaggerObserver = LoopObserver<DaggerState>;

/// Returns the state before the first iteration. @throws InputError
DaggerState dagger_start(const Task& task, const DaggerOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] DaggerResult dagger(const Task& task, DaggerState state, const DaggerOptions& options, const Run& run,
                                  const DaggerObserver& observe = {});

}  // namespace kedge
