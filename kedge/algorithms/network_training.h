// What the methods share that train one network on trajectories of a known model: how the network starts, is fitted, judged
// and reported.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kedge/algorithms/guide.h"
#include "kedge/algorithms/loop.h"
#include "kedge/core/batch.h"

namespace kedge {

/// Returns the network before its first fit: inputs in units of their spread along the trajectory, outputs in units of the
/// root-mean-square action, small random weights.
MlpGaussian initial_network(const Task& task, const Guide& guide, const GuidedOptions& options, std::uint64_t seed);

/// Returns a network that does nothing: the policy of a state before its first iteration.
/// @throws InputError if task or options do not fit together
MlpGaussian blank_network(const Task& task, const GuidedOptions& options);

/// @throws InputError unless the policy is a network for the task
void require_network(const Task& task, const LoopState& state, const MlpGaussian& policy);

/// Returns a fit of the network from its present parameters; unless it was cancelled or a number was not finite, its theta
/// can be continued from: it is better, or unchanged because no improvement was found.
/// @param evaluations of the objective, or steps of a minibatch  @param draw names the random numbers of this fit among those
/// of the iteration
Outcome<FitResult> fit_network(const MlpGaussian& policy, const FitData& data, int evaluations, int iteration, int draw,
                               const GuidedOptions& options, const Run& run);

/// Lines 3 and 4: fits the network to samples of the guides' wide marginals, then its noise, given the mean, to their own: q
/// does not visit the wide ones, and the network's error there is no reason for noise.
Outcome<FitResult> fit_to_guides(const Task& task, const MlpGaussian& policy, const std::vector<Guide>& guides,
                                 int iteration, const GuidedOptions& options, const Run& run);

/// The DDP solution of a task, and a network trained on its own trajectories.
struct FirstGuide {
  GuidePlan plan;
  MlpGaussian policy;
};
/// Returns the start of the baselines, which train on the DDP solution before they see the policy's own states.
/// @param what the solution is called in messages
Outcome<FirstGuide> first_guide(const Task& task, const char* what, const GuidedOptions& options, const Run& run);

/// How good the present policy is: rollouts with its noise, and one without from the middle of the start.
struct Judgement {
  Batch noisy;
  double return_deterministic = 0.0;   ///< NaN if it diverged
  double success_deterministic = 0.0;  ///< 1 or 0
};
Outcome<Judgement> judge(const Task& task, const MlpGaussian& policy, int iteration, int rollouts, const Run& run);

/// Returns the columns that all of these methods report first, and warnings about the rollouts.
/// @param before state of the loop before this iteration  @param steps control steps simulated in addition to the rollouts
Iteration guided_report(const Task& task, const Judgement& judgement, const MlpGaussian& policy, std::int64_t steps,
                        const LoopState& before);

/// The ending of a step that did not give a guide: `what` is named in a failure's message.
Ending without(const char* what, const Ending& why);

}  // namespace kedge
