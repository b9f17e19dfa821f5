#include "kedge/files/csv.h"

#include <fmt/format.h>

#include <cmath>

namespace kedge {

CsvCell::CsvCell(std::string_view text) : text_(text) {
  if (text.find_first_of(",\"\r\n") != std::string_view::npos) *this = quoted(text);
}

CsvCell::CsvCell(double value) : text_(std::isnan(value) ? "nan" : fmt::format("{}", value)) {}  // NaN without a sign

CsvCell CsvCell::quoted(std::string_view text) {
  CsvCell cell("");
  cell.text_ = '"';
  for (const char c : text) cell.text_.append(c == '"' ? 2 : 1, c);
  cell.text_ += '"';
  return cell;
}

std::string csv_line(std::span<const CsvCell> cells) {
  std::string line;
  for (const CsvCell& cell : cells) line.append(&cell == &cells.front() ? "" : ",").append(cell.text());
  return line + '\n';
}

std::string csv_line(std::initializer_list<CsvCell> cells) {
  return csv_line(std::span<const CsvCell>(cells.begin(), cells.size()));
}

}  // namespace kedge
