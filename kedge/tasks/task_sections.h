// The sections of a task file, each a function of its text and of the model. Internal to kedge/tasks.
#pragma once

#include <mujoco/mujoco.h>

#include <memory>
#include <string>
#include <vector>

#include "kedge/files/toml_value.h"
#include "kedge/mujoco/model_parts.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/system/task.h"
#include "kedge/tasks/quantities.h"

namespace kedge {

// Each of these functions reads its section of the document `root`, writes it with every default to `resolved`, and throws
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
  std::vector<Index> index;  ///< [ds] entry of [x; y]
  std::vector<std::string> names;
};
Observation read_observation(const Value& root, const Plant& plant, toml::table& resolved);

/// Reads the context. @return entries of the initial state; empty if the file has no such section
std::vector<Index> read_context(const Value& root, const Plant& plant, toml::table& resolved);

/// Reads the start. With `from = "demonstration"` the mean is the model's own pose until `start_of_demonstration`
/// replaces it.
StartDistribution read_start(const Value& root, const Plant& plant, toml::table& resolved);

/// Writes starts and limits of a resolved task by the names of joints and actuators, so that one of them can be changed by its
/// name. They mean the same as in their order, by which the task has its digest.
void name_numbers(const mjModel& model, toml::table& resolved);

/// Returns the mean of the start of a task with a demonstration: the demonstration's first state if the file asks for it,
/// else `mean`.
VectorXd start_of_demonstration(const Value& root, const mjModel& model, const Demonstration& shown, VectorXd mean);

std::vector<CostTerm> read_cost(const Value& root, const Plant& plant, const Actions& actions, int horizon,
                                toml::table& resolved);

/// @return one measure, or none if the file has no such section
std::vector<Success> read_success(const Value& root, const Plant& plant, const Actions& actions, int horizon,
                                  toml::table& resolved);

std::vector<Termination> read_termination(const Value& root, const Plant& plant, const Actions& actions,
                                          toml::table& resolved);

/// All of a task but its name, its texts and its demonstration. Sets the time step of the model.
/// @param law_texts  out: the joint limits, for people
Task read_task(const Value& root, const std::shared_ptr<mjModel>& model, std::vector<std::string>& law_texts,
               toml::table& resolved);

}  // namespace kedge
