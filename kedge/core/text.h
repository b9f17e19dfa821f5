// Words for messages: on one line, in a list, with suggestions for a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kedge {

/// Returns a text on one line and of at most `longest` bytes, for messages. Control characters become spaces.
std::string one_line(std::string_view text, std::size_t longest = 400);

/// Returns the text without its digits, points and signs: two messages that differ only in their numbers are of one kind.
std::string without_numbers(std::string_view text);

/// Returns "a, b, c", cut short if there are many words.
std::string list(const std::vector<std::string>& words);

/// Returns a hint for a word that is not among `known`: `; did you mean "x"?` if one is near, else `; known: a, b, c`.
std::string hint(std::string_view word, const std::vector<std::string>& known);

}  // namespace kedge
