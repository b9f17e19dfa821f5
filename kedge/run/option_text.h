// Options as text: TOML files, --set KEY=VALUE, run.toml. The algorithm describes the meaning and the range of each option
// (core/option.h).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "kedge/core/option.h"

namespace kedge {

class Value;  // files/toml_value.h

/// Returns the value as TOML.
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

}  // namespace kedge
