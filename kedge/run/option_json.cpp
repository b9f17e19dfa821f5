#include "kedge/run/option_json.h"

#include <nlohmann/json.hpp>

namespace kedge {

Json options_json(const Options& options) {
  Json json = Json::object();
  for (const Option& option : options) {
    Json& value = json[option.name];
    if (const auto* number = std::get_if<double>(&option.value))
      value = json_number(*number);
    else
      std::visit([&](const auto& other) { value = other; }, option.value);
  }
  return json;
}

}  // namespace kedge
