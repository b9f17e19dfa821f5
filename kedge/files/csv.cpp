#include "kedge/files/csv.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"

namespace kedge {

namespace {

constexpr std::uint64_t kMaxBytes = 64 << 20;

/// Takes the next entry, and the comma or the end of the line behind it, from `rest`. @return true if its row ends with it
bool take_entry(std::string_view& rest, std::string& entry) {
  entry.clear();
  if (rest.starts_with('"')) {
    for (rest.remove_prefix(1);; rest.remove_prefix(1)) {
      const std::size_t quote = rest.find('"');
      if (quote == std::string_view::npos) throw InputError("a quote is not closed");
      entry += rest.substr(0, quote);
      rest.remove_prefix(quote + 1);
      if (!rest.starts_with('"')) break;
      entry += '"';
    }
  } else {
    entry = rest.substr(0, rest.find_first_of(",\"\n"));
    rest.remove_prefix(entry.size());
  }
  if (rest.empty()) throw InputError("the line has no end");
  const char behind = rest.front();
  if (behind != ',' && behind != '\n') throw InputError("there is text beside a quote");
  rest.remove_prefix(1);
  return behind == '\n';
}

}  // namespace

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

std::vector<std::vector<std::string>> read_csv(const FileName& file) {
  const std::string text = read_file(file, kMaxBytes);
  std::vector<std::vector<std::string>> rows;
  try {
    if (text.empty()) throw InputError("the header is missing");
    for (std::string_view rest = text; !rest.empty();) {
      std::vector<std::string>& row = rows.emplace_back();
      while (!take_entry(rest, row.emplace_back())) continue;
      if (row.size() != rows.front().size())
        throw InputError(fmt::format("there are {} entries, but the header has {}", row.size(), rows.front().size()));
    }
  } catch (const InputError& e) {
    throw InputError(fmt::format("{}: row {}: {}", file.string(), rows.empty() ? 1 : rows.size(), e.what()));
  }
  return rows;
}

}  // namespace kedge
