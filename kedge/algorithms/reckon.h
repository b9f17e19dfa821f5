// Reckon: exact KL steps on rollouts imagined with a learned model of the dynamics, corrected by a few real rollouts an
// iteration. As in dead reckoning: steer by the chart, take a fix, correct the chart. docs/algorithms/reckon.md.
#pragma once

#include "kedge/algorithms/exploration.h"
#include "kedge/algorithms/loop.h"
#include "kedge/core/option.h"
#include "kedge/evaluation/dynamics_ensemble.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// `describe` below says what each option means and may be.
struct ReckonOptions {
  int iterations = 20;
  int rollouts = 0;
  ActionNumbers initial_std = default_exploration();
  double beta0 = 0.045;
  double quiet_noise = 0.15;
  int particles = 0;
  int steps = 25;
  int members = 4;
  int units = 64;
  int first_batches = 1500;
  int batches = 80;
  int local = 3;
  int memory = 200000;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
requires IsOptions<O, ReckonOptions>
void describe(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned"});
  visit("rollouts", o.rollouts, at_least(0),
        {"real rollouts per iteration that explore, with 3 quiet ones for each 7; 0: by the entries of observation and "
         "action, 3 and 2 quiet ones for up to 9, 7 and 3 for up to 15",
         "", "M - M_q"});
  visit("initial_std", o.initial_std, above(0), kInitialStdText);
  visit("beta0", o.beta0, at_least(0),
        {"the entropy of a time step falls by at most this per iteration, rollout and action entry", "nats"});
  visit("quiet_noise", o.quiet_noise, between(0.01, 1),
        {"share of the policy's noise with which rollouts are imagined, and quiet ones are run", "", "kappa"});
  visit("particles", o.particles, between(0, 10000),
        {"imagined rollouts, at least one for each member; 0: 48, or twice as many as observation and action have "
         "entries, "
         "whatever is more",
         "", "N"});
  visit("steps", o.steps, at_least(1), {"KL steps on imagined rollouts per iteration, at most", "", "J"});
  visit("members", o.members, between(1, 20), {"networks of the model", "", "E"});
  visit("units", o.units, between(1, 1024), {"units in each of a network's two layers"});
  visit("first_batches", o.first_batches, at_least(1), {"minibatches of a network in the first iteration"});
  visit("batches", o.batches, at_least(1), {"minibatches of a network for each rollout, later"});
  visit("local", o.local, at_least(1),
        {"newest iterations whose rollouts correct the model around the trajectory", "", "K"});
  visit("memory", o.memory, at_least(1), {"transitions that are kept; older iterations leave"});
}

/// A policy that has been tried, and what its trial said.
struct TriedPolicy {
  TvLinearGaussian policy;
  int iteration = 0;    ///< of its rollouts
  VectorXd quiet_cost;  ///< [M_q] C_b of its quiet rollouts; largest double where one diverged
};
template <class B, class Visit>
requires IsOptions<B, TriedPolicy>
void describe(B& b, Visit&& visit) {
  visit("policy", b.policy);
  visit("iteration", b.iteration);
  visit("quiet_cost", b.quiet_cost);
}

struct ReckonState : LoopState {
  TvLinearGaussian policy;        ///< the one to be tried next
  std::vector<TriedPolicy> base;  ///< none, or the last one that was not taken back, at the centre of the trust region
  TransitionStore data;
  DynamicsEnsemble model;
  double trust = 1.0;           ///< kbar: bound on the KL from the base, nats a step
  double step = 0.05;           ///< epsilon of the last KL step, nats a step
  double cost_before = 0.0;     ///< imagined cost of the base before the last plan
  double cost_predicted = 0.0;  ///< and of the policy after it
};

template <class S, class Visit>
requires IsOptions<S, ReckonState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("base", s.base);
  visit("data", s.data);
  visit("model", s.model);
  visit("trust", s.trust);
  visit("step", s.step);
  visit("cost_before", s.cost_before);
  visit("cost_predicted", s.cost_predicted);
}

using ReckonResult = LoopResult<ReckonState>;
using ReckonObserver = LoopObserver<ReckonState>;

/// The real rollouts of an iteration: M - M_q that explore, M_q that are quiet.
struct FixSize {
  int exploring = 0, quiet = 0;

  /// Returns M.
  [[nodiscard]] int all() const { return exploring + quiet; }
};
FixSize fix_size(const Task& task, const ReckonOptions& options);
/// Returns the number N of imagined rollouts.
int particles_of(const Task& task, const ReckonOptions& options);

/// Returns the state before the first iteration: see `first_policy`.
/// @throws InputError
ReckonState reckon_start(const Task& task, const ReckonOptions& options);
/// Returns the same with the mean actions of another policy, K and k of every step.
/// @throws InputError as above, or if `from` has another horizon or other sizes than the task
ReckonState reckon_start_from(const Task& task, const ReckonOptions& options, const TvLinearGaussian& from);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together, or a cost is not a function of observation and
///         action (see require_expandable). Numerical failure is a result, not an exception.
[[nodiscard]] ReckonResult reckon(const Task& task, ReckonState state, const ReckonOptions& options, const Run& run,
                                  const ReckonObserver& observe = {});

}  // namespace kedge
