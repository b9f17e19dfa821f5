// Trust-region policy optimisation [Schulman2015], in the three forms that MOTO is compared with [Akrour2018, Sec. 7.3].
// Symbols, equations, deviations and advice: docs/algorithms/trpo.md.
#pragma once

#include <optional>

#include "kedge/algorithms/exploration.h"
#include "kedge/algorithms/loop.h"
#include "kedge/core/option.h"
#include "kedge/evaluation/network_value.h"
#include "kedge/math/running_moments.h"
#include "kedge/policy/kinds.h"
#include "kedge/system/task.h"
#include "kedge/update/natural_step.h"

namespace kedge {

/// `describe` below says what each option means and may be.
struct TrpoOptions {
  enum class BatchBy { steps, rollouts };
  enum class Kind { network, linear };
  enum class Value { network, quadratic };
  enum class TimeLimit { seen, end, cut };
  enum class FirstWeights { unit, orthogonal };

  int iterations = 300;
  BatchBy batch = BatchBy::steps;
  int batch_steps = 1024;
  int rollouts = 20;
  Kind policy = Kind::network;
  Value value = Value::network;
  TimeLimit time_limit = TimeLimit::seen;
  FirstWeights first_weights = FirstWeights::unit;
  int hidden = 32;
  int layers = 2;
  double input_clip = 5.0;
  ActionNumbers initial_std = default_exploration();
  double epsilon = 0.01;
  KlRule kl_rule = KlRule::exact;
  int cg_iterations = 10;
  double damping = 0.1;
  int fisher_every = 5;
  int lengths = 10;
  double discount = 0.99;
  double lambda = 0.98;
  double reward_scale = 1.0;
  double usual_cost = 0.0;
  int value_epochs = 5;
  int value_minibatch = 64;
  double value_rate = 1e-3;
  double ridge = 1e-3;

  [[nodiscard]] bool clock() const { return time_limit == TimeLimit::seen; }  ///< the networks see t / T
  /// @throws InputError naming option, value and rule
  void validate() const;
};

template <class O, class Visit>
requires IsOptions<O, TrpoOptions>
void describe(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned"});
  visit("batch", o.batch, Choices{"steps", "rollouts"},
        {"what an iteration collects: batch_steps control steps, the last rollout cut where they end, or whole "
         "rollouts"});
  visit("batch_steps", o.batch_steps, at_least(1), {"control steps per iteration, at least one rollout's"});
  visit("rollouts", o.rollouts, at_least(2), {"trajectories per iteration, if whole ones are collected"});
  visit(
      "policy", o.policy, Choices{"network", "linear"},
      {"a network with a standard deviation of its own for each action entry, or a linear-Gaussian controller per time "
       "step with a diagonal covariance",
       "", "[Akrour2018, Sec. 7.3]"});
  visit(
      "value", o.value, Choices{"network", "quadratic"},
      {"the value function: a network that learns from iteration to iteration, or a quadratic function per time step, "
       "fitted backwards to the present batch as in MOTO",
       "", "[Akrour2018, Sec. 7.3]"});
  visit("time_limit", o.time_limit, Choices{"seen", "end", "cut"},
        {"what step T is: an end that the networks see coming, by one more input, t / T; an end that they do not see; "
         "or, unseen "
         "as well, a cut in an episode that goes on, so that V of the state there follows",
         "", "[Akrour2018, Sec. 7.3], [Pardo2018]"});
  visit("first_weights", o.first_weights, Choices{"unit", "orthogonal"},
        {"the networks' weights before the first iteration: rows of norm 1, or orthogonal matrices times sqrt(2), of "
         "random "
         "directions; in the policy's last layer 0.01 times as large",
         "", "[Saxe2014]"});
  visit("hidden", o.hidden, at_least(1), {"units of a hidden layer of the networks"});
  visit("layers", o.layers, between(0, 10), {"hidden layers of the networks; 0: linear functions"});
  visit("input_clip", o.input_clip, at_least(0),
        {"bound on the normalised inputs of the networks; 0: none", "standard deviations"});
  visit("initial_std", o.initial_std, above(0), kInitialStdText);
  visit("epsilon", o.epsilon, above(0),
        {"step size: the new policy stays within this mean KL of the old one, over all states of the batch", "nats",
         "delta, Eq. 14"});
  visit("kl_rule", o.kl_rule, Choices{"exact", "reference"},
        {"a step is taken if its measured KL is at most epsilon (1 + 1e-9), or, as in openai/baselines, 1.5 epsilon"});
  visit("cg_iterations", o.cg_iterations, at_least(1), {"conjugate-gradient iterations", "", "App. C"});
  visit("damping", o.damping, at_least(0), {"added to the diagonal of the Fisher matrix, for the direction"});
  visit("fisher_every", o.fisher_every, at_least(1),
        {"the Fisher matrix is the mean over each such sample of the batch"});
  visit("lengths", o.lengths, at_least(1), {"step lengths that are tried before an iteration goes without a step"});
  visit("discount", o.discount, between(0, 1),
        {"discount of the return per step, for advantages and values", "", "gamma"});
  visit("lambda", o.lambda, between(0, 1),
        {"weight of later steps in the advantage of a step, relative to the one before", "", "[Schulman2016, Eq. 16]"});
  visit("reward_scale", o.reward_scale, above(0),
        {"factor of the rewards before anything is learned from them: value networks need them near 1"});
  visit("usual_cost", o.usual_cost, at_least(0),
        {"a cost that every step has, roughly: a value network learns only how V differs from that of such steps",
         "cost a step"});
  visit("value_epochs", o.value_epochs, at_least(0), {"passes of a value network over the batch"});
  visit("value_minibatch", o.value_minibatch, at_least(1), {"samples of one of its gradient steps"});
  visit("value_rate", o.value_rate, above(0), {"its step size, of Adam"});
  visit("ridge", o.ridge, above(0),
        {"ridge of the regressions of a quadratic value function, on whitened features and standardised targets"});
}

struct TrpoState : LoopState {
  AnyPolicy policy;
  std::optional<NetworkValue> value;  ///< none where V is quadratic
  RunningMoments moments;  ///< of all inputs so far: the observation, and below it the time if there is a clock
};

template <class S, class Visit>
requires IsOptions<S, TrpoState>
void describe(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("value", s.value);
  visit("moments", s.moments);
}

using TrpoResult = LoopResult<TrpoState>;
using TrpoObserver = LoopObserver<TrpoState>;

/// Returns the state before the first iteration. Its networks have no weights yet: the first iteration draws them.
/// @throws InputError
TrpoState trpo_start(const Task& task, const TrpoOptions& options);
/// Returns the same with the mean actions of another policy, K and k of every step.
/// @throws InputError as above, or if `from` has another horizon or other sizes than the task; or if the policy is a network
TrpoState trpo_start_from(const Task& task, const TrpoOptions& options, const TvLinearGaussian& from);

/// Runs iterations state.iteration ... options.iterations - 1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] TrpoResult trpo(const Task& task, TrpoState state, const TrpoOptions& options, const Run& run,
                              const TrpoObserver& observe = {});

}  // namespace kedge
