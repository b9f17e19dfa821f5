// The same policy for other orders of the observation's and the action's entries.
#pragma once

#include <span>

#include "kedge/policy/kinds.h"

namespace kedge {

/// Returns pi' with pi'(a' | s') = pi(a | s), where s'[observation[j]] = s[j] and a'[action[i]] = a[i]. The noise of a draw
/// is another one where actions change their order.
/// @param observation [ds], action [da]: permutations
AnyPolicy reordered(const AnyPolicy& policy, std::span<const Index> observation, std::span<const Index> action);

}  // namespace kedge
