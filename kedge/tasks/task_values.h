// Values that several sections of a task file have: names, numbers for every entry or by name, limits, steps. Internal to
// kedge/tasks.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kedge/core/types.h"
#include "kedge/files/toml_value.h"
#include "kedge/mujoco/model_parts.h"

namespace kedge {

// Each of these throws InputError with the place of the value, if the value is something else.

/// A name that reports and --set use: a letter, then letters, digits, _ and -.
std::string read_identifier(const Value& value);

/// A name made of any text, for a folder that names a task: what a name may not have becomes _, and what may not begin one
/// is put behind "task_". "2dof_arm" is "task_2dof_arm", "my robot" is "my_robot".
std::string identifier_of(std::string_view text);

/// The elements of an array that is not empty, or the one value.
std::vector<Value> one_or_more(const Value& value);

/// One text or an array of texts.
std::vector<std::string> read_texts(const Value& value);

/// [low, high], or a number L > 0 for [-L, L]; both may be infinite.
std::pair<double, double> read_bounds(const Value& value);

/// A number for all n entries, or an array of n numbers. @param read  checks one number  @return [n]
VectorXd read_numbers(const Value& value, Index n, double (Value::*read)() const);

/// As `read_numbers`, or a table of parts by name.
/// @param otherwise  [n] the entries of parts that the table does not name
VectorXd read_numbers_by_name(const Value& value, const std::vector<Part>& parts, VectorXd otherwise,
                              double (Value::*read)() const);

/// The steps that a text, a number or an array of them names; docs/tasks.md says how.
/// @param needs_action  the final state, which has none, is not allowed
/// @return [horizon + 1] 1 for every step that is named
std::vector<char> read_steps(const Value& value, int horizon, bool needs_action);

/// The steps as the file names them, for people.
std::string steps_text(const Value& value);

/// The part of this name. @param what it is, for the message: joint, actuator, ...
const Part& require_part(const Value& where, const std::string& what, const std::vector<Part>& parts,
                         const std::string& name);

toml::array to_toml(const VectorXd& values);
toml::array to_toml(const std::vector<std::string>& texts);

}  // namespace kedge
