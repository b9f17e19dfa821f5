// Shared building blocks for methods that train a single network policy on trajectories of a known model: the first
// network, its fit, its rollouts and the report.
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

/// Checks the policy. @throws InputError unless it is a network for the task
void require_network(const Task& task, const LoopState& state, const MlpGaussian& policy);

/// Fits the network from its present parameters. Unless the fit was cancelled or met a number that is not finite,
/// training can continue from its theta, which is better, or unchanged because no improvement was found.
/// @param evaluations of the objective, or steps of a minibatch  @param draw names the random numbers of this fit among
/// those of the iteration
Outcome<FitResult> fit_network(const MlpGaussian& policy, const FitData& data, int evaluations, int iteration, int draw,
                               const GuidedOptions& options, const Run& run);

/// Fits the network to samples of the guides' wide marginals, then its noise, given the mean, to their own (Alg. 1,
/// lines 3 and 4). The noise does not follow the error on the wide marginals, because q does not visit them.
Outcome<FitResult> fit_to_guides(const Task& task, const MlpGaussian& policy, const std::vector<Guide>& guides,
                                 int iteration, const GuidedOptions& options, const Run& run);

/// The DDP solution of a task, and a network trained on its own trajectories.
struct FirstGuide {
  GuidePlan plan;
  MlpGaussian policy;
};
/// Returns the start of the baselines, which train on the DDP solution before they see the policy's own states.
/// @param what  name of the solution in messages
Outcome<FirstGuide> first_guide(const Task& task, const char* what, const GuidedOptions& options, const Run& run);

/// The performance of the present policy: rollouts with its noise, and one without noise from the middle of the start.
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

/// Returns the ending of a step that did not give a guide. @param what  name of the guide in a failure's message
Ending without(const char* what, const Ending& why);

}  // namespace kedge
