// Reading CSV as RFC 4180 says it, written down again for the tests.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kedge::test {

/// The entries of every row, the header first. @throws std::runtime_error for a quote that is out of place, a last line
/// without an end, or a row with another number of entries than the header
inline std::vector<std::vector<std::string>> read_csv(std::string_view text) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> row(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        row.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        row.back() += text[++i];
      } else {
        quoted = false;
        if (i + 1 < text.size() && text[i + 1] != ',' && text[i + 1] != '\n')
          throw std::runtime_error("text behind a closing quote in row " + std::to_string(rows.size()));
      }
    } else if (c == '"') {
      if (!row.back().empty()) throw std::runtime_error("a quote inside a text in row " + std::to_string(rows.size()));
      quoted = true;
    } else if (c == ',') {
      row.emplace_back();
    } else if (c == '\n') {
      rows.push_back(row);
      row.assign(1, "");
      if (rows.back().size() != rows.front().size())
        throw std::runtime_error("row " + std::to_string(rows.size() - 1) + " has " +
                                 std::to_string(rows.back().size()) + " entries, the header has " +
                                 std::to_string(rows.front().size()));
    } else {
      row.back() += c;
    }
  }
  if (quoted || row.size() > 1 || !row.back().empty()) throw std::runtime_error("the last line has no end");
  return rows;
}

}  // namespace kedge::test
