// The sections of a task file, each a function of its text and of the model. Internal to kedge/tasks.
#pragma once

#include <mujoco/mujoco.h>

#include <string>
#include <vector>

#include "kedge/files/toml_value.h"
#include "kedge/mujoco/model_parts.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/system/task.h"

namespace kedge {

// Each of these reads what it needs of the document `root`, writes it with every default to `resolved`, and throws
// InputError with the place of a value that is wrong.

struct Clock {
  int horizon = 0;
  double control_step = 0.0;  ///< s
  int substeps = 1;
};
Clock read_clock(const Value& root, const mjModel& model, toml::table& resolved);

struct Actions {
  std::vector<Part> parts;           ///< actuators that are driven, as pieces of the action
  std::vector<Index> control_index;  ///< [da] entry of the control
  std::vector<std::string> names;    ///< [da]
  VectorXd low, high;                ///< [da] limits
};
Actions read_actions(const Value& root, const mjModel& model, toml::table& resolved);

struct JointLimits {
  std::vector<JointLimit> laws;
  std::vector<std::string> texts;  ///< for people, one line for each table
};
JointLimits read_joint_limits(const Value& root, const mjModel& model, const Actions& actions, toml::table& resolved);

struct Observation {
  std::vector<Index> index;  ///< [ds] entry of the state
  std::vector<std::string> names;
};
Observation read_observation(const Value& root, const mjModel& model, toml::table& resolved);

/// @return entries of the initial state; empty if the file has no such section
std::vector<Index> read_context(const Value& root, const mjModel& model, toml::table& resolved);

/// With `from = "demonstration"` the mean is the model's own pose until `start_of_demonstration` replaces it.
StartDistribution read_start(const Value& root, const mjModel& model, toml::table& resolved);

/// The mean of the start with a demonstration: its first state if the file says so, else the mean that is there.
VectorXd start_of_demonstration(const Value& root, const mjModel& model, const Demonstration& shown, VectorXd mean);

std::vector<CostTerm> read_cost(const Value& root, const mjModel& model, const Actions& actions, int horizon,
                                toml::table& resolved);

/// @return one, or nothing if the file has no such section
std::vector<Success> read_success(const Value& root, const mjModel& model, const Actions& actions, int horizon,
                                  toml::table& resolved);

}  // namespace kedge
