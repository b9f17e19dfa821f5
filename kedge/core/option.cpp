#include "kedge/core/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>

#include "kedge/core/text.h"

namespace kedge {

std::string to_string(const Range& range) {
  if (std::isfinite(range.high)) return fmt::format("in [{}, {}]", range.low, range.high);
  return fmt::format("{} {}", range.low_allowed ? ">=" : ">", range.low);
}

std::string to_string(const ActionNumbers& numbers) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < numbers.number.size(); ++i) {
    const auto [value, share] = numbers.number[i];
    const std::string text = share ? fmt::format("{:.4g} %", 100.0 * value) : fmt::format("{}", value);
    texts.push_back(numbers.name.empty() ? text : fmt::format("{} = {}", numbers.name[i], text));
  }
  if (!numbers.name.empty()) return fmt::format("{{{}}}", fmt::join(texts, ", "));
  return texts.size() == 1 ? texts.front() : fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string allowed_text(const Option& option) {
  if (std::holds_alternative<bool>(option.value)) return "true or false";
  if (std::holds_alternative<std::string>(option.value)) return "one of " + list(option.names);
  if (std::holds_alternative<ActionNumbers>(option.value))
    return fmt::format(
        "a number {0}, a text \"N %\" of half the range of the action, an array of them with one for each "
        "action, or a table of actuators",
        to_string(option.range));
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
