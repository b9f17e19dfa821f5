// JSON, for programs and for the pages of the browser, by nlohmann-json. One rule for numbers that JSON does not have:
// NaN and both infinities are null. All others read back as the same doubles.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kedge/core/types.h"

namespace kedge {

/// A value; the members of an object keep the order in which they were added. Sources that build one include
/// <nlohmann/json.hpp>.
using Json = nlohmann::ordered_json;

/// Returns a number, a whole one without ".0"; null if it is not finite.
Json json_number(double value);

/// Returns a float as the shortest number that reads back as the same float: 0.1F is 0.1.
Json json_number(float value);

/// Returns [a, b, ...], the numbers as by `json_number`.
Json json_array(VectorIn values);

/// Returns the text of a value. Bytes that are not UTF-8 become U+FFFD; "<" is escaped, so that the text may be a part of
/// a page.
/// @param indent spaces of each level; -1: all on one line
std::string json_text(const Json& value, int indent = -1);

}  // namespace kedge
