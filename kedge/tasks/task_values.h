// Values that occur in several sections of a task file: names, numbers for every entry or by name, limits, steps.
// Internal to kedge/tasks.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kedge/core/types.h"
#include "kedge/files/toml_value.h"
#include "kedge/mujoco/model_parts.h"

namespace kedge {

// Each of these functions throws InputError with the place of the value if it is of another kind.

/// Reads a name that reports and --set use: a letter, then letters, digits, _ and -.
std::string read_identifier(const Value& value);

/// Returns a name made of any text, for a folder that names a task: characters that a name may not have become _, and
/// "task_" is put before what may not begin one. "2dof_arm" is "task_2dof_arm", "my robot" is "my_robot".
std::string identifier_of(std::string_view text);

/// Returns the elements of an array that is not empty, or the single value.
std::vector<Value> one_or_more(const Value& value);

/// Reads one text or an array of texts.
std::vector<std::string> read_texts(const Value& value);

/// Reads limits: [low, high], or a number L > 0 for [-L, L]. They may be infinite.
std::pair<double, double> read_bounds(const Value& value);

/// Reads a number for all n entries, or an array of n numbers. @param read  checks one number  @return [n]
VectorXd read_numbers(const Value& value, Index n, double (Value::*read)() const);

/// Reads numbers like `read_numbers`, or from a table of parts by name.
/// @param otherwise  [n] values of the parts that the table does not name
VectorXd read_numbers_by_name(const Value& value, const std::vector<Part>& parts, VectorXd otherwise,
                              double (Value::*read)() const);

/// Reads steps from a text, a number or an array of them (docs/tasks.md).
/// @param needs_action  the final state, which has none, is not allowed
/// @return [horizon + 1] 1 for every step that is named, else 0
std::vector<char> read_steps(const Value& value, int horizon, bool needs_action);

/// Returns the steps as the file names them, for people.
std::string steps_text(const Value& value);

/// Returns the part of this name. @param what  kind of the part, for the message: joint, actuator, ...
const Part& require_part(const Value& where, const std::string& what, const std::vector<Part>& parts,
                         const std::string& name);

toml::array to_toml(const VectorXd& values);
toml::array to_toml(const std::vector<std::string>& texts);

}  // namespace kedge
