#include "kedge/study/compare.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <regex>

#include "kedge/files/metrics_file.h"
#include "kedge/run/train.h"
#include "kedge/study/plots.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double infinity = std::numeric_limits<double>::infinity();

CurvePoint point(int iteration, double value) {
  CurvePoint p;
  p.iteration = iteration;
  p.rollouts = 20 * (iteration + 1);
  p.seconds = 0.5 * (iteration + 1);
  p.median = p.iqm = p.mean = {value, {value - 1, value + 1}};
  p.lower_quartile = value - 0.5;
  p.upper_quartile = value + 0.5;
  return p;
}

Comparison comparison(const std::vector<double>& values) {
  Comparison c{
      .task = "reach", .groups = {{.label = "moto", .runs = std::vector<ComparedRun>(3), .curve = {}}}, .notes = {}};
  for (std::size_t i = 0; i < values.size(); ++i) c.groups[0].curve.push_back(point(static_cast<int>(i), values[i]));
  return c;
}

TEST(TablePoints, AreFirstLastAndEvenlyBetween) {
  std::vector<CurvePoint> curve;
  for (int i = 0; i < 101; ++i) curve.push_back(point(i, i));
  std::vector<int> shown;
  for (const CurvePoint& p : table_points(curve, 6)) shown.push_back(p.iteration);
  EXPECT_EQ(shown, (std::vector<int>{0, 20, 40, 60, 80, 100}));
}

TEST(TablePoints, OfAShortCurveAreAllOfIt) {
  std::vector<CurvePoint> curve{point(0, 0), point(1, 1), point(2, 2)};
  EXPECT_EQ(table_points(curve, 6).size(), 3U);
  EXPECT_EQ(table_points({point(0, 0)}, 6).size(), 1U);
  EXPECT_TRUE(table_points({}, 6).empty());
}

TEST(ComparisonCsv, HasARowForEachPointAndAsManyEntriesAsTheHeader) {
  const std::string csv = comparison_csv(comparison({-300, -20.25, -1}));
  std::istringstream lines(csv);
  std::string line;
  std::vector<long> entries;
  while (std::getline(lines, line)) entries.push_back(std::count(line.begin(), line.end(), ',') + 1);
  EXPECT_EQ(entries, (std::vector<long>{17, 17, 17, 17}));
  EXPECT_THAT(csv, HasSubstr("reach,moto,3,1,40,1,-20.25,-21.25,-19.25,"));
}

TEST(GnuplotScript, DrawsNegativeReturnsOnALogarithmicAxis) {
  const std::string script = curves_script(comparison({-1e7, -1e4, -100}), CurveAxis::rollouts);
  EXPECT_THAT(script, HasSubstr("set logscale y"));
  EXPECT_THAT(script, HasSubstr("20 10000000 "));
  EXPECT_THAT(script, HasSubstr("\"moto (3 seeds)\""));
}

TEST(GnuplotScript, DrawsReturnsOfBothSignsOnASignedLogarithmicAxis) {
  const std::string script = curves_script(comparison({-999, 0, 99}), CurveAxis::seconds);
  EXPECT_THAT(script, Not(HasSubstr("set logscale")));
  EXPECT_THAT(script, HasSubstr("0.5 -3 "));  // -log10(1 + 999)
  EXPECT_THAT(script, HasSubstr("1 0 "));
  EXPECT_THAT(script, HasSubstr("1.5 2 "));
}

TEST(GnuplotScript, DrawsAPanelForEachThatTheGroupsName) {
  Comparison c = comparison({-300, -20, -1});
  c.groups[0].panel = "easy";
  c.groups[0].label = "easy: moto";
  EXPECT_EQ(panel_count(c), 1);
  c.groups.push_back(c.groups[0]);
  c.groups[1].panel = "hard";
  c.groups[1].label = "hard: moto";
  EXPECT_EQ(panel_count(c), 2);
  const std::string script = curves_script(c, CurveAxis::iterations);
  EXPECT_THAT(script, HasSubstr("set multiplot layout 1,2"));
  EXPECT_THAT(script, HasSubstr("set title \"easy\""));
  EXPECT_THAT(script, HasSubstr("set title \"hard\""));
  EXPECT_THAT(script, HasSubstr("\"moto (3 seeds)\""));
  EXPECT_THAT(script, HasSubstr("set xlabel 'iterations'"));
  EXPECT_THAT(script, HasSubstr("\n3 1 "));  // the third iteration, return -1
}

TEST(GnuplotScript, DrawsTheReturnWithoutNoiseAndTheFirstTrajectoryWhereThereIsOne) {
  Comparison c = comparison({-300, -20, -1});
  EXPECT_THAT(curves_script(c, CurveAxis::rollouts), Not(HasSubstr("initial trajectory")));
  EXPECT_THAT(curves_script(c, CurveAxis::rollouts), HasSubstr("mean (dashed)"));
  for (CurvePoint& p : c.groups[0].curve) p.deterministic = -7.5;
  c.groups[0].reference = -12.25;
  const std::string script = curves_script(c, CurveAxis::rollouts);
  EXPECT_THAT(script, HasSubstr("without noise (dashed)"));
  EXPECT_THAT(script, HasSubstr(" 7.5\n"));
  EXPECT_THAT(script, HasSubstr("12.25 with lines lw 1 dt 3"));
  c.groups[0].curve[1].deterministic = -infinity;  // it diverged there
  const std::string gap = curves_script(c, CurveAxis::rollouts);
  EXPECT_THAT(gap, HasSubstr("without noise (dashed)"));
  EXPECT_THAT(gap, HasSubstr(" NaN\n"));
}

TEST(Compare, RolloutsThatDivergeAreWorseThanAnyReturn) {
  const example::Folder folder;
  OpenRun run = create_run(plan_run({.task = "double_link",
                                     .algorithm = "vgps",
                                     .config = {},
                                     .set = {"task.horizon=20", "initial_iterations=5"},
                                     .from = {},
                                     .iterations = 2,
                                     .out = folder / "run"}));
  ASSERT_EQ(train(run, {.stop = {}, .observe = {}}).stop, Stop::max_iterations);
  const auto curve = [&] { return compare({folder / "run"}, {}).groups.front().curve; };
  const std::vector<CurvePoint> before = curve();
  ASSERT_EQ(before.size(), 2U);
  EXPECT_TRUE(std::isfinite(before[1].deterministic));

  // As the loop writes it: no return of any of the noisy rollouts, or none of the noise-free one.
  const MetricsTable table = read_metrics(folder / "run" / "metrics.csv");
  for (const char* name : {"return_mean", "return_deterministic"}) {
    MetricsTable changed = table;
    changed.rows[1][static_cast<std::size_t>(table.column(name))] = std::numeric_limits<double>::quiet_NaN();
    std::string text = fmt::format("{}\n", fmt::join(changed.columns, ","));
    for (const auto& row : changed.rows) text += fmt::format("{}\n", fmt::join(row, ","));
    example::write_bytes(folder / "run" / "metrics.csv", text);
    const std::vector<CurvePoint> after = curve();
    const bool noisy = std::string(name) == "return_mean";
    EXPECT_EQ(after[1].median.value, noisy ? -infinity : before[1].median.value);
    EXPECT_EQ(after[1].deterministic, noisy ? before[1].deterministic : -infinity);
    EXPECT_EQ(after[0].deterministic, before[0].deterministic);
  }
}

TEST(GnuplotScript, EscapesCommandsInTitles) {
  const example::Folder folder;
  const std::string file = (folder / "made").string(), title = "a `touch " + file + "` \"b\" \\ 'c' $d\n!e";
  Comparison c = comparison({-300, -20, -1});
  c.task = c.groups[0].label = title;
  draw(curves_script(c, CurveAxis::rollouts), PlotFormat::svg, folder / "one.svg");
  c.groups[0].runs[0].final_return = -1.0;
  draw(profile_script(c), PlotFormat::svg, folder / "profile.svg");
  c.groups.push_back(c.groups[0]);
  for (std::size_t i = 0; i < 2; ++i) {
    c.groups[i].panel = title + std::to_string(i);
    c.groups[i].label = c.groups[i].panel + ": x";
  }
  draw(curves_script(c, CurveAxis::rollouts), PlotFormat::svg, folder / "two.svg");
  EXPECT_FALSE(std::filesystem::exists(file));
  for (const char* drawing : {"one.svg", "profile.svg", "two.svg"})
    EXPECT_THAT(example::bytes_of(folder / drawing), HasSubstr("` \"b\" \\ 'c' $d !e"));
}

TEST(GnuplotScript, LeavesOutInfiniteValues) {
  const std::string script = curves_script(comparison({-infinity, -100}), CurveAxis::rollouts);
  EXPECT_THAT(script, Not(HasSubstr("inf")));
  EXPECT_THAT(script, HasSubstr("40 100 "));
}

ComparisonGroup finals(const std::vector<std::optional<double>>& values) {
  ComparisonGroup group{.label = "moto", .runs = std::vector<ComparedRun>(values.size()), .curve = {}};
  for (std::size_t i = 0; i < values.size(); ++i) group.runs[i].final_return = values[i];
  return group;
}

TEST(PerformanceProfile, IsTheShareOfSeedsThatReachEachThreshold) {
  const Comparison c{
      .task = "reach", .groups = {finals({-3.0, -1.0, std::nullopt, -infinity}), finals({-2.0})}, .notes = {}};
  const std::vector<double> thresholds = final_returns(c);
  EXPECT_EQ(thresholds, (std::vector<double>{-3, -2, -1}));
  std::vector<double> shares;
  for (const ProfilePoint& p : performance_profile(c.groups[0], thresholds)) {
    shares.push_back(p.share.value);
    EXPECT_LE(p.share.interval.low, p.share.value);
    EXPECT_GE(p.share.interval.high, p.share.value);
  }
  EXPECT_EQ(shares, (std::vector<double>{0.5, 0.25, 0.25}));
}

TEST(ComparisonJson, HoldsEveryNumberAndNullWhereItIsNotFinite) {
  Comparison c = comparison({-300, -20.25});
  c.task = "a <b>";
  c.groups[0].curve[0].seconds = std::numeric_limits<double>::quiet_NaN();
  c.groups[0].runs = finals({-3.0, -infinity, std::nullopt}).runs;
  c.groups[0].runs[0].final_success = 1.0;
  c.groups[0].runs[1].final_success = 0.5;
  c.groups[0].reference = -12.25;
  c.notes = {"left \"out\""};
  const std::string json = comparison_json(c);
  for (const char* part : {"{\"task\":\"a \\u003cb>\",\"notes\":[\"left \\\"out\\\"\"],\"groups\":[{\"label\":\"moto\"",
                           "\"reference\":-12.25,",
                           "\"iteration\":[0,1],\"rollouts\":[20,40],\"seconds\":[null,1],\"median\":[-300,-20.25],"
                           "\"median_low\":[-301,-21.25],\"median_high\":[-299,-19.25]",
                           "\"quartile_low\":[-300.5,-20.75]", "\"final\":{\"runs\":2,\"median\":{\"value\":null,",
                           "\"success\":{\"value\":0.75,\"low\":0.1978674557",  // Wilson's interval
                           "\"final_return\":null,\"final_success\":0.5"})
    EXPECT_THAT(json, HasSubstr(part));
  EXPECT_THAT(json, Not(HasSubstr("nan")));
  EXPECT_THAT(json, Not(HasSubstr("inf")));
}

}  // namespace
}  // namespace kedge
