// The published figures: every number of a page in docs/results follows from the tables that are kept beside it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "kedge/core/errors.h"
#include "kedge/study/kept.h"
#include "tests/support/csv.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Lines = std::vector<std::string>;

/// Pages made before curves.csv and verdicts.csv were kept: of these final.csv is there alone. Each must say so. A figure
/// leaves the list when it is run again.
const std::set<std::string> kOnlyFinal{"moto-fig2b-searched", "vgps-fig1"};

/// Figures without a page of their own: not run yet, or (double-link) a table in moto.md.
const std::set<std::string> kWithoutTables{"double-link"};

std::string results(const std::string& name) { return test::source_dir() + "/docs/results/" + name; }

std::string text_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The lines with numbers: of tables, and the sentence on the verdicts.
Lines lines_with_numbers(const std::string& page) {
  Lines lines;
  std::istringstream in(page);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("| ") || line.starts_with("Verdicts: ")) lines.push_back(line);
  return lines;
}

std::vector<Figure> figures() {
  std::vector<Figure> all;
  for (const auto& entry : fs::directory_iterator(test::source_dir() + "/experiments"))
    if (entry.path().extension() == ".toml") all.push_back(read_figure(entry.path()));
  return all;
}

/// The page of a figure from kept tables.
std::string page_of(const Figure& figure, const FigureResult& result) { return figure_page(figure, result, "command"); }

/// Without the last cell of a row.
std::string without_seconds(const std::string& row) { return row.substr(0, row.rfind('|', row.size() - 2)); }

TEST(PublishedFigure, HasAPageThatFollowsFromItsTablesInEveryDigit) {
  int pages = 0;
  for (const Figure& figure : figures()) {
    if (kOnlyFinal.contains(figure.name) || kWithoutTables.contains(figure.name)) continue;
    SCOPED_TRACE(figure.name);
    ++pages;
    const FigureResult result = kept_result(figure, results(figure.name + "-"));
    EXPECT_EQ(lines_with_numbers(text_of(results(figure.name + ".md"))), lines_with_numbers(page_of(figure, result)));
    EXPECT_EQ(final_csv(result.comparison), text_of(results(figure.name + "-final.csv")));
    for (const char* table : {"-final.csv", "-curves.csv", "-verdicts.csv"})
      EXPECT_LE(fs::file_size(results(figure.name + table)), 1U << 20) << table;
  }
  EXPECT_GE(pages, 3);
}

TEST(PublishedFigure, OfWhichOnlyTheFinalResultsAreKeptSaysSoAndFollowsFromThem) {
  std::set<std::string> found;
  for (const Figure& figure : figures()) {
    if (!kOnlyFinal.contains(figure.name)) continue;
    SCOPED_TRACE(figure.name);
    found.insert(figure.name);
    FigureResult result{.comparison = kept_comparison(figure, results(figure.name + "-final.csv")), .verdicts = {}};
    const std::string page = text_of(results(figure.name + ".md"));
    const Lines lines = lines_with_numbers(page);
    ASSERT_GE(lines.size(), 2 + figure.runs.size() + figure.claims.size());
    const Lines made = lines_with_numbers(page_of(figure, result));
    EXPECT_EQ(lines[0], made[0]);
    for (std::size_t i = 1; i < made.size(); ++i) EXPECT_EQ(without_seconds(lines[i]), without_seconds(made[i]));
    // The header of the claims comes between runs and claims.
    for (std::size_t i = 0; i < figure.claims.size(); ++i) {
      const Measure::Kind kind = figure.claims[i].measure.kind;
      if (kind != Measure::Kind::final_return && kind != Measure::Kind::final_success) continue;
      result.verdicts = {judge(figure.claims[i], result.comparison)};
      EXPECT_EQ(lines[made.size() + 1 + i], lines_with_numbers(page_of(figure, result))[made.size() + 1]);
    }
    for (const char* table : {"-curves.csv", "-verdicts.csv"}) {
      EXPECT_THAT(page, HasSubstr("`" + figure.name + table + "`")) << "the page must say that it is not kept";
      EXPECT_FALSE(fs::exists(results(figure.name + table))) << "take the figure off the list";
    }
  }
  EXPECT_EQ(found, kOnlyFinal);
}

TEST(PublishedFigure, WithoutTablesHasNoPageOfNumbers) {
  std::set<std::string> found;
  for (const Figure& figure : figures()) {
    if (!kWithoutTables.contains(figure.name)) continue;
    found.insert(figure.name);
    EXPECT_FALSE(fs::exists(results(figure.name + "-verdicts.csv"))) << "take " << figure.name << " off the list";
    const fs::path page = results(figure.name + ".md");
    if (fs::exists(page)) {
      EXPECT_THAT(text_of(page), HasSubstr("not been run"));
    }
  }
  EXPECT_EQ(found, kWithoutTables);
}

/// page -> claim -> verdict, of the pages of all figures.
std::map<std::string, std::map<std::string, std::string>> published_verdicts() {
  std::map<std::string, std::map<std::string, std::string>> verdicts;
  const std::regex row(R"(\| (.+?) \| [^|]* \| \*\*([a-z ]+)\*\* \| .*)");
  for (const auto& entry : fs::directory_iterator(results(""))) {
    if (entry.path().extension() != ".md") continue;
    for (const std::string& line : lines_with_numbers(text_of(entry.path())))
      if (std::smatch match; std::regex_match(line, match, row)) verdicts[entry.path().filename()][match[1]] = match[2];
  }
  return verdicts;
}

TEST(PublishedFigure, HasEachVerdictInTheTableOfAllClaims) {
  const std::string table = text_of(results("claims.md"));
  const std::regex link(R"re(\[([a-z ]+)\]\(([a-z0-9-]+\.md) "([^"]+)"\))re");
  std::map<std::string, std::map<std::string, std::string>> listed;
  for (std::sregex_iterator at(table.begin(), table.end(), link), end; at != end; ++at)
    listed[(*at)[2]][(*at)[3]] = (*at)[1];
  EXPECT_GE(listed.size(), 10U);
  EXPECT_EQ(listed, published_verdicts());
}

TEST(PublishedFigure, HasATableOfFallsThatFollowsFromTheRunsCounted) {
  struct Sum {
    int seeds = 0, updates = 0, falls = 0, beyond_noise = 0, below_bound = 0, last_below = -1;
  };
  std::map<std::string, Sum> sums;
  const auto rows = test::read_csv(text_of(results("moto-monotonic.csv")));
  for (std::size_t i = 1; i < rows.size(); ++i) {
    Sum& sum = sums[rows[i][0]];
    sum.seeds += 1;
    sum.updates += std::stoi(rows[i][3]);
    sum.falls += std::stoi(rows[i][4]);
    sum.beyond_noise += std::stoi(rows[i][5]);
    sum.below_bound += std::stoi(rows[i][6]);
    sum.last_below = std::max(sum.last_below, std::stoi(rows[i][7]));
  }
  EXPECT_EQ(sums.size(), 3U);
  const std::string page = text_of(results("moto.md"));
  for (const auto& [figure, sum] : sums)
    EXPECT_THAT(page, HasSubstr(fmt::format(" | {} | {} | {} | {} | {} | {} |\n", sum.seeds, sum.updates, sum.falls,
                                            sum.beyond_noise, sum.below_bound, sum.last_below)))
        << figure;
}

/// "-903", "-1.8e5": of thousands and more two digits.
std::string short_text(double value) {
  if (std::abs(value) < 1000) return fmt::format("{:.0f}", value);
  return std::regex_replace(fmt::format("{:.1e}", value), std::regex("e\\+0"), "e");
}

TEST(PublishedFigure, OfTheDoubleLinkIsATableThatFollowsFromItsTables) {
  const Figure figure = read_figure(test::source_dir() + "/experiments/double-link.toml");
  const Comparison comparison = kept_comparison(figure, results("double-link-final.csv"));
  const auto curves = test::read_csv(text_of(results("double-link-curves.csv")));
  const std::string page = text_of(results("moto.md"));
  for (const ComparisonGroup& group : comparison.groups) {
    std::vector<double> returns;
    for (const ComparedRun& run : group.runs) returns.push_back(run.final_return.value());
    const auto solved = std::ranges::count_if(group.runs, [](const auto& run) { return run.final_success == 1.0; });
    const auto [value, interval] = estimate(returns, interquartile_mean);
    std::string row = fmt::format("| {} N m | **{} of {}** | {:.0f} [{:.0f}, {:.0f}] | ",
                                  group.label.substr(group.label.rfind(' ') + 1), solved, group.runs.size(), value,
                                  interval.low, interval.high);
    for (const char* rollouts : {"400", "600", "1000", "1600", "2000", "2400"})
      for (const auto& point : curves)  // task, group, runs, iteration, rollouts, seconds, median
        if (point[1] == group.label && point[4] == rollouts)
          row += short_text(std::stod(point[6])) + (rollouts == std::string("2400") ? " |\n" : " / ");
    EXPECT_THAT(page, HasSubstr(row));
  }
}

// ---- the check itself ----------------------------------------------------------------------------------------------

/// A figure of two runs and its tables in a folder.
class KeptTables : public testing::Test {
 protected:
  void SetUp() override {
    const auto run = [](std::uint64_t seed, double result, int rollouts) {
      return ComparedRun{.directory = {},
                         .seed = seed,
                         .state = RunState::finished,
                         .iterations = 5,
                         .final_return = result,
                         .final_success = 1.0,
                         .rollouts = {1.0 * rollouts, 2.0 * rollouts, 3.0 * rollouts, 4.0 * rollouts, 5.0 * rollouts},
                         .median_returns = std::vector<double>(5, result)};
    };
    figure_.title = "Two runs";
    FigureResult result;
    result.comparison.task = figure_.title;
    for (const std::string label : {"a, b", "c"}) {
      figure_.runs.push_back({label, "double_link", "moto", {}});
      ComparisonGroup group{.label = label, .runs = {}, .curve = {CurvePoint{}, CurvePoint{}}};
      group.curve.back().seconds = 12.5;
      for (std::uint64_t seed = 100; seed < 106; ++seed)
        group.runs.push_back(run(seed, -1.0 / static_cast<double>(seed) - (label == "c" ? 0.001 : 0.0), 10));
      result.comparison.groups.push_back(group);
    }
    using Kind = Measure::Kind;
    for (const Measure& measure : {Measure{Kind::final_return, 0}, {Kind::rollouts_to, -0.00975}})
      figure_.claims.push_back({.text = "is better by " + to_string(measure),
                                .source = "here",
                                .kind = Claim::Kind::better,
                                .run = "a, b",
                                .than = "c",
                                .measure = measure,
                                .share = 0});
    for (const Claim& claim : figure_.claims) result.verdicts.push_back(judge(claim, result.comparison));
    page_ = figure_page(figure_, result, "command");
    tables_ = {{"final.csv", final_csv(result.comparison)},
               {"curves.csv", comparison_csv(result.comparison)},
               {"verdicts.csv", verdicts_csv(result.verdicts)}};
  }

  /// The page from the tables, or the refusal.
  std::string made() const {
    const TemporaryFolder folder;
    for (const auto& [name, text] : tables_) folder.write(name, text);
    try {
      return figure_page(figure_, kept_result(figure_, folder.path("")), "command");
    } catch (const InputError& e) {
      return e.what();
    }
  }

  void replace(const std::string& table, const std::string& from, const std::string& to) {
    std::string& text = tables_.at(table);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }

  Figure figure_;
  std::string page_;
  std::map<std::string, std::string> tables_;
};

TEST_F(KeptTables, GiveThePageAgain) { EXPECT_EQ(made(), page_); }

TEST_F(KeptTables, WithAnotherDigitOfAResultAreRefused) {
  for (const std::string name : {"final.csv", "verdicts.csv"}) {
    const std::string text = tables_.at(name);
    for (std::size_t i = text.find('\n'); i < text.size(); ++i) {
      if (text[i] < '0' || text[i] > '8') continue;
      // Of final.csv the returns, between the last two commas of a line: a page shows no seeds.
      const std::size_t last = text.rfind(',', text.find('\n', i));
      if (name == "final.csv" && (i > last || i < text.rfind(',', last - 1))) continue;
      ++tables_.at(name)[i];
      EXPECT_THAT(made(), testing::AnyOf(HasSubstr("not those of final.csv"), HasSubstr("does not follow"),
                                         HasSubstr("the figure's claim here is not")))
          << name << " at " << i;
      tables_.at(name) = text;
    }
  }
}

TEST_F(KeptTables, OfOtherRunsOrClaimsAreRefused) {
  const auto refused = [&](const std::string& table, const std::string& from, const std::string& to) {
    const auto before = tables_;
    replace(table, from, to);
    const std::string message = made();
    tables_ = before;
    return message;
  };
  EXPECT_THAT(refused("final.csv", "\"c\",100", "\"d\",100"),
              HasSubstr("final.csv: row 8: the figure has no run \"d\""));
  EXPECT_THAT(refused("final.csv", ",finished,", ",done,"), HasSubstr("row 2: state: found \"done\""));
  EXPECT_THAT(refused("final.csv", ",100,", ",l00,"), HasSubstr("row 2: seed: found \"l00\", expected a number"));
  EXPECT_THAT(refused("final.csv", "seed", "sed"), HasSubstr("final.csv: has no column 'seed'"));
  EXPECT_THAT(refused("final.csv", "-0.01,", "-0.02,"),
              HasSubstr("the measures of the seeds are not those of final.csv"));
  EXPECT_THAT(refused("verdicts.csv", "is better by", "is worse by"),
              HasSubstr("verdicts.csv: row 2: the figure's claim here is not \"is worse by"));
  EXPECT_THAT(refused("verdicts.csv", ",holds,", ",undecided,"), HasSubstr("does not follow from the measures"));
  figure_.claims.push_back(figure_.claims.front());
  EXPECT_THAT(made(), HasSubstr("has no verdict on"));
}

}  // namespace
}  // namespace kedge
