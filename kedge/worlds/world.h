// Worlds: systems made in C++ around a MuJoCo model, for what a model cannot say. A task file names one ([world], docs/tasks.md)
// and its costs and starts name the pieces of state and sensors that the world adds.
#pragma once

#include <memory>
#include <vector>

#include "kedge/mujoco/model_parts.h"
#include "kedge/system/system.h"

namespace kedge {

struct World {
  std::shared_ptr<const System> system;

  std::vector<Part> state;  ///< pieces of the state after the model's [qpos, qvel, act], from where they count
  VectorXd start;           ///< [size of these] their values before the first step, unless a task says otherwise

  std::vector<Part> sensors;  ///< pieces of the sensors after the model's, from where they count
};

}  // namespace kedge
