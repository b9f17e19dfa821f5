// The columns of metrics.csv and the warnings of reckon.
#pragma once

#include "kedge/algorithms/reckon.h"
#include "kedge/evaluation/imagined.h"

namespace kedge {

/// What an iteration's real rollouts said.
struct Fix {
  Batch exploring, quiet;
  double ratio = 0.0;     ///< realised gain over the predicted one, mean over the quiet rollouts; 0 in iteration 0
  bool reverted = false;  ///< the policy was taken back
};

/// What was planned on imagined rollouts.
struct Plan {
  TvLinearGaussian policy;
  int accepted = 0, tried = 0;                         ///< KL steps
  double kl = 0.0;                                     ///< sum of the KL from the base under the imagined states, nats
  double cost_before = 0.0, cost_after = 0.0;          ///< J^, imagined with the mean of the members
  double cautious_before = 0.0, cautious_after = 0.0;  ///< J~, mean plus standard deviation over the members
  double entropy = 0.0;                                ///< mean over steps
  double step = 0.0;                                   ///< epsilon afterwards
};

/// @param model_error of the model on this iteration's rollouts before it was trained on them
/// @param before, after  state before and after the iteration
Iteration reckon_report(const Task& task, const Fix& fix, double model_error, const LocalResiduals& local,
                        const Plan& plan, const ReckonState& before, const ReckonState& after);

}  // namespace kedge
