#include "kedge/tasks/task_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "kedge/core/text.h"

namespace kedge {

namespace {

bool is_identifier(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 64 && letter(name[0]) && std::all_of(name.begin(), name.end(), allowed);
}

/// Marks the steps that one text or number names; see docs/tasks.md.
void mark_steps(const Value& value, int horizon, bool needs_action, std::vector<char>& active) {
  const std::string allowed = "must be \"all\", \"first N\", \"last N\", \"A..B\", \"final\" or the number of a step";
  const auto mark = [&](int first, int last) { std::fill(active.begin() + first, active.begin() + last + 1, char{1}); };
  if (value.is_number()) {
    const int step = value.integer(0, horizon - 1);
    return mark(step, step);
  }
  if (!value.is_text()) value.fail(fmt::format("{}, but is {}", allowed, value.describe()));
  const std::string& text = value.text();
  if (text == "all") return mark(0, horizon - 1);
  if (text == "final") {
    if (needs_action) value.fail("the final state has no action, and this quantity needs one");
    return mark(horizon, horizon);
  }
  const auto whole = [&](std::string_view digits, int low, int high) {
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty())
      value.fail(fmt::format("{}, but is \"{}\"", allowed, one_line(text, 60)));
    if (number < low || number > high)
      value.fail(fmt::format("\"{}\" has the number {}, but it must be in [{}, {}]", text, number, low, high));
    return number;
  };
  const std::string_view view = text;
  if (view.starts_with("first ")) return mark(0, whole(view.substr(6), 1, horizon) - 1);
  if (view.starts_with("last ")) return mark(horizon - whole(view.substr(5), 1, horizon), horizon - 1);
  if (const std::size_t dots = view.find(".."); dots != std::string_view::npos) {
    const int first = whole(view.substr(0, dots), 0, horizon - 1);
    return mark(first, whole(view.substr(dots + 2), first, horizon - 1));
  }
  value.fail(fmt::format("{}, but is \"{}\"", allowed, one_line(text, 60)));
}

}  // namespace

std::string read_identifier(const Value& value) {
  const std::string& name = value.text();
  if (!is_identifier(name))
    value.fail(
        fmt::format("must be a letter, then up to 63 letters, digits, _ or -, but is \"{}\"", one_line(name, 60)));
  return name;
}

std::string identifier_of(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool fits = is_identifier(std::string("a") + c);
    if (fits || name.empty() || name.back() != '_') name += fits ? c : '_';
  }
  if (!is_identifier(name)) name = "task_" + name;
  return name.substr(0, 64);
}

std::vector<Value> one_or_more(const Value& value) {
  if (!value.is_array()) return {value};
  std::vector<Value> all = value.elements();
  if (all.empty()) value.fail("must not be empty");
  return all;
}

std::vector<std::string> read_texts(const Value& value) {
  std::vector<std::string> all;
  for (const Value& element : one_or_more(value)) all.push_back(element.text());
  return all;
}

std::pair<double, double> read_bounds(const Value& value) {
  if (!value.is_array()) {
    const double limit = value.number_or_infinity();
    if (!(limit > 0)) value.fail(fmt::format("must be > 0, or [low, high], but is {}", limit));
    return {-limit, limit};
  }
  const std::vector<Value> pair = value.elements();
  if (pair.size() != 2) value.fail(fmt::format("must be a number or [low, high], but is {}", value.describe()));
  const double low = pair[0].number_or_infinity(), high = pair[1].number_or_infinity();
  if (!(low < high)) value.fail(fmt::format("low must be < high, but is [{}, {}]", low, high));
  return {low, high};
}

VectorXd read_numbers(const Value& value, Index n, double (Value::*read)() const) {
  if (value.is_number()) return VectorXd::Constant(n, (value.*read)());
  if (!value.is_array()) value.fail(fmt::format("must be a number or an array of {}, but is {}", n, value.describe()));
  const std::vector<Value> elements = value.elements();
  if (static_cast<Index>(elements.size()) != n)
    value.fail(fmt::format("must be a number or an array of {}, but is {}", n, value.describe()));
  VectorXd all(n);
  for (Index i = 0; i < n; ++i) all[i] = (elements[static_cast<std::size_t>(i)].*read)();
  return all;
}

VectorXd read_numbers_by_name(const Value& value, const std::vector<Part>& parts, VectorXd otherwise,
                              double (Value::*read)() const) {
  if (!value.is_table()) return read_numbers(value, otherwise.size(), read);
  value.allow(names(parts));
  for (const auto& [name, entry] : value.entries()) {
    const Part& part = *find(parts, name);
    otherwise.segment(part.first, part.size) = read_numbers(entry, part.size, read);
  }
  return otherwise;
}

std::vector<char> read_steps(const Value& value, int horizon, bool needs_action) {
  std::vector<char> active(static_cast<std::size_t>(horizon) + 1, 0);
  for (const Value& element : one_or_more(value)) mark_steps(element, horizon, needs_action, active);
  return active;
}

std::string steps_text(const Value& value) {
  std::vector<std::string> words;
  for (const Value& element : one_or_more(value))
    words.push_back(element.is_text() ? element.text() : element.describe());
  return list(words);
}

const Part& require_part(const Value& where, const std::string& what, const std::vector<Part>& parts,
                         const std::string& name) {
  const Part* part = find(parts, name);
  if (!part)
    where.fail(fmt::format("the model has no {} \"{}\"{}", what, one_line(name, 60), hint(name, names(parts))));
  return *part;
}

toml::array to_toml(const VectorXd& values) {
  toml::array array;
  for (const double value : values) array.push_back(value);
  return array;
}

toml::array to_toml(const std::vector<std::string>& texts) {
  toml::array array;
  for (const std::string& text : texts) array.push_back(text);
  return array;
}

}  // namespace kedge
