#include "kedge/study/kept.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/csv.h"

namespace kedge {

namespace {

constexpr std::uint64_t kMaxBytes = 64 << 20;

/// A CSV file whose columns are found by name.
class Table {
 public:
  explicit Table(const std::string& file) : file_(file), rows_(read_csv(FileName(file))) {}

  [[nodiscard]] std::size_t rows() const { return rows_.size() - 1; }

  [[nodiscard]] const std::string& text(std::size_t row, const char* column) const {
    const auto at = std::ranges::find(rows_.front(), column);
    if (at == rows_.front().end()) throw InputError(fmt::format("{}: has no column '{}'", file_, column));
    return rows_[row + 1][static_cast<std::size_t>(at - rows_.front().begin())];
  }

  template <class Number = double>
  [[nodiscard]] Number number(std::size_t row, const char* column) const {
    return parsed<Number>(text(row, column), row, column);
  }

  /// Numbers with a space between them.
  [[nodiscard]] std::vector<double> numbers(std::size_t row, const char* column) const {
    std::vector<double> values;
    std::string_view rest = text(row, column);
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      values.push_back(parsed<double>(word, row, column));
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    }
    return values;
  }

  [[noreturn]] void fail(std::size_t row, const std::string& what) const {
    throw InputError(fmt::format("{}: row {}: {}", file_, row + 2, what));
  }

 private:
  template <class Number>
  Number parsed(std::string_view text, std::size_t row, const char* column) const {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      fail(row, fmt::format("{}: found \"{}\", expected a number", column, one_line(text)));
    return value;
  }

  std::string file_;
  std::vector<std::vector<std::string>> rows_;
};

RunState state_of(const Table& table, std::size_t row) {
  for (const RunState state : {RunState::training, RunState::interrupted, RunState::finished, RunState::failed})
    if (table.text(row, "state") == to_string(state)) return state;
  table.fail(row, fmt::format("state: found \"{}\"", one_line(table.text(row, "state"))));
}

ComparedRun read_run(const Table& table, std::size_t row) {
  ComparedRun run;
  run.seed = table.number<std::uint64_t>(row, "seed");
  run.state = state_of(table, row);
  run.iterations = table.number<int>(row, "iterations");
  if (const double rollouts = table.number(row, "rollouts"); rollouts > 0) run.rollouts = {rollouts};
  if (!table.text(row, "final_return").empty()) run.final_return = table.number(row, "final_return");
  if (!table.text(row, "final_success").empty()) run.final_success = table.number(row, "final_success");
  return run;
}

ComparisonGroup& group_of(Comparison& comparison, const Table& table, std::size_t row, const char* column) {
  for (ComparisonGroup& group : comparison.groups)
    if (group.label == table.text(row, column)) return group;
  table.fail(row, fmt::format("the figure has no run \"{}\"", one_line(table.text(row, column))));
}

/// The last row of each run is the last point of its curve.
void read_last_points(Comparison& comparison, const std::string& file) {
  const Table table(file);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    CurvePoint point;
    point.iteration = table.number<int>(row, "iteration");
    point.rollouts = table.number<std::int64_t>(row, "rollouts");
    point.seconds = table.number(row, "seconds");
    group_of(comparison, table, row, "group").curve = {point};
  }
}

/// A measure of the final policy is in final.csv, too.
void require_same(const Comparison& comparison, const Table& table, std::size_t row, const JudgedClaim& judged) {
  if (judged.claim.measure.kind != Measure::Kind::final_return &&
      judged.claim.measure.kind != Measure::Kind::final_success)
    return;
  const JudgedClaim by_final = judge(judged.claim, comparison);
  if (judged.run_values != by_final.run_values || judged.than_values != by_final.than_values)
    table.fail(row, "the measures of the seeds are not those of final.csv");
}

std::vector<JudgedClaim> read_verdicts(const Figure& figure, const Comparison& comparison, const std::string& file) {
  const Table table(file);
  std::vector<JudgedClaim> verdicts;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (row >= figure.claims.size() || table.text(row, "claim") != figure.claims[row].text)
      table.fail(row, fmt::format("the figure's claim here is not \"{}\"", one_line(table.text(row, "claim"))));
    verdicts.push_back(judge(figure.claims[row], table.numbers(row, "run_values"), table.numbers(row, "than_values")));
    require_same(comparison, table, row, verdicts.back());
  }
  if (verdicts.size() < figure.claims.size())
    throw InputError(fmt::format("{}: has no verdict on \"{}\"", file, figure.claims[verdicts.size()].text));
  if (verdicts_csv(verdicts) != read_file(file, kMaxBytes))
    throw InputError(fmt::format("{}: does not follow from the measures of the seeds in it", file));
  return verdicts;
}

}  // namespace

Comparison kept_comparison(const Figure& figure, const std::string& file) {
  Comparison comparison;
  comparison.task = figure.title;
  for (const FigureRun& run : figure.runs)
    comparison.groups.push_back({.label = run.label, .runs = {}, .curve = {}, .panel = run.panel});
  const Table table(file);
  for (std::size_t row = 0; row < table.rows(); ++row)
    group_of(comparison, table, row, "run").runs.push_back(read_run(table, row));
  for (const ComparisonGroup& group : comparison.groups)
    if (group.runs.empty()) throw InputError(fmt::format("{}: has no run \"{}\" of the figure", file, group.label));
  return comparison;
}

FigureResult kept_result(const Figure& figure, const std::string& prefix) {
  FigureResult result;
  result.comparison = kept_comparison(figure, prefix + "final.csv");
  read_last_points(result.comparison, prefix + "curves.csv");
  result.verdicts = read_verdicts(figure, result.comparison, prefix + "verdicts.csv");
  return result;
}

}  // namespace kedge
