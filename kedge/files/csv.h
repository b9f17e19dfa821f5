// Writing and reading CSV as RFC 4180 says, but for the end of a line, which is "\n".
#pragma once

#include <concepts>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/files/directory.h"

namespace kedge {

/// One entry of a row, made from a text or a number.
class CsvCell {
 public:
  /// Makes an entry of a text, in quotes if it contains a comma, a quote or the end of a line.
  CsvCell(std::string_view text);                                        // NOLINT(google-explicit-constructor)
  CsvCell(const std::string& text) : CsvCell(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)
  CsvCell(const char* text) : CsvCell(std::string_view(text)) {}         // NOLINT(google-explicit-constructor)

  /// Makes an entry of the shortest text that reads back as the same double: "nan", "inf" and "-inf" where it is not
  /// finite.
  CsvCell(double value);  // NOLINT(google-explicit-constructor)

  CsvCell(std::integral auto value) : CsvCell(std::to_string(value)) {}  // NOLINT(google-explicit-constructor)

  /// Makes an entry of a text that is always in quotes.
  static CsvCell quoted(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Returns the row as a line, its end included.
std::string csv_line(std::span<const CsvCell> cells);
std::string csv_line(std::initializer_list<CsvCell> cells);

/// Returns the entries of every row, the header first. Any texts, for any columns: the tables of numbers that a run writes
/// have a reader of their own (metrics_file.h).
/// @throws InputError "<path>: row 3: ...": text beside a quote, no end of the last line, other than the header's number of
///         entries; an empty file, and what read_file refuses
std::vector<std::vector<std::string>> read_csv(const FileName& file);

}  // namespace kedge
