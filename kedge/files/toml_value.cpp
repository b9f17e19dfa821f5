#include "kedge/files/toml_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"

namespace kedge {

namespace {

constexpr std::size_t kLargestFile = 16u << 20;
constexpr std::size_t kMostParts = 16, kMostBrackets = 16;  // kedge's own files have 4 and 3
const std::string kSetPrefix = "--set ";  // what `source().path` of values that came by --set begins with

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

/// The position behind the string that begins at `at` with a quote, or the end of the text.
std::size_t behind_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string_view three = text.substr(at, 3);
  const bool many_lines = three.size() == 3 && three[1] == quote && three[2] == quote;
  for (at += many_lines ? 3 : 1; at < text.size(); ++at) {
    if (text[at] == '\\' && quote == '"') {
      ++at;
    } else if (text[at] == '\n' && !many_lines) {
      return at;  // an error of its own
    } else if (text[at] == quote && (!many_lines || text.substr(at, 3) == three)) {
      if (!many_lines) return at + 1;
      at += 3;
      while (at < text.size() && text[at] == quote) ++at;  // up to two more belong to the string
      return at;
    }
  }
  return text.size();
}

/// @throws InputError if keys or brackets are nested deeper than the parser can bear. What is not TOML may be anything: the
/// parser reads no further than to the first mistake.
void require_shallow(std::string_view text, const std::string& origin) {
  std::size_t parts = 1, brackets = 0, line = 1;
  const auto refuse = [&](const char* what, std::size_t most) {
    throw InputError(fmt::format("{}:{}: {} more than {} levels deep", one_line(origin), line, what, most));
  };
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      const std::size_t end = behind_string(text, at);
      line += static_cast<std::size_t>(std::count(text.begin() + at, text.begin() + end, '\n'));
      at = end;
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '.' && ++parts > kMostParts) refuse("a key is", kMostParts);
    if ((c == '[' || c == '{') && ++brackets > kMostBrackets) refuse("arrays and tables are", kMostBrackets);
    if ((c == ']' || c == '}') && brackets > 0) --brackets;
    if (c == '\n') ++line;
    if (c == '\n' || c == '=' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}') parts = 1;
    ++at;
  }
}

/// Parses one value; its place will read as `origin`.
std::optional<toml::table> parse_value(const std::string& text, const std::string& origin) {
  const std::string document = "value = " + text;
  require_shallow(document, origin);
  try {
    toml::table table = toml::parse(document, origin);
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
  } else if (const auto* flag = node.as_boolean()) {
    out += flag->get() ? "true" : "false";
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
  const auto number = node_->value_exact<double>();  // 10.0 is a whole number
  const bool whole = number && std::abs(*number) < 1e15 && *number == std::round(*number);
  if (!whole && !node_->is_integer())
    fail(fmt::format("must be a whole number in [{}, {}], but is {}", low, high, describe()));
  const std::int64_t value = whole ? static_cast<std::int64_t>(*number) : node_->ref<std::int64_t>();
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

toml::table parse_toml(std::string_view text, const std::string& origin) {
  require_shallow(text, origin);
  try {
    return toml::parse(text, origin);
  } catch (const toml::parse_error& e) {
    const toml::source_position at = e.source().begin;
    const std::string why = one_line(e.description());
    const bool one_of_several = why.find("cannot redefine existing array") != std::string::npos;
    throw InputError(fmt::format("{}:{}:{}: not TOML: {}{}", one_line(origin), at.line, at.column, why,
                                 one_of_several ? "; each of several has double brackets, [[...]]" : ""));
  }
}

toml::table read_toml(const FileName& file) { return parse_toml(read_file(file, kLargestFile), file.string()); }

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
    // "qpos:root[z]" is a text; "[1, 2" is an array that went wrong.
    if (has_control_characters(text) || text.find_first_of("\"'\\") != std::string::npos ||
        std::string_view("[{").find(text.front()) != std::string_view::npos)
      fail("the value cannot be read; write it as in the file, a text in quotes");
    parsed = parse_value(fmt::format("\"{}\"", text), origin);
    if (!parsed) fail("the value is not UTF-8");
  }

  // Walk to the table that holds the last part of the path.
  toml::table* table = &document;
  std::string_view rest = key;
  std::size_t depth = 0;
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    if (part.empty() || has_control_characters(part)) fail("the key must be names with single dots between them");
    if (dot == std::string_view::npos) {
      std::move(*parsed->get("value")).visit([&](auto&& value) { table->insert_or_assign(part, std::move(value)); });
      return;
    }
    rest.remove_prefix(dot + 1);
    if (++depth == kMostParts) fail(fmt::format("the key has more than {} parts", kMostParts));

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
