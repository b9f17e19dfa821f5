// A policy as a header in C99 that gives the same bits as kedge.
#pragma once

#include <string>

#include "kedge/files/policy_file.h"

namespace kedge {

/// Returns a header with the functions PREFIX_mean, the mean of the policy, and PREFIX_action, the same within the limits of
/// the actions that the file has; of a contextual policy also PREFIX_start. Numbers are written exactly.
/// They do what `Policy::mean` does, operation by operation: the bits are equal where C's double is IEEE 754's, expressions
/// are neither widened nor contracted, and kedge's vectors have fused multiply-adds (`vectors_in_use` is not "portable").
/// The parameters that a contextual policy chooses are equal but for rounding.
/// @throws InputError for a contextual movement primitive
std::string c_header(const PolicyFile& file, const std::string& prefix);

}  // namespace kedge
