// MOTO: model-free trajectory-based policy optimisation [Akrour2018, Algorithm 1]. Symbols, equations, deviations and
// advice: docs/algorithms/moto.md.
#pragma once

#include "kedge/algorithms/exploration.h"
#include "kedge/algorithms/loop.h"
#include "kedge/algorithms/update_record.h"
#include "kedge/core/option.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/evaluation/importance_weights.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// `describe` below gives the meaning and the range of each option.
struct MotoOptions {
  enum class Targets { dynamic_programming, monte_carlo };
  enum class StateDistribution { mixture, forward };
  enum class FirstMean { middle, demonstration };

  int iterations = 120;
  int rollouts = 20;
  double epsilon = 0.05;
  double beta0 = 0.05;
  bool entropy_constraint = true;
  FirstMean initial_mean = FirstMean::middle;
  ActionNumbers initial_std = default_exploration();
  double ridge = 1e-3;
  Targets targets = Targets::dynamic_programming;
  Reuse reuse = Reuse::time_and_iterations;
  int window = 5;
  double weight_cutoff = 1e-3;
  StateDistribution state_distribution = StateDistribution::mixture;
  double gamma = 0.7;
  ActionNumbers state_floor = 0.0;

  /// @throws InputError naming option, value and rule
  void validate() const;
};

template <class O, class Visit>
requires IsOptions<O, MotoOptions>
void describe(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned", "", "N, Alg. 1"});
  visit("rollouts", o.rollouts, at_least(2), {"trajectories per iteration", "", "M, Alg. 1"});
  visit("epsilon", o.epsilon, above(0),
        {"step size: the new policy stays within this expected KL of the old one at every time step", "nats", "Eq. 2"});
  visit("beta0", o.beta0, at_least(0),
        {"the entropy of a time step falls by at most this per iteration", "nats", "Eq. 3"});
  visit("entropy_constraint", o.entropy_constraint, TrueOrFalse{},
        {"keep Eq. 3; false is the ablation of Fig. 1c: exploration may collapse"});
  visit("initial_mean", o.initial_mean, Choices{"middle", "demonstration"},
        {"actions of the first policy, without feedback: the middle of their limits, or those of the task's "
         "demonstration as long as it lasts",
         "", "Sec. 7.2"});
  visit("initial_std", o.initial_std, above(0), kInitialStdText);
  visit("ridge", o.ridge, above(0),
        {"ridge of the regressions, on whitened features and standardised targets", "", "lambda, Eq. 6"});
  visit(
      "targets", o.targets, Choices{"dynamic_programming", "monte_carlo"},
      {"target of Q: reward plus fitted V of the next state (Sec. 4.1.2), or the return to go (Sec. 4.1.1), which of a "
       "rollout of a past iteration (reuse=iterations) is that of the older policy after step t"});
  visit("reuse", o.reuse, Choices{"none", "time", "iterations", "time_and_iterations"},
        {"samples that enter a regression by importance weights, in addition to those of its own step and iteration: "
         "none, those of other time steps, of past iterations, or of both",
         "", "Sec. 4.2"});
  visit("window", o.window, at_least(1),
        {"iterations whose samples are kept for reuse, the present one included", "", "K, Sec. 4.2.2"});
  visit("weight_cutoff", o.weight_cutoff, between(0, 0.1),
        {"samples whose importance weights sum to less than this share are left out of a regression"});
  visit(
      "state_distribution", o.state_distribution, Choices{"mixture", "forward"},
      {"estimate of the state distribution: decaying mixture of past iterations (Sec. 4.3.2) or forward propagation by "
       "importance weights (Sec. 4.3.1)"});
  visit("gamma", o.gamma, between(0, 1),
        {"weight that an iteration keeps in the mixture with each newer one", "", "Sec. 4.3.2"});
  visit("state_floor", o.state_floor, at_least(0),
        {"standard deviation of an observation that is added to that of the estimated state distribution: what is less "
         "means nothing. For observations that do not vary at some steps; one number, or one for each, or by name",
         "units of the observation"});
}

struct MotoState : LoopState {
  TvLinearGaussian policy;
  Window window;  ///< the last iterations, `window` of them at most
};

template <class S, class Visit>
requires IsOptions<S, MotoState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("window", s.window);
}

using MotoResult = LoopResult<MotoState>;
using MotoObserver = LoopObserver<MotoState>;

/// Returns the state before the first iteration: see `first_policy` and `follow_demonstration`.
/// @throws InputError
MotoState moto_start(const Task& task, const MotoOptions& options);
/// Returns the same with the mean actions of another policy, K and k of every step.
/// @throws InputError as above, or if `from` has another horizon or other sizes than the task
MotoState moto_start_from(const Task& task, const MotoOptions& options, const TvLinearGaussian& from);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] MotoResult moto(const Task& task, MotoState state, const MotoOptions& options, const Run& run,
                              const MotoObserver& observe = {});

}  // namespace kedge
