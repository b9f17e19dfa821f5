#include "kedge/files/json.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace kedge {

Json json_number(double value) {
  constexpr double largest = 9007199254740992.0;  // 2^53: up to it every whole number is a double
  if (!std::isfinite(value)) return nullptr;
  const bool whole = std::abs(value) <= largest && value == std::trunc(value) && !(value == 0.0 && std::signbit(value));
  return whole ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

Json json_number(float value) {
  const std::string shortest = fmt::format("{}", value);
  double read = value;
  std::from_chars(shortest.data(), shortest.data() + shortest.size(), read);
  return json_number(read);
}

Json json_array(VectorIn values) {
  Json array = Json::array();
  for (const double value : values) array.push_back(json_number(value));
  return array;
}

std::string json_text(const Json& value, int indent) {
  const std::string plain = value.dump(indent, ' ', false, Json::error_handler_t::replace);
  std::string text;
  text.reserve(plain.size());
  for (const char c : plain)  // a "<" can only be inside a text
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  return text;
}

}  // namespace kedge
