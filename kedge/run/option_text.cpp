#include "kedge/run/option_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
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

/// The value in the type of the option, if it is allowed.
std::optional<OptionValue> converted(const Option& option, const toml::node& node) {
  if (std::holds_alternative<bool>(option.value)) {
    if (const auto value = node.value_exact<bool>()) return *value;
  } else if (std::holds_alternative<std::string>(option.value)) {
    const auto word = node.value_exact<std::string>();
    if (word && std::find(option.names.begin(), option.names.end(), *word) != option.names.end()) return *word;
  } else if (std::holds_alternative<std::int64_t>(option.value)) {
    const auto whole = node.value_exact<std::int64_t>();
    if (whole && option.range.allows(static_cast<double>(*whole))) return *whole;
  } else if (node.is_number()) {
    // A whole number is a number.
    const double number = node.is_integer() ? static_cast<double>(node.ref<std::int64_t>()) : node.ref<double>();
    if (option.range.allows(number)) return number;
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
  std::ostringstream out;
  std::visit(
      [&](const auto& v) {
        const toml::value<std::remove_cvref_t<decltype(v)>> node{v};
        out << toml::toml_formatter{node, toml::format_flags::none};
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
    if (!allowed) value->fail(fmt::format("must be {}, but is {}", allowed_text(option), value->describe()));
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
