#include "kedge/experiment/metrics_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/experiment/atomic_file.h"
#include "kedge/experiment/hdf5.h"

namespace kedge {

namespace {

constexpr std::uint64_t max_bytes = 1u << 30;

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

std::vector<std::string> parse_header(const Line& line) {
  std::vector<std::string> columns;
  for (const std::string_view name : split(line.text)) {
    if (name.empty() || std::ranges::find(columns, name) != columns.end())
      refuse(line, fmt::format("found column name {}, expected names that differ", hdf5::quoted(std::string(name))));
    columns.emplace_back(name);
  }
  if (columns.front() != "iteration")
    refuse(line, fmt::format("found first column {}, expected \"iteration\"", hdf5::quoted(columns.front())));
  return columns;
}

std::vector<double> parse_row(const Line& line, std::size_t columns) {
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

}  // namespace

std::string csv_header(std::span<const Metric> metrics) {
  std::string line = begins_with_iteration(metrics) ? "" : "iteration";
  for (const auto& [name, value] : metrics) (line += line.empty() ? "" : ",") += name;
  return line + '\n';
}

std::string csv_row(int iteration, std::span<const Metric> metrics) {
  std::string line = begins_with_iteration(metrics) ? "" : fmt::format("{}", iteration);
  for (const auto& [name, value] : metrics)
    (line += line.empty() ? "" : ",") +=
        std::isnan(value) ? "nan" : fmt::format("{}", value);  // a NaN has no sign to show
  return line + '\n';
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

MetricsTable read_metrics(const std::filesystem::path& path) {
  const std::string all = read_file(path, max_bytes);
  MetricsTable table;
  std::string_view rest = all;
  for (int number = 1;; ++number) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return table;
    const Line line{rest.substr(0, end), fmt::format("{}:{}", path.string(), number)};
    rest.remove_prefix(end + 1);
    if (number == 1) {
      table.columns = parse_header(line);
      continue;
    }
    table.rows.push_back(parse_row(line, table.columns.size()));
    const double iteration = table.rows.back().front();
    const double before = table.rows.size() > 1 ? table.rows[table.rows.size() - 2].front() : -1.0;
    if (!(iteration > before) || iteration != std::floor(iteration))
      refuse(line, fmt::format("found iteration {} behind {}, expected whole numbers that rise", iteration, before));
  }
}

}  // namespace kedge
