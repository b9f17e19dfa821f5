// A policy as a file of Python.
#pragma once

#include <string>

#include "kedge/files/policy_file.h"

namespace kedge {

/// Returns a module that needs NumPy only: `mean(t, s)`, the mean of the policy, and `action(t, s)`, the same within the limits
/// of the actions that the file has; of a contextual policy also `start(x0)`. Numbers are exact, results are kedge's but for
/// rounding. @throws InputError for a contextual movement primitive
std::string python_file(const PolicyFile& file);

}  // namespace kedge
