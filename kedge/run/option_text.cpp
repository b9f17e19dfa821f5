#include "kedge/run/option_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <type_traits>

#include "kedge/core/errors.h"
#include "kedge/files/toml_value.h"

namespace kedge {

namespace {

std::vector<std::string> names_of(const Options& options) {
  std::vector<std::string> names;
  for (const Option& option : options) names.push_back(option.name);
  return names;
}

bool is_whole(double number) { return std::abs(number) < 1e15 && number == std::round(number); }

/// A number of an action, or "N %" of half its range.
std::optional<ActionNumbers::Number> action_number(const toml::node& node, const Range& range) {
  ActionNumbers::Number number;
  if (const auto text = node.value_exact<std::string>()) {
    const std::size_t percent = text->find('%');
    const char* end = text->data();
    const auto [at, error] = std::from_chars(end, end + std::min(percent, text->size()), number.value);
    if (percent == std::string::npos || error != std::errc() || percent + 1 != text->size()) return std::nullopt;
    for (const char* rest = at; *rest != '%'; ++rest)
      if (*rest != ' ') return std::nullopt;
    number.value /= 100.0;
    number.share = true;
  } else if (node.is_number()) {
    number.value = node.is_integer() ? static_cast<double>(node.ref<std::int64_t>()) : node.ref<double>();
  } else {
    return std::nullopt;
  }
  if (!range.allows(number.value)) return std::nullopt;
  return number;
}

/// One for all, an array, or a table by actuator.
std::optional<ActionNumbers> action_numbers(const toml::node& node, const Range& range) {
  ActionNumbers numbers;
  const auto add = [&](const toml::node& element) {
    const auto number = action_number(element, range);
    if (number) numbers.number.push_back(*number);
    return number.has_value();
  };
  if (const toml::array* array = node.as_array()) {
    if (array->empty()) return std::nullopt;
    for (const toml::node& element : *array)
      if (!add(element)) return std::nullopt;
    return numbers;
  }
  if (const toml::table* table = node.as_table()) {
    if (table->empty()) return std::nullopt;
    for (const auto& [name, element] : *table) {
      if (!add(element)) return std::nullopt;
      numbers.name.emplace_back(name.str());
    }
    return numbers;
  }
  if (!add(node)) return std::nullopt;
  return numbers;
}

/// As TOML: what `action_numbers` reads.
std::string action_numbers_text(const ActionNumbers& numbers) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < numbers.number.size(); ++i) {
    const auto [value, share] = numbers.number[i];
    std::string text = value_text(share ? OptionValue{fmt::format("{} %", 100.0 * value)} : OptionValue{value});
    if (!numbers.name.empty()) text = fmt::format("{} = {}", value_text(OptionValue{numbers.name[i]}), text);
    texts.push_back(std::move(text));
  }
  if (!numbers.name.empty()) return fmt::format("{{ {} }}", fmt::join(texts, ", "));
  return texts.size() == 1 ? texts.front() : fmt::format("[{}]", fmt::join(texts, ", "));
}

/// Numbers beyond this cannot be computed with: their squares and products would soon be infinite.
constexpr double kLargest = 1e100;

Range within_reach(Range range) {
  range.low = std::max(range.low, -kLargest);
  range.high = std::min(range.high, kLargest);
  return range;
}

/// The rule that a value broke, in words.
std::string rule_text(const Option& option, const toml::node& node) {
  const double number = std::abs(node.value<double>().value_or(0.0));
  const bool whole = std::holds_alternative<std::int64_t>(option.value);
  const double largest = whole ? std::numeric_limits<int>::max() : kLargest;  // of the type: no rule of the option
  const bool beyond = std::isfinite(number) && number > largest && option.range.high >= largest;
  return allowed_text(option) + (beyond ? fmt::format(", of at most {}", largest) : "");
}

/// The value in the type of the option, if it is allowed.
std::optional<OptionValue> converted(const Option& option, const toml::node& node) {
  if (std::holds_alternative<bool>(option.value)) {
    if (const auto value = node.value_exact<bool>()) return *value;
  } else if (std::holds_alternative<std::string>(option.value)) {
    const auto word = node.value_exact<std::string>();
    if (word && std::find(option.names.begin(), option.names.end(), *word) != option.names.end()) return *word;
  } else if (std::holds_alternative<std::int64_t>(option.value)) {
    auto whole = node.value_exact<std::int64_t>();
    // 10.0 is a whole number.
    if (const auto number = node.value_exact<double>(); number && is_whole(*number))
      whole = static_cast<std::int64_t>(*number);
    if (whole && option.range.allows(static_cast<double>(*whole))) return *whole;
  } else if (std::holds_alternative<ActionNumbers>(option.value)) {
    if (auto numbers = action_numbers(node, within_reach(option.range))) return *std::move(numbers);
  } else if (node.is_number()) {
    // A whole number is a number.
    const double number = node.is_integer() ? static_cast<double>(node.ref<std::int64_t>()) : node.ref<double>();
    if (within_reach(option.range).allows(number)) return number;
  }
  return std::nullopt;
}

}  // namespace

std::string value_text(const OptionValue& value) {
  if (const auto* number = std::get_if<double>(&value)) {
    // The shortest text that reads back to the same bits; TOML wants a point or an exponent.
    const std::string text = fmt::format("{}", *number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  if (const auto* numbers = std::get_if<ActionNumbers>(&value)) return action_numbers_text(*numbers);
  std::ostringstream out;
  std::visit(
      [&](const auto& v) {
        if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(v)>, ActionNumbers>) {
          const toml::value<std::remove_cvref_t<decltype(v)>> node{v};
          out << toml::toml_formatter{node, toml::format_flags::none};
        }
      },
      value);
  return out.str();
}

void set_options(Options& options, const Value& table) {
  table.allow(names_of(options));
  for (Option& option : options) {
    const auto value = table.find(option.name);
    if (!value) continue;
    auto allowed = converted(option, value->node());
    if (!allowed)
      value->fail(fmt::format("must be {}, but is {}", rule_text(option, value->node()), value->describe()));
    option.value = std::move(*allowed);
  }
}

void read_options(Options& options, const std::filesystem::path& file) {
  const std::string name = file.string();
  const toml::table document = read_toml(name);
  const Value root(document, "", name);
  set_options(options, root.find("options").value_or(root));
}

void assign_option(Options& options, const std::string& key, const std::string& value) {
  toml::table document;
  override_value(document, key, value, "");
  const std::string nowhere;
  set_options(options, Value(document, "", nowhere));
}

Assignment parse_assignment(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw InputError(fmt::format("--set {}: must be KEY=VALUE, e.g. --set epsilon=0.1", text));
  const auto trim = [](std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return std::string(s);
  };
  return {trim(text.substr(0, equals)), trim(text.substr(equals + 1))};
}

}  // namespace kedge
