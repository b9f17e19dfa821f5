// What an iteration of an algorithm takes, estimated before work starts; and what the options will probably do to the task.
#pragma once

#include <string>
#include <vector>

#include "kedge/algorithms/episodic.h"
#include "kedge/algorithms/gps.h"
#include "kedge/algorithms/guide.h"
#include "kedge/algorithms/ilqr.h"
#include "kedge/algorithms/moto.h"
#include "kedge/algorithms/random_search.h"
#include "kedge/algorithms/reckon.h"
#include "kedge/algorithms/trpo.h"
#include "kedge/system/task.h"

namespace kedge {

struct Needs {
  double bytes = 0.0;       ///< memory, within a factor of two
  double steps = 0.0;       ///< control steps simulated in the longest iteration, those for derivatives included
  double operations = 0.0;  ///< floating-point operations of an iteration besides, within a factor of a few

  std::vector<std::string> notes;      ///< numbers to judge by, one line each
  std::vector<std::string> proposals;  ///< where a number is bad: what to set instead, one line each
};

/// @param threads >= 1, which each need memory of their own
Needs needs(const Task& task, const MotoOptions& options, int threads);
Needs needs(const Task& task, const GpsOptions& options, int threads);
Needs needs(const Task& task, const IlqrOptions& options, int threads);
Needs needs(const Task& task, const ReckonOptions& options, int threads);
Needs needs(const Task& task, const TrpoOptions& options, int threads);
Needs needs(const Task& task, const EpisodicOptions& options, int threads);
Needs needs(const Task& task, const RandomSearchOptions& options, int threads);
/// Of VGPS and the methods compared with it.
Needs needs(const Task& task, const GuidedOptions& options, int threads);

/// Returns what rollouts take, and no more.
Needs needs_of_rollouts(const Task& task, double rollouts);

/// Returns the share of the actions of the first policy that are beyond their limits, in [0, 1], averaged over the actions.
/// @param std [da]
double share_beyond_limits(const Task& task, const VectorXd& std);

/// Adds what exploration of that size means: the share of the actions beyond the limits at the start, and how far the mean can
/// travel until it has shrunk, sqrt(2 epsilon) sigma_0 da / beta0 (docs/algorithms/moto.md, "Travel"), against half the range.
/// @param std [da]  @param beta0 nats; 0: exploration does not shrink
void judge_exploration(const Task& task, const VectorXd& std, double epsilon, double beta0, Needs& needs);

}  // namespace kedge
