#include "kedge/files/json.h"

#include <fmt/format.h>

#include <cmath>

namespace kedge {

namespace {

/// Length of the UTF-8 sequence at the beginning of the text; 0: there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead < 0xe0 ? 0 : lead < 0xf0 ? 3 : 4;
  if (lead > 0xf4 || length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Longer than needed, halves of pairs, beyond the last character.
  const unsigned second = length > 1 ? byte(1) : 0;
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
      (lead == 0xf4 && second > 0x8f))
    return 0;
  return length;
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string quoted(1, '"');
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    if (length == 0)
      quoted += "\\ufffd";
    else if (c == '"' || c == '\\')
      quoted += fmt::format("\\{}", text[0]);
    else if (c < 0x20 || c == 0x7f || c == '<')
      quoted += fmt::format("\\u{:04x}", c);
    else
      quoted += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  quoted += '"';
  return quoted;
}

std::string json_number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

std::string json_extended(double value) {
  if (std::isinf(value)) return value > 0 ? "1e999" : "-1e999";
  return json_number(value);
}

std::string json_array(VectorIn values) {
  std::vector<std::string> texts;
  for (Index i = 0; i < values.size(); ++i) texts.push_back(json_number(values[i]));
  return fmt::format("[{}]", fmt::join(texts, ","));
}

std::string json_array(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(json_string(text));
  return fmt::format("[{}]", fmt::join(quoted, ","));
}

}  // namespace kedge
