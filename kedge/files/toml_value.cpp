#include "kedge/files/toml_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr std::size_t kLargestFile = 16u << 20;
const std::string kSetPrefix = "--set ";  // what `source().path` of values that came by --set begins with

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

/// Parses one value; its place will read as `origin`.
std::optional<toml::table> parse_value(const std::string& text, const std::string& origin) {
  try {
    toml::table table = toml::parse("value = " + text, origin);
    if (table.size() == 1) return table;
  } catch (const toml::parse_error&) {
  }
  return std::nullopt;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 32 || c == 127)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

/// One value on the right of `=`.
void write_inline(const toml::node& node, std::string& out) {
  if (const auto* text = node.as_string()) {
    out += toml_string(text->get());
  } else if (const auto* number = node.as_floating_point()) {
    std::string digits = fmt::format("{}", number->get());
    if (digits.find_first_of(".einf") == std::string::npos) digits += ".0";
    out += digits;
  } else if (const auto* whole = node.as_integer()) {
    out += fmt::format("{}", whole->get());
  } else if (const auto* array = node.as_array()) {
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ", ";
      write_inline((*array)[i], out);
    }
    out += ']';
  }
}

void write_table(const toml::table& table, const std::string& path, std::string& out) {
  const auto is_section = [](const toml::node& node) {
    return node.is_table() || (node.is_array() && node.as_array()->is_array_of_tables());
  };
  for (const auto& [key, node] : table)
    if (!is_section(node)) {
      out += fmt::format("{} = ", key.str());
      write_inline(node, out);
      out += '\n';
    }
  for (const auto& [key, node] : table) {
    const std::string name = path.empty() ? std::string(key.str()) : fmt::format("{}.{}", path, key.str());
    if (const toml::table* section = node.as_table()) {
      out += fmt::format("\n[{}]\n", name);
      write_table(*section, name, out);
    } else if (is_section(node)) {
      for (const toml::node& element : *node.as_array()) {
        out += fmt::format("\n[[{}]]\n", name);
        write_table(*element.as_table(), name, out);
      }
    }
  }
}

}  // namespace

void Value::fail_at(const toml::source_region& where, const std::string& key, const std::string& text) const {
  const bool set = where.path && where.path->rfind(kSetPrefix, 0) == 0;
  const std::string place = set ? *where.path : fmt::format("{}:{}:{}", *file_, where.begin.line, where.begin.column);
  throw InputError(one_line(
      fmt::format("{}: {}{}{}", one_line(place, 300), one_line(key, 100), key.empty() ? "" : ": ", text), 1200));
}

void Value::fail(const std::string& text) const { fail_at(node_->source(), key_, text); }

std::string Value::describe() const {
  switch (node_->type()) {
    case toml::node_type::string: return fmt::format("the text \"{}\"", one_line(node_->ref<std::string>(), 60));
    case toml::node_type::integer: return fmt::format("the number {}", node_->ref<std::int64_t>());
    case toml::node_type::floating_point: return fmt::format("the number {}", node_->ref<double>());
    case toml::node_type::boolean: return node_->ref<bool>() ? "true" : "false";
    case toml::node_type::array: return fmt::format("an array of {}", node_->ref<toml::array>().size());
    case toml::node_type::table: return "a table";
    default: return "a date or time";
  }
}

double Value::number_or_infinity() const {
  if (!is_number()) fail(fmt::format("must be a number, but is {}", describe()));
  const double value = node_->is_integer() ? static_cast<double>(node_->ref<std::int64_t>()) : node_->ref<double>();
  if (std::isnan(value)) fail("must be a number, but is nan");
  return value;
}

double Value::number() const {
  const double value = number_or_infinity();
  if (!std::isfinite(value)) fail(fmt::format("must be finite, but is {}", value));
  return value;
}

double Value::positive() const {
  const double value = number();
  if (!(value > 0)) fail(fmt::format("must be > 0, but is {}", value));
  return value;
}

double Value::not_negative() const {
  const double value = number();
  if (!(value >= 0)) fail(fmt::format("must be >= 0, but is {}", value));
  return value;
}

int Value::integer(int low, int high) const {
  if (!node_->is_integer()) fail(fmt::format("must be a whole number in [{}, {}], but is {}", low, high, describe()));
  const std::int64_t value = node_->ref<std::int64_t>();
  if (value < low || value > high) fail(fmt::format("must be in [{}, {}], but is {}", low, high, value));
  return static_cast<int>(value);
}

bool Value::boolean() const {
  if (!node_->is_boolean()) fail(fmt::format("must be true or false, but is {}", describe()));
  return node_->ref<bool>();
}

const std::string& Value::text() const {
  if (!is_text()) fail(fmt::format("must be a text in quotes, but is {}", describe()));
  const std::string& value = node_->ref<std::string>();
  if (value.empty()) fail("must not be empty");
  if (has_control_characters(value)) fail("must be one line without control characters");
  return value;
}

std::size_t Value::choice(const std::vector<std::string>& allowed) const {
  const std::string& word = text();
  const auto found = std::find(allowed.begin(), allowed.end(), word);
  if (found == allowed.end()) fail(fmt::format("\"{}\" is not known{}", one_line(word, 60), hint(word, allowed)));
  return static_cast<std::size_t>(found - allowed.begin());
}

std::vector<Value> Value::elements() const {
  const toml::array* array = node_->as_array();
  if (!array) fail(fmt::format("must be an array, but is {}", describe()));
  std::vector<Value> values;
  for (std::size_t i = 0; i < array->size(); ++i)
    values.emplace_back((*array)[i], fmt::format("{}[{}]", key_, i), *file_);
  return values;
}

std::string Value::child_key(std::string_view key) const {
  return key_.empty() ? std::string(key) : fmt::format("{}.{}", key_, key);
}

void Value::allow(const std::vector<std::string>& allowed) const {
  const toml::table* table = node_->as_table();
  if (!table) fail(fmt::format("must be a table, but is {}", describe()));
  for (const auto& [key, node] : *table) {
    if (std::find(allowed.begin(), allowed.end(), key.str()) != allowed.end()) continue;
    // The key of a value that came by --set has no place of its own.
    const toml::source_region& where = key.source().begin.line ? key.source() : node.source();
    fail_at(where, child_key(key.str()), "this key is unknown" + hint(key.str(), allowed));
  }
}

std::vector<std::pair<std::string, Value>> Value::entries() const {
  const toml::table* table = node_->as_table();
  if (!table) fail(fmt::format("must be a table, but is {}", describe()));
  std::vector<std::pair<std::string, Value>> all;
  for (const auto& [key, node] : *table)
    all.emplace_back(std::string(key.str()), Value(node, child_key(key.str()), *file_));
  return all;
}

std::optional<Value> Value::find(std::string_view key) const {
  const toml::table* table = node_->as_table();
  const toml::node* node = table ? table->get(key) : nullptr;
  if (!node) return std::nullopt;
  return Value(*node, child_key(key), *file_);
}

Value Value::require(std::string_view key) const {
  if (auto value = find(key)) return *value;
  fail_at(node_->source(), child_key(key), "this key is missing");
}

toml::table read_toml(const std::string& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) throw InputError(one_line(file) + ": there is no such file");
  if (!std::filesystem::is_regular_file(status)) throw InputError(one_line(file) + ": is not a file");
  std::ifstream in(file, std::ios::binary);
  std::string text;
  char chunk[1 << 14];
  while (in && text.size() <= kLargestFile) {
    in.read(chunk, sizeof chunk);
    text.append(chunk, static_cast<std::size_t>(in.gcount()));
  }
  if (!in.is_open() || in.bad()) throw InputError(one_line(file) + ": cannot be read");
  if (text.size() > kLargestFile)
    throw InputError(fmt::format("{}: is larger than {} MB", one_line(file), kLargestFile >> 20));
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& e) {
    const toml::source_position at = e.source().begin;
    throw InputError(
        fmt::format("{}:{}:{}: not TOML: {}", one_line(file), at.line, at.column, one_line(e.description())));
  }
}

std::string write_toml(const toml::table& table) {
  std::string out;
  write_table(table, "", out);
  return out;
}

void override_value(toml::table& document, const std::string& key, const std::string& text, const std::string& place) {
  const std::string origin = kSetPrefix + one_line(place + key + "=" + text, 200);
  const auto fail = [&](const std::string& why) { throw InputError(fmt::format("{}: {}", origin, why)); };

  std::optional<toml::table> parsed = parse_value(text, origin);
  if (!parsed) {
    if (text.empty()) fail("the value is missing");
    if (has_control_characters(text) || text.find_first_of("\"'[]{}\\") != std::string::npos)
      fail("the value cannot be read; write it as in the file, a text in quotes");
    parsed = parse_value(fmt::format("\"{}\"", text), origin);
    if (!parsed) fail("the value is not UTF-8");
  }

  // Walk to the table that holds the last part of the path.
  toml::table* table = &document;
  std::string_view rest = key;
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    if (part.empty() || has_control_characters(part)) fail("the key must be names with single dots between them");
    if (dot == std::string_view::npos) {
      std::move(*parsed->get("value")).visit([&](auto&& value) { table->insert_or_assign(part, std::move(value)); });
      return;
    }
    rest.remove_prefix(dot + 1);

    toml::node* next = table->get(part);
    if (!next) {
      toml::table made = *parse_value("{}", origin);
      table->insert_or_assign(part, std::move(*made.get_as<toml::table>("value")));
      next = table->get(part);
    }
    if (toml::array* array = next->as_array(); array && array->is_array_of_tables()) {
      const std::size_t end = rest.find('.');
      const std::string which(rest.substr(0, end));
      if (end == std::string_view::npos)
        fail(fmt::format("\"{}\" is a whole element of {}; set one of its keys", one_line(which), part));
      rest.remove_prefix(end + 1);

      std::vector<std::string> names;
      next = nullptr;
      for (toml::node& element : *array) {
        const std::string number = std::to_string(names.size());
        names.push_back(element.ref<toml::table>()["name"].value_or(number));
        if (which == names.back() || which == number) next = &element;
      }
      if (!next) fail(fmt::format("{} has no element \"{}\"{}", part, one_line(which), hint(which, names)));
    }
    table = next->as_table();
    if (!table) fail(fmt::format("{} is not a table", part));
  }
}

}  // namespace kedge
