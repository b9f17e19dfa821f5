#include "kedge/run/option_json.h"

#include <nlohmann/json.hpp>
#include <type_traits>

namespace kedge {

namespace {

/// One number as a number; else its text.
Json action_numbers_json(const ActionNumbers& numbers) {
  if (numbers.number.size() == 1 && numbers.name.empty() && !numbers.number.front().share)
    return json_number(numbers.number.front().value);
  return to_string(numbers);
}

}  // namespace

Json options_json(const Options& options) {
  Json json = Json::object();
  for (const Option& option : options) {
    Json& value = json[option.name];
    if (const auto* number = std::get_if<double>(&option.value))
      value = json_number(*number);
    else
      std::visit(
          [&](const auto& other) {
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(other)>, ActionNumbers>)
              value = action_numbers_json(other);
            else
              value = other;
          },
          option.value);
  }
  return json;
}

}  // namespace kedge
