// Where learning starts instead of the algorithm's own start: `kedge train --from`.
#pragma once

#include <optional>
#include <string>

#include "kedge/catalogue/catalogue.h"
#include "kedge/files/directory.h"
#include "kedge/files/policy_file.h"

namespace kedge {

/// A file to start from.
struct Origin {
  enum class Kind { policy, trajectory };
  FileName file = "";
  Kind kind = Kind::policy;
};

/// Finds the file: the policy of a run, a policy file, or a file of trajectories.
/// @throws InputError if there is none, or if it is neither
Origin find_origin(const std::string& what);

/// Checks that an algorithm can start from it: moto, gps, reckon and linear trpo from the mean actions of a policy or the
/// actions of a trajectory, with a noise of their own; ilqr, and what imitates it, from a trajectory, which becomes the
/// task's demonstration.
/// @return true if it becomes the demonstration
/// @throws InputError that says what is possible
bool becomes_demonstration(const Origin& origin, const Algorithm& algorithm);

/// Returns the mean actions of a policy file as those of the task: gains and offsets of the observations and actions of the
/// same names, whatever their order. Observations that the policy does not see have no gain. A file without names must have
/// the task's sizes. The covariance is 1: who learns from it has a noise of its own.
/// @param file  for messages
/// @throws InputError if it is no time-varying linear policy of T steps, or names something that the task does not have
TvLinearGaussian matched(const Task& task, const PolicyFile& policy, const std::string& file);

/// Returns the policy whose means learning starts from: of a policy file as `matched`; of a trajectory its actions, without
/// feedback, then those at rest. @throws InputError as `matched`, or if the trajectory has other actions or more steps
TvLinearGaussian starting_policy(const Task& task, const Origin& origin);

/// Returns 16 hexadecimal digits that identify the mean actions.
std::string means_digest(const TvLinearGaussian& policy);

}  // namespace kedge
