// Words for messages: on one line, in a list, and what a mistyped one may have meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kedge {

/// Text on one line and of reasonable length, for messages: control characters become spaces.
std::string one_line(std::string_view text, std::size_t longest = 400);

/// The text without its digits, points and signs: two messages that differ only in their numbers are of one kind.
std::string without_numbers(std::string_view text);

/// "a, b, c", cut short if there are many.
std::string list(const std::vector<std::string>& words);

/// What to say about a word that is not among `known`: `; did you mean "x"?` if one is near, else `; known: a, b, c`.
std::string hint(std::string_view word, const std::vector<std::string>& known);

}  // namespace kedge
