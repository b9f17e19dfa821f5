// The option `initial_std` of algorithms whose first policy explores.
#pragma once

#include "kedge/core/option.h"

namespace kedge {

/// Returns the default: 20 % of half the range of each action.
inline ActionNumbers default_exploration() { return ActionNumbers::share_of_range(0.2); }

inline constexpr OptionText kInitialStdText{
    "standard deviation of the actions of the first policy; a share is of half the range of each action, and 5 where "
    "that is infinite",
    "units of the action"};

}  // namespace kedge
