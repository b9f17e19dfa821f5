// What only some algorithms ask of a task.
#pragma once

#include "kedge/system/task.h"

namespace kedge {

/// Checks that every episode has T steps. @param algorithm its name  @throws InputError if episodes can end early
void require_whole_episodes(const Task& task, const char* algorithm);

/// Checks that the state says what follows from it. @param algorithm its name  @throws InputError if the system has delays
void require_markov(const Task& task, const char* algorithm);

/// Checks that the policy sees entries of the state alone. @param algorithm its name  @throws InputError if it sees sensors
void require_observed_states(const Task& task, const char* algorithm);

}  // namespace kedge
