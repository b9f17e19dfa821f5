#include "kedge/files/metrics_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/csv.h"
#include "kedge/files/hdf5.h"

namespace kedge {

namespace {

constexpr std::uint64_t max_bytes = 1u << 30;
constexpr std::size_t most_columns = 1000;

bool begins_with_iteration(std::span<const Metric> metrics) {
  return !metrics.empty() && metrics.front().first == "iteration";
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

/// One line of the file, without its end.
struct Line {
  std::string_view text;
  std::string place;  ///< "runs/a/metrics.csv:3"
};

[[noreturn]] void refuse(const Line& line, const std::string& what) {
  throw InputError(fmt::format("{}: {}", line.place, what));
}

/// Counts before a place is made for each of them.
void require_few_entries(const Line& line, std::size_t most) {
  const auto found = static_cast<std::size_t>(std::ranges::count(line.text, ',')) + 1;
  if (found > most) refuse(line, fmt::format("found {} entries, expected at most {}", found, most));
}

std::vector<std::string> parse_header(const Line& line, std::string_view first) {
  std::vector<std::string> columns;
  require_few_entries(line, most_columns);
  for (const std::string_view name : split(line.text)) {
    if (name.empty() || std::ranges::find(columns, name) != columns.end())
      refuse(line, fmt::format("found column name {}, expected names that differ", hdf5::quoted(std::string(name))));
    columns.emplace_back(name);
  }
  if (columns.front() != first)
    refuse(line, fmt::format("found first column {}, expected \"{}\"", hdf5::quoted(columns.front()), first));
  return columns;
}

std::vector<double> parse_row(const Line& line, std::size_t columns) {
  require_few_entries(line, most_columns);
  const std::vector<std::string_view> fields = split(line.text);
  if (fields.size() != columns) refuse(line, fmt::format("found {} entries, expected {}", fields.size(), columns));
  std::vector<double> row;
  for (const std::string_view field : fields) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size())
      refuse(line, fmt::format("found {}, expected a number", hdf5::quoted(std::string(field))));
    row.push_back(value);
  }
  return row;
}

/// Calls visit(line) for every line that ends.
template <class Visit>
void for_each_line(const FileName& file, Visit&& visit) {
  const std::string all = read_file(file, max_bytes);
  std::string_view rest = all;
  for (int number = 1;; ++number) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return;
    visit(Line{rest.substr(0, end), fmt::format("{}:{}", file.string(), number)});
    rest.remove_prefix(end + 1);
  }
}

/// A table whose first column, of that name, holds whole numbers that rise.
MetricsTable read_table(const FileName& file, std::string_view first) {
  MetricsTable table;
  for_each_line(file, [&](const Line& line) {
    if (table.columns.empty()) {
      table.columns = parse_header(line, first);
      return;
    }
    table.rows.push_back(parse_row(line, table.columns.size()));
    const double number = table.rows.back().front();
    const double before = table.rows.size() > 1 ? table.rows[table.rows.size() - 2].front() : -1.0;
    if (!(number > before) || number != std::floor(number))
      refuse(line, fmt::format("found {} {} behind {}, expected whole numbers that rise", first, number, before));
  });
  return table;
}

}  // namespace

std::string csv_header(std::span<const Metric> metrics) {
  std::vector<CsvCell> cells;
  if (!begins_with_iteration(metrics)) cells.emplace_back("iteration");
  for (const auto& [name, value] : metrics) cells.emplace_back(name);
  return csv_line(cells);
}

std::string csv_row(int iteration, std::span<const Metric> metrics) {
  std::vector<CsvCell> cells;
  if (!begins_with_iteration(metrics)) cells.emplace_back(iteration);
  for (const auto& [name, value] : metrics) cells.emplace_back(value);
  return csv_line(cells);
}

std::string steps_csv(int iteration, std::span<const StepMetric> steps) {
  std::vector<CsvCell> cells{"step", "iteration"};
  for (const auto& [name, values] : steps) cells.emplace_back(name);
  std::string text = csv_line(cells);
  for (std::size_t t = 0; !steps.empty() && t < steps.front().second.size(); ++t) {
    cells = {t, iteration};
    for (const auto& [name, values] : steps) cells.emplace_back(values[t]);
    text += csv_line(cells);
  }
  return text;
}

std::string warning_row(int iteration, std::string_view warning) {
  return csv_line({iteration, CsvCell::quoted(one_line(warning, warning.size()))});
}

std::size_t csv_prefix(std::string_view text, int iterations) {
  std::size_t length = 0;
  for (;;) {
    const std::size_t end = text.find('\n', length);
    if (end == std::string_view::npos) return length;
    int iteration = 0;
    if (length > 0 && std::from_chars(text.data() + length, text.data() + end, iteration).ec != std::errc())
      return length;
    if (length > 0 && iteration >= iterations) return length;
    length = end + 1;
  }
}

int MetricsTable::column(std::string_view name) const {
  const auto found = std::ranges::find(columns, name);
  return found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
}

MetricsTable read_metrics(const FileName& file) { return read_table(file, "iteration"); }

MetricsTable read_steps(const FileName& file) { return read_table(file, "step"); }

std::vector<Warning> read_warnings(const FileName& file) {
  std::vector<Warning> warnings;
  bool header = true;
  for_each_line(file, [&](const Line& line) {
    if (std::exchange(header, false)) {
      if (fmt::format("{}\n", line.text) != warnings_header)
        refuse(line,
               fmt::format("found {}, expected the columns iteration,warning", hdf5::quoted(std::string(line.text))));
      return;
    }
    Warning warning;
    const char* end = line.text.data() + line.text.size();
    const auto [rest, error] = std::from_chars(line.text.data(), end, warning.iteration);
    const std::string_view text = line.text.substr(static_cast<std::size_t>(rest - line.text.data()));
    if (error != std::errc() || text.size() < 3 || !text.starts_with(",\"") || !text.ends_with('"'))
      refuse(line,
             fmt::format("found {}, expected a number and a text in quotes", hdf5::quoted(std::string(line.text))));
    for (std::size_t i = 2; i + 1 < text.size(); ++i) {
      warning.text += text[i];
      if (text[i] == '"') ++i;  // doubled
    }
    warnings.push_back(std::move(warning));
  });
  return warnings;
}

}  // namespace kedge
