#include "kedge/algorithms/requirements.h"

#include "kedge/core/errors.h"

namespace kedge {

void require_whole_episodes(const Task& task, const char* algorithm) {
  if (task.termination.empty()) return;
  throw InputError(fmt::format(
      "task {}: an episode can end early ([[termination]] \"{}\"), but {} learns from episodes of {} steps; "
      "trpo, reps, more and random_search learn from shorter ones; or make it a cost, and leave the ends out: --set "
      "'task.termination=[]'",
      task.name, task.termination.front().name, algorithm, task.horizon));
}

void require_markov(const Task& task, const char* algorithm) {
  if (task.system->markov()) return;
  throw InputError(
      fmt::format("task {}: the model has delays: what is on its way is no part of the state, so a step has no "
                  "derivatives, but {} needs them; moto, gps, trpo, reps, more and random_search do not",
                  task.name, algorithm));
}

void require_observed_states(const Task& task, const char* algorithm) {
  for (std::size_t i = 0; i < task.observation.size(); ++i)
    if (task.observation[i] >= task.nx())
      throw InputError(fmt::format(
          "task {}: the policy sees {}, but {} needs an observation of qpos, qvel and act alone; moto, gps, trpo, "
          "reps, "
          "more and random_search do not",
          task.name, i < task.observation_names.size() ? task.observation_names[i] : "a sensor", algorithm));
}

}  // namespace kedge
