// Writing JSON, for programs and for the pages of the browser.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// A string with its quotes. What is not UTF-8 becomes U+FFFD; "<" is escaped, so that the text can stand in a page.
std::string json_string(std::string_view text);

/// A number that reads back as the same double; null if it is not finite.
std::string json_number(double value);

/// The same for tables with numbers that are not finite: infinity as 1e999, which is read as infinity; NaN as null.
std::string json_extended(double value);

/// [a, b, ...]
std::string json_array(VectorIn values);
std::string json_array(const std::vector<std::string>& texts);

}  // namespace kedge
