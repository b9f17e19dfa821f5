#include "kedge/core/option.h"

#include <cassert>

#include "kedge/core/text.h"

namespace kedge {

std::string to_string(const Range& range) {
  if (std::isfinite(range.high)) return fmt::format("in [{}, {}]", range.low, range.high);
  return fmt::format("{} {}", range.low_allowed ? ">=" : ">", range.low);
}

std::string allowed_text(const Option& option) {
  if (std::holds_alternative<bool>(option.value)) return "true or false";
  if (std::holds_alternative<std::string>(option.value)) return "one of " + list(option.names);
  Range range = option.range;
  const bool whole = std::holds_alternative<std::int64_t>(option.value);
  if (whole && range.high >= static_cast<double>(std::numeric_limits<int>::max()))
    range.high = std::numeric_limits<double>::infinity();  // the limit of the type is no rule of the option
  return fmt::format("{} {}", whole ? "a whole number" : "a number", to_string(range));
}

const OptionValue& option_value(const Options& options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
  assert(found != options.end());
  return found->value;
}

}  // namespace kedge
