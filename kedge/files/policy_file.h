// policy.h5: a controller as a file that other programs can read.
//
//   attributes  kind = "tv_linear_gaussian", kedge_version; optional: task, observation_names, action_names [da],
//               action_low, action_high [da], noise ("not meant": the policy is its mean, Sigma is a by-product)
//   datasets    K [T, da, ds], k [T, da], Sigma [T, da, da], C order; mean action = K s + k, covariance Sigma
//
//   attributes  kind = "mlp_gaussian", activation ("softplus" or "tanh"), kedge_version; optional: the same
//   datasets    input_mean, input_scale [ds], output_scale, log_std [da]; W1 [h, ds], b1 [h], ..., the last pair W [da, h]
//               and, with an output bias, b [da]; x = (s - input_mean) / input_scale, x = activation(W x + b) in each
//               hidden layer, mean action = output_scale * (W x [+ b]), covariance diag(exp(2 log_std)), at every step
//
//   attributes  kind = "dmp", kedge_version, step (s), low, high [da]; optional: the same
//   datasets    K [T, da, ds], k [T, da], std [da]: mean action = K s + k within low ... high, covariance diag(std^2);
//               movement [da, 4 + B], columns start, start_velocity, goal, goal_velocity, weights (policy/movement.h);
//               position, velocity [da]: entries of s that follow it
//
//   attributes  kind = "contextual", features ("linear" or "quadratic"), kedge_version; optional: the same
//   datasets    context [C]: entries of the initial state, context_mean, context_scale [C]; map [P, 1 + F]: parameters of
//               the controller (policy/contextual.h) = map [1; phi], phi = c = (x_0[context] - context_mean) / context_scale,
//               or c and c^2
//   group       controller: kind and datasets of one of the others, for phi = 0
//
// A file with `kind` and the datasets that another program made (h5py, MATLAB) is accepted.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kedge/files/atomic_file.h"
#include "kedge/policy/kinds.h"
#include "kedge/system/task.h"

namespace kedge {

/// Names and limits with which the policy can be used elsewhere. Every field may be empty.
struct PolicyInfo {
  std::string task;                            ///< name of the task
  std::vector<std::string> observation_names;  ///< [ds]
  std::vector<std::string> action_names;       ///< [da]
  VectorXd action_low, action_high;            ///< [da] limits, may be infinite

  /// False: the covariance is a by-product (iLQR's Quu^-1, in units of the cost), and the policy is its mean.
  bool noise_meant = true;
};
PolicyInfo policy_info(const Task& task);

struct PolicyFile {
  AnyPolicy policy;
  PolicyInfo info;
};

/// Returns the contents of policy.h5.
std::string policy_bytes(const AnyPolicy& policy, const PolicyInfo& info);

/// Returns the contents of policy.h5 as a JSON object of one line: attributes and datasets alike are its members, a dataset
/// is an array of arrays, every number reads back as the same double, and an infinite limit is null.
std::string policy_as_json(const AnyPolicy& policy, const PolicyInfo& info);

/// Writes policy.h5. @throws SystemError if the file cannot be written; then the old one, if any, is untouched
void save_policy(const FileName& file, const AnyPolicy& policy, const PolicyInfo& info,
                 Durability durability = Durability::power);

/// Reads policy.h5.
/// @throws InputError naming file, dataset, value and rule: a damaged or foreign file, wrong shapes, numbers that are not
///         finite, Sigma not symmetric positive definite
PolicyFile load_policy(const FileName& file);

}  // namespace kedge
