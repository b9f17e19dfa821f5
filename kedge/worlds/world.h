// Worlds: systems made in C++ around a MuJoCo model, for what a model cannot say. A task file names one ([world], docs/tasks.md)
// and its costs and starts name the pieces of state and sensors that the world adds.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kedge/mujoco/model_parts.h"
#include "kedge/system/system.h"

namespace kedge {

/// Where the outcome's pieces are in the sensors, behind the model's own.
struct OutcomePlaces {
  Index state = 0;    ///< x_{t+1} [nx]
  Index change = 0;   ///< x_{t+1} (-) x_t [ndx]: of hinges and slides the differences of their positions
  Index sensors = 0;  ///< the model's sensors at x_{t+1} [nsensor], where no action is chosen yet
  Index size = 0;     ///< of all of them, the model's own included
};

struct World {
  std::shared_ptr<const System> system;

  std::vector<Part> state;  ///< pieces of the state after the model's [qpos, qvel, act], from where they count
  VectorXd start;           ///< [size of these] their values before the first step, unless a task says otherwise

  std::vector<Part> sensors;  ///< pieces of the sensors after the model's, from where they count

  std::optional<OutcomePlaces> outcome = {};  ///< of a step, if the sensors have it (outcome.h)
};

}  // namespace kedge
