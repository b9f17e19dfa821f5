// Options of algorithms, described once. Each options struct has a function `describe(options, visit)`, which calls
//   visit(name, field, allowed, OptionText)
// for every field, in order. Checks, option files, --set, lists and the tables of the documents read this description.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "kedge/core/errors.h"

namespace kedge {

/// The allowed values of a number. Numbers that are not finite are never allowed.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_allowed = true;  ///< low itself is allowed

  [[nodiscard]] bool allows(double value) const {
    return std::isfinite(value) && (low_allowed ? value >= low : value > low) && value <= high;
  }
};
constexpr Range at_least(double low) { return {low, std::numeric_limits<double>::infinity(), true}; }
constexpr Range above(double low) { return {low, std::numeric_limits<double>::infinity(), false}; }
constexpr Range between(double low, double high) { return {low, high, true}; }

/// Returns the rule as text: ">= 2", "> 0", "in [0, 1]".
std::string to_string(const Range& range);

/// The names of an enumeration's values, in the order of its enumerators.
using Choices = std::vector<std::string>;

/// The values of a field that is true or false.
struct TrueOrFalse {};

/// A number for each entry of an action: one for all, one each, or by name.
struct ActionNumbers {
  /// A number in units of the action; or, if `share`, a share of half the range that the action has.
  struct Number {
    double value = 0.0;
    bool share = false;
    bool operator==(const Number&) const = default;
  };
  std::vector<Number> number;  ///< not empty
  std::vector<std::string>
      name;  ///< of the entries that the numbers are for; empty: a single number is for all of them

  ActionNumbers() = default;
  ActionNumbers(double all) : number{{all, false}} {}  // NOLINT: a number is one for all
  /// A share of half the range of each action, say 0.25.
  static ActionNumbers share_of_range(double share) {
    ActionNumbers numbers;
    numbers.number = {{share, true}};
    return numbers;
  }
  bool operator==(const ActionNumbers&) const = default;
};

/// Returns "0.5", "25 %", "[0.5, 25 %]", "{hip = 0.5}".
std::string to_string(const ActionNumbers& numbers);

/// The words of a description.
struct OptionText {
  const char* meaning = "";  ///< one sentence
  const char* unit = "";     ///< "nats"; empty if the option has no unit
  const char* source = "";   ///< "Eq. 2" of the algorithm's paper; empty if the option is not from the paper
};

/// True for `Options` and `const Options`: the first parameter of a `describe`.
template <class O, class Options>
concept IsOptions = std::same_as<std::remove_const_t<O>, Options>;

using OptionValue = std::variant<bool, std::int64_t, double, std::string, ActionNumbers>;

/// One option as a named value.
struct Option {
  std::string name;
  std::string meaning;
  std::string unit;
  std::string source;
  OptionValue value;  ///< its alternative is the option's type; std::string: one of `names`
  Range range;        ///< allowed values of a number
  Choices names;      ///< values of an enumeration
};

/// All options of an algorithm, in the order of its struct.
using Options = std::vector<Option>;

/// Returns the allowed values in words: "a whole number >= 2", "a number > 0", "true or false", "one of none, time".
std::string allowed_text(const Option& option);

/// Returns the value of an option. @param name of an option that exists
const OptionValue& option_value(const Options& options, std::string_view name);

/// Returns the options of a struct as named values.
template <class O>
Options named_options(const O& options) {
  Options all;
  describe(options, [&](const char* name, const auto& field, const auto& allowed, const OptionText& text) {
    using Field = std::remove_cvref_t<decltype(field)>;
    Option option{name, text.meaning, text.unit, text.source, {}, {}, {}};
    if constexpr (std::is_enum_v<Field>) {
      option.value = allowed.at(static_cast<std::size_t>(field));
      option.names = allowed;
    } else if constexpr (std::is_same_v<Field, bool>) {
      option.value = field;
    } else if constexpr (std::is_same_v<Field, int>) {
      option.value = std::int64_t{field};
      option.range = allowed;
      option.range.high = std::min(allowed.high, static_cast<double>(std::numeric_limits<int>::max()));
    } else {
      option.value = field;
      option.range = allowed;
    }
    all.push_back(std::move(option));
  });
  return all;
}

/// Returns the struct that has the values of these options; a field that none of them names keeps its default.
template <class O>
O options_as(const Options& options) {
  O result;
  describe(result, [&](const char* name, auto& field, const auto&, const OptionText&) {
    using Field = std::remove_reference_t<decltype(field)>;
    for (const Option& option : options) {
      if (option.name != name) continue;
      if constexpr (std::is_enum_v<Field>) {
        const auto at = std::find(option.names.begin(), option.names.end(), std::get<std::string>(option.value));
        field = static_cast<Field>(at - option.names.begin());
      } else if constexpr (std::is_same_v<Field, int>) {
        field = static_cast<int>(std::get<std::int64_t>(option.value));
      } else {
        field = std::get<Field>(option.value);
      }
    }
  });
  return result;
}

/// Checks every number against its range.
/// @throws InputError "epsilon = -1, but must be > 0 (nats)"
template <class O>
void require_in_range(const O& options) {
  describe(options, [](const char* name, const auto& field, const auto& allowed, const OptionText& text) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(allowed)>, Range>) {
      const auto check = [&](double value) {
        if (allowed.allows(value)) return;
        const std::string unit = *text.unit ? fmt::format(" ({})", text.unit) : "";
        throw InputError(fmt::format("{} = {}, but must be {}{}", name, value, to_string(allowed), unit));
      };
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, ActionNumbers>) {
        for (const ActionNumbers::Number& number : field.number) check(number.value);
      } else {
        if (!allowed.allows(static_cast<double>(field))) check(static_cast<double>(field));
      }
    }
  });
}

}  // namespace kedge
