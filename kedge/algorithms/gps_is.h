// Guided policy search by importance sampling [LevineKoltun2013b: Guided Policy Search, ICML 2013], and its adaptive
// form, as VGPS is compared with [LevineKoltun2013, Sec. 6]. docs/algorithms/gps_is.md.
#pragma once

#include "kedge/algorithms/network_training.h"

namespace kedge {

struct GpsIsOptions : GuidedOptions {
  bool adapt = false;
  int guide_rollouts = 40;
  int window = 10;
  double regulariser = 1e-2;
  double least_effective = 1;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, GpsIsOptions>
void describe(O& o, Visit&& visit) {
  describe_guided(o, visit);
  visit("adapt", o.adapt, TrueOrFalse{},
        {"optimise the DDP solution again in each iteration, to suit the policy, and sample it (adaptive GPS)"});
  visit("guide_rollouts", o.guide_rollouts, at_least(1), {"rollouts of the DDP solution that enter the samples"});
  visit("window", o.window, at_least(1),
        {"iterations whose rollouts are kept, in addition to those of the DDP solution"});
  visit(
      "regulariser", o.regulariser, at_least(0),
      {"initial and maximal w_r, in units of alpha times the cost: keeps the policy near its samples; adapted tenfold, "
       "down to 1e-4 of this value"});
  visit("least_effective", o.least_effective, at_least(1),
        {"effective samples of a step below which an update is refused: its weights are degenerate"});
}

/// The usable rollouts that one policy made.
struct PolicySamples {
  MatrixXd x;                ///< [nx, N T] states
  MatrixXd a;                ///< [da, N T] actions
  MatrixXd cost;             ///< [T, N]; the cost of the final state is in its last row
  MatrixXd theta;            ///< [P, 1] parameters of the network that made them; [0, 0]: the guide below made them
  std::vector<Guide> guide;  ///< the guide that made them, or none
};

template <class S, class Visit>
requires IsOptions<S, PolicySamples>
void describe(S& s, Visit&& visit) {
  visit("x", s.x);
  visit("a", s.a);
  visit("cost", s.cost);
  visit("theta", s.theta);
  visit("guide", s.guide);
}

struct GpsIsState : LoopState {
  MlpGaussian policy;                  ///< theta*, the best so far
  std::vector<Guide> guide;            ///< the DDP solution, without marginals; none before the first iteration
  std::vector<PolicySamples> samples;  ///< those of the first guide, then the newest of the others
  double initial_cost = 0.0;           ///< cost of the first DDP solution
  double guide_cost = 0.0;             ///< cost of the present DDP solution
  double regulariser = 0.0;            ///< w_r
};

template <class S, class Visit>
requires IsOptions<S, GpsIsState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("guide", s.guide);
  visit("samples", s.samples);
  visit("initial_cost", s.initial_cost);
  visit("guide_cost", s.guide_cost);
  visit("regulariser", s.regulariser);
}

using GpsIsResult = LoopResult<GpsIsState>;
using GpsIsObserver = LoopObserver<GpsIsState>;

/// Returns the state before the first iteration. @throws InputError
GpsIsState gps_is_start(const Task& task, const GpsIsOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] GpsIsResult gps_is(const Task& task, GpsIsState state, const GpsIsOptions& options, const Run& run,
                                 const GpsIsObserver& observe = {});

}  // namespace kedge
