// What episodic searches share: a search distribution over the parameters of a controller, which may depend on features of the
// initial state; rollouts with one controller each; the pool of samples. docs/algorithms/reps.md.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kedge/algorithms/controllers.h"
#include "kedge/algorithms/loop.h"
#include "kedge/core/batch.h"
#include "kedge/core/option.h"
#include "kedge/evaluation/search_pool.h"

namespace kedge {

/// `describe_episodic` below says what each option means and may be.
struct EpisodicOptions {
  enum class ContextKind { none, start };
  enum class Features { linear, quadratic };

  int iterations = 100;
  int rollouts = 20;
  int window = 5;
  ControllerKind controller = ControllerKind::linear;
  int hidden = 10;
  int weights = 10;
  double initial_std = 0.1;
  ContextKind context = ContextKind::none;
  Features features = Features::linear;
};

template <class O, class Visit>
void describe_episodic(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned"});
  visit("rollouts", o.rollouts, at_least(2), {"rollouts of an iteration, each with a controller of its own"});
  visit("window", o.window, at_least(1),
        {"iterations whose samples are kept, the present one included; older ones count by importance weights"});
  visit("controller", o.controller, Choices{"linear", "network", "dmp", "dmp_weights"},
        {"whose parameters are searched: gains and offset of a linear controller; the weights of a network; goals and "
         "goal velocities of a movement primitive; these and its weights"});
  visit("hidden", o.hidden, at_least(1), {"hidden units of the network"});
  visit("weights", o.weights, between(0, 1000),
        {"shape functions of each coordinate of the movement primitive, for its imitation of the demonstration", "",
         "B"});
  visit("initial_std", o.initial_std, above(0),
        {"standard deviation of the first search distribution, in units of the parameters: half ranges of the actions "
         "per spread of an observation, weights of the network, largest excursions and speeds of the demonstration"});
  visit(
      "context", o.context, Choices{"none", "start"},
      {"what the mean of the search depends on: nothing, or the initial state, so that a controller is chosen for each "
       "episode"});
  visit("features", o.features, Choices{"linear", "quadratic"},
        {"features of the initial state: its entries, or these and their squares", "", "phi"});
}

/// What the states of episodic searches have.
struct EpisodicState : LoopState {
  AnyPolicy policy;              ///< of the mean parameters
  LinearGaussian search;         ///< N(K phi + k, Sigma) over the P parameters of the family
  std::vector<Generation> pool;  ///< the last iterations, `window` of them at most, oldest first
};

template <class S, class Visit>
void describe_episodic_state(S& s, Visit&& visit) {
  describe_loop(s, visit);
  visit("policy", s.policy);
  visit("search", s.search);
  visit("pool", s.pool);
}

/// The search problem of a task: what its parameters and features mean.
struct SearchProblem {
  const Task& task;
  ControllerFamily family;
  std::optional<Context> context;

  [[nodiscard]] Index features() const { return context ? context->features() : 0; }
};

/// @throws InputError if the task lacks what the controller or the context needs
SearchProblem search_problem(const Task& task, const EpisodicOptions& options);

/// Returns the state before the first iteration: N(0, initial_std^2 I).
EpisodicState first_search(const SearchProblem& problem, const EpisodicOptions& options);

/// @throws InputError if the state does not fit the problem
void require_search(const SearchProblem& problem, const EpisodicState& state);

/// Returns the policy of the mean parameters: a controller, or one for each initial state.
/// @return nullopt if it is not finite
std::optional<AnyPolicy> mean_policy(const SearchProblem& problem, const LinearGaussian& search);

/// Runs the rollouts of an iteration, each with a controller drawn from the search distribution, and puts the usable ones
/// into the pool. @param next its `pool` is changed
Outcome<Batch> search_rollouts(const SearchProblem& problem, const EpisodicOptions& options, int iteration,
                               const Run& run, EpisodicState& next);

/// Returns the columns that every search reports, and warnings about the rollouts. @param next after the iteration, counted
Iteration search_report(const SearchProblem& problem, const Batch& batch, const PooledSamples& samples, int iteration,
                        const EpisodicOptions& options, const EpisodicState& next);

}  // namespace kedge
