#include "kedge/study/sweep.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kedge/files/csv.h"
#include "kedge/files/toml_value.h"
#include "kedge/study/claims.h"

namespace kedge {

namespace {

constexpr int kMostConfigurations = 10000;
constexpr std::size_t kMostOptions = 100;

std::string setting(const Value& value) { return value.is_text() ? value.text() : fmt::format("{}", value.number()); }

Dimension read_dimension(const std::string& option, const Value& value) {
  Dimension d;
  d.option = option;
  if (value.is_array()) {
    for (const Value& element : value.elements()) d.values.push_back(setting(element));
    if (d.values.empty()) value.fail("must not be empty");
    return d;
  }
  if (!value.is_table()) value.fail(fmt::format("must be an array of values or a range, but is {}", value.describe()));
  value.allow({"low", "high", "scale"});
  d.low = value.require("low").number();
  d.high = value.require("high").number();
  if (!(d.low < d.high)) value.require("high").fail(fmt::format("must be > low, but is {}", d.high));
  const std::size_t scale = value.find("scale") ? value.require("scale").choice({"linear", "log", "whole"}) : 0;
  d.logarithmic = scale == 1;
  d.whole = scale == 2;
  if (d.logarithmic && !(d.low > 0)) value.require("low").fail("must be > 0 for a logarithmic scale");
  return d;
}

using Configuration = std::vector<std::string>;  ///< "epsilon=0.1", one for each dimension

std::vector<Configuration> grid(const std::vector<Dimension>& dimensions, const Value& where) {
  std::vector<Configuration> all{{}};
  for (const Dimension& d : dimensions) {
    if (d.values.empty()) where.fail(fmt::format("a grid needs a list of values for {}, but it has a range", d.option));
    if (all.size() * d.values.size() > kMostConfigurations)
      where.fail(fmt::format("the grid has more than {} configurations", kMostConfigurations));
    std::vector<Configuration> longer;
    for (const Configuration& c : all)
      for (const std::string& value : d.values) {
        longer.push_back(c);
        longer.back().push_back(d.option + "=" + value);
      }
    all = std::move(longer);
  }
  return all;
}

std::vector<Configuration> draws(const std::vector<Dimension>& dimensions, int samples, std::uint64_t seed) {
  std::vector<Configuration> all;
  for (int i = 0; i < samples; ++i) {
    Stream random(seed, static_cast<std::uint32_t>(i), 0, 0);
    Configuration c;
    for (const Dimension& d : dimensions) c.push_back(d.option + "=" + d.draw(random));
    if (std::find(all.begin(), all.end(), c) == all.end()) all.push_back(std::move(c));
  }
  return all;
}

}  // namespace

std::string Dimension::draw(Stream& random) const {
  if (!values.empty())
    return values[std::min(values.size() - 1,
                           static_cast<std::size_t>(random.uniform() * static_cast<double>(values.size())))];
  const double u = random.uniform();
  const double x = logarithmic ? low * std::pow(high / low, u) : low + (high - low) * u;
  if (whole) return fmt::format("{}{}", std::lround(x), unit);
  return fmt::format("{:.4g}{}", x, unit);
}

Sweep read_sweep(const std::filesystem::path& file) {
  const std::string path = file.string();
  const toml::table document = read_toml(path);
  const Value root(document, "", path);
  root.allow({"kedge", "title", "task", "algorithm", "set", "seeds", "first_seed", "search", "rank"});
  Sweep sweep;
  Figure& figure = sweep.figure;
  read_figure_head(root, file, figure);
  figure.seeds = root.find("seeds") ? figure.seeds : 5;

  const Value search = root.require("search");
  search.allow({"method", "samples", "seed", "options"});
  std::vector<Dimension> dimensions;
  for (const auto& [option, value] : search.require("options").entries())
    dimensions.push_back(read_dimension(option, value));
  if (dimensions.empty() || dimensions.size() > kMostOptions)
    search.require("options").fail(
        fmt::format("must name 1 to {} options, but names {}", kMostOptions, dimensions.size()));
  const bool random = search.require("method").choice({"grid", "random"}) == 1;
  const auto seed = search.find("seed");
  const std::vector<Configuration> configurations =
      random ? draws(dimensions, search.require("samples").integer(1, kMostConfigurations),
                     seed ? static_cast<std::uint64_t>(seed->integer(0, 1000000)) : 0)
             : grid(dimensions, search);
  for (const Configuration& c : configurations) {
    FigureRun run{
        fmt::format("{}", fmt::join(c, " ")), root.require("task").text(), root.require("algorithm").text(), {}};
    if (const auto set = root.find("set"))
      for (const Value& text : set->elements()) run.set.push_back(text.text());
    run.set.insert(run.set.end(), c.begin(), c.end());
    figure.runs.push_back(std::move(run));
  }
  const Value rank = root.require("rank");
  rank.allow({"measure", "rollouts", "threshold"});
  sweep.measure = read_measure(rank);
  return sweep;
}

std::vector<SweepRow> rank(const Sweep& sweep, const Comparison& comparison) {
  std::vector<SweepRow> rows;
  for (const ComparisonGroup& group : comparison.groups) {
    SweepRow row;
    row.label = group.label;
    row.values = measure_values(group, sweep.measure);
    row.score = interquartile_mean(row.values);
    for (const ComparedRun& run : group.runs) row.solved += run.final_success.value_or(0.0) >= 1.0;
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const SweepRow& a, const SweepRow& b) { return a.score > b.score; });
  return rows;
}

std::string sweep_csv(const Sweep& sweep, const std::vector<SweepRow>& rows) {
  std::string text = csv_line({"rank", "configuration", "score", "solved", "seeds", "values", "measure"});
  for (std::size_t i = 0; i < rows.size(); ++i)
    text += csv_line({i + 1, rows[i].label, rows[i].score, rows[i].solved, rows[i].values.size(),
                      fmt::format("{}", fmt::join(rows[i].values, " ")), to_string(sweep.measure)});
  return text;
}

}  // namespace kedge
