#include "kedge/core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace kedge {

namespace {

/// Levenshtein distance: insertions, deletions and replacements that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string without_numbers(std::string_view text) {
  std::string kind;
  for (const char c : text)
    if (!(c >= '0' && c <= '9') && c != '.' && c != '-') kind += c;
  return kind;
}

std::string one_line(std::string_view text, std::size_t longest) {
  std::string line;
  for (const char c : text) {
    const bool space = static_cast<unsigned char>(c) <= 32 || c == 127;
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  if (line.size() > longest) line = line.substr(0, longest) + "...";
  return line;
}

std::string list(const std::vector<std::string>& words) {
  constexpr std::size_t most = 16;
  std::string text;
  for (std::size_t i = 0; i < words.size() && i < most; ++i) text += (i ? ", " : "") + one_line(words[i], 60);
  if (words.size() > most) text += fmt::format(", ... ({} in all)", words.size());
  return words.empty() ? "none" : text;
}

std::string hint(std::string_view word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  if (word.size() <= 100)
    for (const std::string& candidate : known) {
      const std::size_t distance = edit_distance(word, candidate);
      if (distance < best_distance && distance < candidate.size()) {  // a short word is near everything
        best = &candidate;
        best_distance = distance;
      }
    }
  return best ? fmt::format("; did you mean \"{}\"?", one_line(*best, 60)) : "; known: " + list(known);
}

}  // namespace kedge
