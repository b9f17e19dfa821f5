// Options of algorithms as named values: the one place where text (TOML files, --set KEY=VALUE, run.toml) and the option
// structs of kedge/algorithms meet. Each algorithm has one table (`for_each_option` in options.cpp) that gives the name,
// the meaning and the allowed values of every field; parsing, checking, printing and saving all read that table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kedge/algorithms/cost_weighted.h"
#include "kedge/algorithms/dagger.h"
#include "kedge/algorithms/gps.h"
#include "kedge/algorithms/gps_is.h"
#include "kedge/algorithms/ilqr.h"
#include "kedge/algorithms/moto.h"
#include "kedge/algorithms/vgps.h"

namespace kedge {

class Value;  // kedge/mujoco/toml_value.h

using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

/// One option: what it means, what it may be, what it is.
struct Option {
  std::string name;
  std::string meaning;  ///< one line, with the section of the paper
  OptionValue value;    ///< its alternative is the option's type; std::string: one of `names`
  double low = -std::numeric_limits<double>::infinity();  ///< of numbers
  double high = std::numeric_limits<double>::infinity();
  bool low_allowed = true;         ///< low itself is allowed
  std::vector<std::string> names;  ///< of an enumeration
};

/// All options of an algorithm, in the order of its struct.
using Options = std::vector<Option>;

/// "a whole number >= 2", "a number > 0", "true or false", "one of none, time": for messages and `kedge list`.
std::string allowed_text(const Option& option);

/// The value as TOML.
std::string value_text(const OptionValue& value);

/// Sets options from the entries of a TOML table.
/// @throws InputError with file, line and column: "moto.toml:3:7: epsilon: must be a number > 0, but is the number -1"
void set_options(Options& options, const Value& table);

/// Sets options from a TOML file: its top level, or its table [options] if it has one, as run.toml does.
/// @throws InputError with file, line and column
void read_options(Options& options, const std::filesystem::path& file);

/// Sets one option from the text of `--set KEY=VALUE`: VALUE is TOML or a bare word.
/// @throws InputError "--set epsilon=-1: epsilon: must be a number > 0, but is the number -1"
void assign_option(Options& options, const std::string& key, const std::string& value);

/// Splits "KEY=VALUE". @throws InputError "--set x: must be KEY=VALUE"
struct Assignment {
  std::string key;
  std::string value;
};
Assignment parse_assignment(std::string_view text);

/// The value of an option that exists.
const OptionValue& option_value(const Options& options, std::string_view name);

/// The options of an algorithm <-> named options: AlgorithmOptions is MotoOptions, GpsOptions, ... `record_updates` is not among
/// them: it changes no result.
template <class AlgorithmOptions>
Options default_options();
template <class AlgorithmOptions>
AlgorithmOptions options_as(const Options& options);

}  // namespace kedge
