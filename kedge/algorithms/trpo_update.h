// The policy update of TRPO: normalised inputs, surrogate, natural step, for each kind of policy.
#pragma once

#include "kedge/algorithms/trpo.h"
#include "kedge/evaluation/step_samples.h"

namespace kedge {

/// Returns the inputs of the networks: the observations and, with a clock, the time. @return [inputs, N]
MatrixXd network_inputs(MatrixIn s, const std::vector<int>& step, const Task& task, const TrpoOptions& options);

/// Returns the network with the input maps of these moments. It is the same function where no input is cut; in the first
/// iteration its weights, drawn for normalised inputs, are kept.
Network with_inputs(const Network& network, const RunningMoments& moments, bool first);

struct PolicyUpdate {
  AnyPolicy policy;  ///< the old one unless step.status == ok
  NaturalStep step;  ///< its theta is that of `policy`
};

/// Maximises the surrogate mean of pi(a|s) / pi_old(a|s) A within the bound on the mean of KL(pi_old || pi), both measured on
/// all samples [Schulman2015, Eq. 14].
/// @param policy pi_old, which made the samples  @param advantage [N]  @param moments of the inputs, these samples included
PolicyUpdate update_policy(const Task& task, const AnyPolicy& policy, const StepSamples& samples, VectorIn advantage,
                           const RunningMoments& moments, bool first, const TrpoOptions& options, int threads);

}  // namespace kedge
