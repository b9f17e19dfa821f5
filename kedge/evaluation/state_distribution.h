// State distributions rho~_t of the present policy from the data of the last iterations [Akrour2018, Sec. 4.3].
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "kedge/evaluation/epoch.h"

namespace kedge {

/// Returns a Gaussian for each step by weighted maximum likelihood from the states of the last iterations (Sec. 4.3.2). A
/// sample of an iteration of age j has the weight gamma^j.
/// @param window oldest first, the last one is the present iteration; `rho` of the last is not read
/// @param gamma in [0, 1]; 0: the present iteration only
/// @param floor [ds] >= 0: its squares are added to the variances, for observations that hardly vary at some steps; empty: 0
/// @return [T], or nullopt if a step's states are degenerate (not finite, fewer than two usable rollouts)
std::optional<std::vector<Gaussian>> mixture_state_distribution(const Window& window, double gamma, int threads,
                                                                const VectorXd& floor = {});

/// Returns a Gaussian for each step, forwards in time from rho~_1, that of all initial states of the window
/// (Sec. 4.3.1). The state s_{t+1} of a stored transition (s_t, a_t, s_{t+1}) has the weight
/// z_t^i(s_t, a_t) / z_t^{1:i}(s_t, a_t), i the present iteration.
/// @param floor as above  @return as above
std::optional<std::vector<Gaussian>> forward_state_distribution(const Window& window, const VectorXd& floor = {});

}  // namespace kedge
