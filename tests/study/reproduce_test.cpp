#include "kedge/study/reproduce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/study/sweep.h"
#include "tests/support/csv.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr double infinity = std::numeric_limits<double>::infinity();

// ---- statistics ----------------------------------------------------------------------------------------------------

TEST(WilsonInterval, EndsWhereTheShareIsSeenIsTwoStandardErrorsAway) {
  constexpr double z = 1.959963984540054;  // 97.5 % of the normal distribution
  for (const std::size_t n : {1U, 5U, 15U, 100U})
    for (std::size_t k = 0; k <= n; ++k) {
      const double seen = static_cast<double>(k) / static_cast<double>(n);
      const Interval interval = wilson_interval(seen, n);
      EXPECT_LE(interval.low, seen);
      EXPECT_GE(interval.high, seen);
      for (const double p : {interval.low, interval.high})
        EXPECT_NEAR(std::abs(seen - p), z * std::sqrt(p * (1 - p) / static_cast<double>(n)), 1e-9) << k << " of " << n;
    }
  EXPECT_NEAR(wilson_interval(1.0, 15).low, 15 / (15 + z * z), 1e-12);
}

TEST(NewcombeInterval, EndsWhereTheProbabilityIsTwoStandardErrorsAway) {
  constexpr double z = 1.959963984540054;
  for (const auto& [m, n] : {std::pair{1U, 1U}, {5U, 5U}, {15U, 15U}, {4U, 30U}})
    for (const double p : {0.0, 0.1, 0.5, 0.8, 1.0}) {
      const auto [low, high] = newcombe_interval(p, m, n);
      EXPECT_LE(low, p);
      EXPECT_GE(high, p);
      for (const double t : {low, high}) {
        if (t == 0.0 || t == 1.0) continue;
        // The exponential model's variance of the statistic [Hanley and McNeil 1982], with (m + n) / 2 for both m and n.
        const double q1 = t / (2 - t), q2 = 2 * t * t / (1 + t), half = 0.5 * (m + n) - 1;
        const double variance = (t * (1 - t) + half * (q1 - t * t) + half * (q2 - t * t)) / (m * n);
        EXPECT_NEAR(std::abs(p - t), z * std::sqrt(variance), 1e-7) << p << ", " << m << " and " << n;
      }
      const auto [mirrored_low, mirrored_high] = newcombe_interval(1 - p, m, n);
      EXPECT_NEAR(low, 1 - mirrored_high, 1e-9);
      EXPECT_NEAR(high, 1 - mirrored_low, 1e-9);
    }
}

TEST(ProbabilityOfImprovement, OfSamplesThatDoNotOverlapHasAnIntervalOfNewcombe) {
  const Estimate apart = probability_of_improvement({6, 7, 8, 9, 10}, {1, 2, 3, 4, 5});
  EXPECT_EQ(apart.value, 1.0);
  EXPECT_NEAR(apart.interval.low, 0.64, 0.005);
  EXPECT_EQ(apart.interval.high, 1.0);
  EXPECT_NEAR(newcombe_interval(1.0, 10, 10).low, 0.80, 0.005);
  EXPECT_NEAR(newcombe_interval(1.0, 15, 15).low, 0.86, 0.005);
  const Estimate equal = probability_of_improvement({1, 1, 1, 1, 1}, {1, 1, 1, 1, 1});
  EXPECT_LT(equal.interval.low, 0.25) << "five equal results do not show that two runs are similar";
}

TEST(ProbabilityOfImprovement, CountsPairs) {
  EXPECT_DOUBLE_EQ(probability_of_improvement({3, 4}, {1, 2}).value, 1.0);
  EXPECT_DOUBLE_EQ(probability_of_improvement({1, 3}, {2, 4}).value, 0.25);
  EXPECT_DOUBLE_EQ(probability_of_improvement({1, 1}, {1, 1}).value, 0.5);
  EXPECT_DOUBLE_EQ(probability_of_improvement({-infinity, 1}, {-infinity, 0}).value, 0.25 * (0.5 + 0 + 1 + 1));
}

TEST(ProbabilityOfImprovement, OfSwappedSamplesIsTheComplement) {
  Stream random(3, 0, 0, 0);
  std::vector<double> a, b;
  for (int i = 0; i < 12; ++i) a.push_back(random.normal());
  for (int i = 0; i < 9; ++i) b.push_back(random.normal() - 0.3);
  const Estimate ab = probability_of_improvement(a, b), ba = probability_of_improvement(b, a);
  EXPECT_NEAR(ab.value + ba.value, 1.0, 1e-12);
  EXPECT_LT(ab.interval.low, ab.value);
  EXPECT_GT(ab.interval.high, ab.value);
}

TEST(ProbabilityOfImprovement, HasAnIntervalThatCoversTheTruth) {
  Stream random(4, 0, 0, 0);
  int covered = 0;
  for (int k = 0; k < 200; ++k) {
    std::vector<double> a(15), b(15);
    for (double& x : a) x = random.normal();
    for (double& x : b) x = random.normal();
    const Interval interval = probability_of_improvement(a, b).interval;
    covered += interval.low <= 0.5 && 0.5 <= interval.high;
  }
  EXPECT_GE(covered, 175);  // 95 % of 200, less what a percentile bootstrap of 15 loses
}

// ---- measures and verdicts -----------------------------------------------------------------------------------------

ComparedRun finished_run(std::uint64_t seed, double final_return, double success) {
  return {.directory = {},
          .seed = seed,
          .state = RunState::finished,
          .iterations = 3,
          .final_return = final_return,
          .final_success = success,
          .rollouts = {10, 20, 30},
          .median_returns = {-100, -10, final_return}};
}

ComparisonGroup group(const std::string& label, const std::vector<double>& finals, double success = 1.0) {
  ComparisonGroup g{.label = label, .runs = {}, .curve = {}};
  for (std::size_t i = 0; i < finals.size(); ++i) g.runs.push_back(finished_run(i, finals[i], success));
  return g;
}

TEST(MeasureValues, AreOneNumberForEachSeed) {
  const ComparisonGroup g = group("a", {-5, -4});
  using Kind = Measure::Kind;
  EXPECT_EQ(measure_values(g, {Kind::final_return, 0}), (std::vector<double>{-5, -4}));
  EXPECT_EQ(measure_values(g, {Kind::final_success, 0}), (std::vector<double>{1, 1}));
  EXPECT_EQ(measure_values(g, {Kind::return_at, 29}), (std::vector<double>{-10, -10}));
  EXPECT_EQ(measure_values(g, {Kind::return_at, 30}), (std::vector<double>{-5, -4}));
  EXPECT_EQ(measure_values(g, {Kind::noisy_return, 0}), (std::vector<double>{-5, -4}));
  ComparisonGroup noisy = g;
  noisy.runs[1].noisy_success = 0.7;
  EXPECT_EQ(measure_values(noisy, {Kind::noisy_success, 0}), (std::vector<double>{0, 0.7}));
}

TEST(MeasureValues, OfARunThatDidNotReachTheThresholdAreTheWorst) {
  ComparisonGroup g = group("a", {-5});
  g.runs[0].final_return.reset();
  g.runs[0].final_success.reset();
  using Kind = Measure::Kind;
  EXPECT_EQ(measure_values(g, {Kind::final_return, 0}), std::vector<double>{-infinity});
  EXPECT_EQ(measure_values(g, {Kind::final_success, 0}), std::vector<double>{0});
  EXPECT_EQ(measure_values(g, {Kind::return_at, 5}), std::vector<double>{-infinity});   // before the first iteration
  EXPECT_EQ(measure_values(g, {Kind::return_at, 31}), std::vector<double>{-infinity});  // after the last
}

TEST(MeasureValues, OfASpeedIsWhereTheReturnStaysAtTheThreshold) {
  ComparisonGroup g = group("a", {0});
  ComparedRun& run = g.runs[0];
  const auto rollouts_to = [&](double threshold, const std::vector<double>& returns) {
    run.median_returns = returns;
    run.rollouts.clear();
    for (std::size_t i = 0; i < returns.size(); ++i) run.rollouts.push_back(10.0 * static_cast<double>(i + 1));
    return -measure_values(g, {Measure::Kind::rollouts_to, threshold})[0];
  };
  EXPECT_EQ(rollouts_to(-1, {-5, -1, -1, -1, -1, -1, -5}), 20);
  EXPECT_EQ(rollouts_to(-1, {-1, -5, -5, -1, -1, -1, -1, 0, 0, -5}), 40);  // once before, by luck
  EXPECT_EQ(rollouts_to(-1, {-1, -1, -1, -1, -5, -1, -1, -1, -1}), infinity);
  EXPECT_EQ(rollouts_to(-1, {-5, -1, -1, -1, -1, -1}), 20);  // the last that can still be seen to stay
  EXPECT_EQ(rollouts_to(-1, {-5, -5, -1, -1, -1, -1}), infinity);
  EXPECT_EQ(rollouts_to(-1, {-1, -1, std::nan(""), -1, -1}), infinity);
  EXPECT_EQ(rollouts_to(-1, {}), infinity);
}

Comparison comparison(const std::vector<double>& a, const std::vector<double>& b) {
  return {.task = "", .groups = {group("a", a), group("b", b)}, .notes = {}};
}

Claim claim(Claim::Kind kind) {
  return {.text = "a beats b", .source = "here", .kind = kind, .run = "a", .than = "b", .measure = {}};
}

TEST(Judge, ComparesRuns) {
  const std::vector<double> high{-1, -2, -3, -4, -5, -6}, low{-11, -12, -13, -14, -15, -16},
      mixed{-1, -13, -3, -15, -5, -16};
  const auto verdict = [&](Claim::Kind kind, const auto& a, const auto& b) {
    return judge(claim(kind), comparison(a, b)).verdict;
  };
  EXPECT_EQ(verdict(Claim::Kind::better, high, low), Verdict::holds);
  EXPECT_EQ(verdict(Claim::Kind::better, low, high), Verdict::does_not_hold);
  EXPECT_EQ(verdict(Claim::Kind::better, mixed, mixed), Verdict::undecided);
  EXPECT_EQ(verdict(Claim::Kind::similar, high, low), Verdict::undecided);  // six seeds cannot show more than 0.68
  EXPECT_EQ(verdict(Claim::Kind::similar, std::vector<double>(10, -1), std::vector<double>(10, -2)),
            Verdict::does_not_hold);
  EXPECT_EQ(verdict(Claim::Kind::similar, std::vector<double>(8, -1), std::vector<double>(8, -1)), Verdict::holds);
  EXPECT_EQ(verdict(Claim::Kind::better, std::vector<double>(4, -1), low), Verdict::too_few_seeds);
  EXPECT_EQ(judge(claim(Claim::Kind::better), {.task = "", .groups = {group("a", high)}, .notes = {}}).verdict,
            Verdict::no_runs);
}

TEST(Judge, CountsSuccesses) {
  const std::vector<double> many(15, -1.0);
  const auto verdict = [&](Claim::Kind kind, double success, double share, const std::vector<double>& finals) {
    Claim c = claim(kind);
    c.measure.kind = Measure::Kind::final_success;
    c.share = share;
    return judge(c, {.task = "", .groups = {group("a", finals, success)}, .notes = {}}).verdict;
  };
  EXPECT_EQ(verdict(Claim::Kind::succeeds, 1.0, 0.75, many), Verdict::holds);
  EXPECT_EQ(verdict(Claim::Kind::succeeds, 0.95, 0.75, many), Verdict::does_not_hold);  // not in every rollout
  EXPECT_EQ(verdict(Claim::Kind::succeeds, 1.0, 0.9, many), Verdict::undecided);        // 15 seeds cannot show 0.9
  EXPECT_EQ(verdict(Claim::Kind::fails, 0.0, 0.25, many), Verdict::holds);
  EXPECT_EQ(verdict(Claim::Kind::fails, 1.0, 0.25, many), Verdict::does_not_hold);
  EXPECT_EQ(verdict(Claim::Kind::succeeds, 1.0, 0.2, {-1, -1}), Verdict::too_few_seeds);
}

// ---- figure files --------------------------------------------------------------------------------------------------

const std::string kFigure = R"(kedge = 1
title = "A figure"
task = "double_link"
algorithm = "moto"
seeds = 3
first_seed = 100
set = ["iterations=2"]

[quick]
seeds = 1
set = ["iterations=1"]

[[run]]
label = "A"

[[run]]
label = "B"
set = ["epsilon=0.1"]

[[claim]]
text = "A is faster"
source = "Sec. 1"
kind = "better"
run = "A"
than = "B"
measure = "rollouts_to"
threshold = -1e5
)";

class FigureFile : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path write(const std::string& text) {
    std::ofstream(folder_ / "figure.toml") << text;
    return folder_ / "figure.toml";
  }
  std::string complaint(const std::string& text) {
    try {
      const Figure figure = read_figure(write(text));
      (void)plan_figure(figure, {.seeds = {}, .quick = false, .folder = folder_ / "runs"});
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  }
  const fs::path folder_ =
      fs::temp_directory_path() /
      ("kedge-figure-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
};

TEST_F(FigureFile, ListsItsRuns) {
  const Figure figure = read_figure(write(kFigure));
  EXPECT_EQ(figure.name, "figure");
  EXPECT_EQ(figure.runs.size(), 2U);
  EXPECT_EQ(figure.runs[1].set, (std::vector<std::string>{"iterations=2", "epsilon=0.1"}));
  const auto jobs = plan_figure(figure, {.seeds = {}, .quick = false, .folder = folder_ / "runs"});
  ASSERT_EQ(jobs.size(), 6U);
  EXPECT_EQ(jobs[0].seed, 100U);
  EXPECT_EQ(jobs[5].label, "B");
  EXPECT_EQ(jobs[5].directory, folder_ / "runs" / "B" / "s102");
  EXPECT_THAT(jobs[5].arguments,
              testing::ElementsAre("train", "double_link", "--algorithm", "moto", "--seed", "102", "--out",
                                   jobs[5].directory.string(), "--set", "iterations=2", "--set", "epsilon=0.1"));
  try {
    (void)summarise_figure(figure, jobs, 1);
    ADD_FAILURE() << "summarised without runs";
  } catch (const SystemError& e) {
    EXPECT_THAT(e.what(), HasSubstr("6 of 6 runs are not there, the first 'A' seed 100"));
  }
  const auto quick = plan_figure(figure, {.seeds = {}, .quick = true, .folder = folder_ / "runs"});
  ASSERT_EQ(quick.size(), 2U);
  EXPECT_EQ(quick[0].arguments.back(), "iterations=1");
  EXPECT_EQ(plan_figure(figure, {.seeds = 7, .quick = true, .folder = folder_ / "runs"}).size(), 14U);
}

TEST_F(FigureFile, RepeatsItsRunsInEveryPanel) {
  std::string text = kFigure;
  text.replace(
      text.find("[quick]"), 7,
      "[[panel]]\ntitle = \"D\"\n[[panel]]\ntitle = \"Q\"\ntask = \"quad_link\"\nset = [\"epsilon=0.3\"]\n[quick]");
  text.replace(text.find("run = \"A\""), 9, "run = \"Q: A\"");
  text.replace(text.find("than = \"B\""), 10, "than = \"D: B\"");
  const Figure figure = read_figure(write(text));
  ASSERT_EQ(figure.runs.size(), 4U);
  EXPECT_EQ(figure.runs[1].label, "D: B");
  EXPECT_EQ(figure.runs[1].task, "double_link");
  EXPECT_EQ(figure.runs[3].label, "Q: B");
  EXPECT_EQ(figure.runs[3].panel, "Q");
  EXPECT_EQ(figure.runs[3].task, "quad_link");
  EXPECT_EQ(figure.runs[3].set, (std::vector<std::string>{"iterations=2", "epsilon=0.3", "epsilon=0.1"}));
  EXPECT_EQ(figure.claims[0].run, "Q: A");
}

TEST_F(FigureFile, KeepsARunToThePanelsThatItNames) {
  std::string text = kFigure;
  text.replace(text.find("[quick]"), 7, "[[panel]]\ntitle = \"D\"\n[[panel]]\ntitle = \"Q\"\n[quick]");
  text.replace(text.find("label = \"A\""), 11, "label = \"A\"\npanels = [\"Q\"]");
  text.replace(text.find("run = \"A\""), 9, "run = \"Q: A\"");
  text.replace(text.find("than = \"B\""), 10, "than = \"D: B\"");
  const Figure figure = read_figure(write(text));
  ASSERT_EQ(figure.runs.size(), 3U);
  EXPECT_EQ(figure.runs[0].label, "D: B");
  EXPECT_EQ(figure.runs[1].label, "Q: A");
  EXPECT_EQ(figure.runs[2].label, "Q: B");
  text.replace(text.find("[\"Q\"]"), 5, "[\"R\"]");
  EXPECT_THAT(complaint(text), HasSubstr("run[0].panels[0]: \"R\" is not known"));
}

TEST_F(FigureFile, IsRefusedWithOneLineThatNamesThePlace) {
  struct Wrong {
    const char *from, *to, *expected;
  };
  const Wrong wrong[] = {
      {"kedge = 1", "kedge = 2", "figure files of format 1"},
      {"title =", "tilte =", "did you mean \"title\"?"},
      {"seeds = 3", "seeds = 0", "must be in [1, 10000], but is 0"},
      {"label = \"B\"", "label = \"A\"", "two runs are called \"A\""},
      {"label = \"B\"", "", "run[1].label: this key is missing"},
      {"task = \"double_link\"", "", "task: this key is missing"},
      {"\"double_link\"", "\"doubel_link\"", "run \"A\": unknown task 'doubel_link'; did you mean \"double_link\"?"},
      {"\"moto\"", "\"motto\"", "unknown algorithm 'motto'"},
      {"epsilon=0.1", "epsilon=-1", "run \"B\": --set epsilon=-1"},
      {"epsilon=0.1", "epsilom=1", "did you mean \"epsilon\"?"},
      {"than = \"B\"", "than = \"C\"", "claim[0].than"},
      {"kind = \"better\"", "kind = \"bester\"", "claim[0].kind"},
      {"threshold = -1e5", "", "claim[0].threshold: this key is missing"},
      {"measure = \"rollouts_to\"", "measure = \"speed\"", "claim[0].measure"},
      {"kind = \"better\"", "kind = \"succeeds\"", "claim[0].share: this key is missing"},
      {"kind = \"better\"", "kind = \"succeeds\"\nshare = 1.5", "must be in [0, 1], but is 1.5"},
      {"kind = \"better\"", "kind = \"succeeds\"\nshare = 0.5", "must be final_success or noisy_success"},
      {"seeds = 3", "x = \"hours\"", "x: \"hours\" is not known"},
      {"[quick]", "[[panel]]\ntitle = \"P\"\n[[panel]]\ntitle = \"P\"\n[quick]", "two panels are called \"P\""},
      {"[quick]", "[[panel]]\ntask = \"quad_link\"\n[quick]", "panel[0].title: this key is missing"},
  };
  for (const Wrong& w : wrong) {
    std::string text = kFigure;
    text.replace(text.find(w.from), std::string(w.from).size(), w.to);
    const std::string found = complaint(text);
    EXPECT_THAT(found, HasSubstr(w.expected));
    EXPECT_THAT(found, HasSubstr("figure.toml:"));
    EXPECT_EQ(found.find('\n'), std::string::npos);
  }
  EXPECT_EQ(complaint(kFigure), "");
}

TEST_F(FigureFile, HasAsManyRunsAsCanBeLookedThrough) {
  const auto message = [&](const Figure& figure) {
    try {
      static_cast<void>(plan_figure(figure, {.seeds = {}, .quick = false, .folder = folder_}));
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const auto refusal = [&](const std::string& more) {
    try {
      static_cast<void>(
          read_figure(write("kedge = 1\ntitle = \"t\"\ntask = \"double_link\"\nalgorithm = \"moto\"\n" + more)));
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  std::string panels, runs, claims;
  for (int i = 0; i <= 100; ++i) panels += fmt::format("[[panel]]\ntitle = \"{}\"\n", i);
  for (int i = 0; i <= 10000; ++i) runs += fmt::format("[[run]]\nlabel = \"{}\"\n", i);
  for (int i = 0; i <= 1000; ++i) claims += "[[claim]]\n";
  EXPECT_THAT(refusal(panels), HasSubstr("panel: there are 101, but must be at most 100"));
  EXPECT_THAT(refusal(runs), HasSubstr("run: there are 10001, but must be at most 10000"));
  EXPECT_THAT(refusal("[[panel]]\ntitle = \"a\"\n[[panel]]\ntitle = \"b\"\n" + runs),
              HasSubstr("run: there are 20002, but must be at most 10000"));
  EXPECT_THAT(refusal("[[run]]\nlabel = \"1\"\n" + claims),
              HasSubstr("claim: there are 1001, but must be at most 1000"));
  Figure figure;
  figure.file = "f.toml";
  figure.seeds = 10000;
  for (int i = 0; i < 11; ++i) figure.runs.push_back({std::to_string(i), "double_link", "moto", {}});
  EXPECT_EQ(message(figure), "f.toml: 11 runs of 10000 seeds are more than 100000 trainings");
}

// ---- sweeps --------------------------------------------------------------------------------------------------------

const std::string kSweep = R"(kedge = 1
title = "A sweep"
task = "double_link"
algorithm = "moto"
set = ["iterations=3"]
[search]
method = "grid"
[search.options]
epsilon = [0.1, 0.2]
reuse = ["none", "time"]
[rank]
measure = "final_return"
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST_F(FigureFile, OfASweepIsAGrid) {
  const Sweep sweep = read_sweep(write(kSweep));
  std::vector<std::string> labels;
  for (const FigureRun& run : sweep.figure.runs) labels.push_back(run.label);
  EXPECT_THAT(labels, testing::UnorderedElementsAre("epsilon=0.1 reuse=none", "epsilon=0.1 reuse=time",
                                                    "epsilon=0.2 reuse=none", "epsilon=0.2 reuse=time"));
  EXPECT_EQ(sweep.figure.runs[0].set, (std::vector<std::string>{"iterations=3", "epsilon=0.1", "reuse=none"}));
  EXPECT_EQ(plan_figure(sweep.figure, {.seeds = {}, .quick = false, .folder = folder_}).size(), 20U);
}

TEST_F(FigureFile, OfASweepSearchesNotTooManyOptions) {
  const auto refusal = [&](const std::string& options) {
    try {
      static_cast<void>(
          read_sweep(write(kSweep.substr(0, kSweep.find("[search.options]")) + "[search.options]\n" + options)));
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  std::string many;
  for (int i = 0; i <= 100; ++i) many += fmt::format("o{} = [1]\n", i);
  EXPECT_THAT(refusal(many), HasSubstr("search.options: must name 1 to 100 options, but names 101"));
  std::string values = "0";
  for (int i = 1; i < 5001; ++i) values += fmt::format(",{}", i);
  EXPECT_THAT(refusal("a = [1, 2]\nb = [" + values + "]\n"), HasSubstr("the grid has more than 10000 configurations"));
}

TEST_F(FigureFile, OfASweepDrawsTheSameConfigurationsWithinTheirRanges) {
  const std::string text =
      replaced(replaced(kSweep, "\"grid\"", "\"random\"\nsamples = 200"), "[0.1, 0.2]",
               "{ low = 0.01, high = 1, scale = \"log\" }\nwindow = { low = 2, high = 4, scale = \"whole\" }");
  const Sweep sweep = read_sweep(write(text));
  ASSERT_EQ(sweep.figure.runs.size(), 200U);
  int below = 0;
  std::set<std::string> windows;
  for (const FigureRun& run : sweep.figure.runs) {
    for (const std::string& set : run.set) {
      if (set.starts_with("epsilon=")) {
        const double epsilon = std::stod(set.substr(8));
        EXPECT_GE(epsilon, 0.01);
        EXPECT_LE(epsilon, 1);
        below += epsilon < 0.1;  // half of them on a logarithmic scale
      }
      if (set.starts_with("window=")) windows.insert(set);
    }
  }
  EXPECT_NEAR(below, 100, 40);
  EXPECT_EQ(windows, (std::set<std::string>{"window=2", "window=3", "window=4"}));
  const Sweep again = read_sweep(write(text));
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(again.figure.runs[i].set, sweep.figure.runs[i].set);
}

TEST_F(FigureFile, OfASweepIsRefusedWithThePlace) {
  const auto complaint_of = [&](const std::string& from, const std::string& to) {
    try {
      (void)read_sweep(write(replaced(kSweep, from, to)));
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(complaint_of("\"grid\"", "\"gird\""), HasSubstr("figure.toml:7:"));
  EXPECT_THAT(complaint_of("\"grid\"", "\"random\""), HasSubstr("search.samples: this key is missing"));
  EXPECT_THAT(complaint_of("[0.1, 0.2]", "[]"), HasSubstr("search.options.epsilon: must not be empty"));
  EXPECT_THAT(complaint_of("[0.1, 0.2]", "{ low = 1, high = 2 }"),
              HasSubstr("a grid needs a list of values for epsilon"));
  EXPECT_THAT(complaint_of("[0.1, 0.2]", "{ low = 2, high = 1 }"), HasSubstr("must be > low, but is 1"));
  EXPECT_THAT(complaint_of("[0.1, 0.2]", "{ low = 0, high = 1, scale = \"log\" }"),
              HasSubstr("must be > 0 for a logarithmic"));
  EXPECT_THAT(complaint_of("final_return", "return_at"), HasSubstr("rank.rollouts: this key is missing"));
}

TEST(RankSweep, PutsTheBestFirst) {
  Sweep sweep;
  sweep.figure.title = "A sweep";
  const auto rows = rank(sweep, comparison({-5, -6, -7}, {-1, -2, -3}));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].label, "b");
  EXPECT_DOUBLE_EQ(rows[0].score, -2);
  EXPECT_EQ(rows[0].solved, 3U);
  EXPECT_THAT(sweep_csv(sweep, rows), HasSubstr("1,b,-2,3,3,-1 -2 -3,return of the final policy without noise\n"));
}

TEST(SweepCsv, ReadsBackForAnyOption) {
  Sweep sweep;
  sweep.figure.title = "A sweep, of two";
  const std::string label = "hidden=[10,10] activation=\"tanh\"";
  const auto rows = test::read_csv(sweep_csv(sweep, {{.label = label, .values = {-1.5, -2}, .score = -1.75}}));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].front(), "rank");
  EXPECT_EQ(rows[1], (std::vector<std::string>{"1", label, "-1.75", "0", "2", "-1.5 -2",
                                               "return of the final policy without noise"}));
}

TEST(BundledFigures, AreValidAndFoundByName) {
  const auto figures = bundled_figures();
  EXPECT_GE(figures.size(), 2U);
  for (const fs::path& file : figures) {
    const Figure figure = read_figure(find_figure(file.stem().string()));
    EXPECT_FALSE(figure.claims.empty()) << file;
    EXPECT_GE(figure.seeds, 10) << file;
    EXPECT_GE(figure.first_seed, 100U) << file << ": seeds below 100 are for tuning";
    for (const bool quick : {false, true})
      EXPECT_FALSE(plan_figure(figure, {.seeds = {}, .quick = quick, .folder = "nowhere"}).empty());
  }
  EXPECT_THROW((void)find_figure("moto-fig9"), InputError);
}

TEST(FigurePage, HasEveryRunAndEveryClaimWithItsNumbers) {
  FigureResult result{.comparison = comparison({-1, -2, -3, -4, -5}, {-6, -7, -8, -9, -10}), .verdicts = {}};
  result.verdicts.push_back(judge(claim(Claim::Kind::better), result.comparison));
  Figure figure;
  figure.title = "A figure";
  const std::string page = figure_page(figure, result, "kedge reproduce it");
  for (const char* text : {"# A figure", "kedge reproduce it", "| a | 5 | -3 [", "5 of 5", "**holds**", "a beats b",
                           "P(better) 1.00 [0.64, 1.00]; 5 and 5 seeds"})
    EXPECT_THAT(page, HasSubstr(text));
  EXPECT_THAT(final_csv(result.comparison), HasSubstr("\"b\",4,finished,3,30,-10,1\n"));
  EXPECT_THAT(verdicts_csv(result.verdicts), HasSubstr("\"a beats b\",\"here\",holds,\"a\",\"b\","));
}

TEST(FigureTables, ReadBackForAnyText) {
  const std::string title = "Swing-up, \"fast\" [Akrour2018, Fig. 1c]", label = "GPS, 25 N m";
  FigureResult result{.comparison = comparison({-1, -2, -3, -4, -5}, {-6, -7, -8, -9, -10}), .verdicts = {}};
  result.comparison.task = title;
  result.comparison.groups[0].label = label;
  result.comparison.groups[0].curve.resize(2);
  Claim claims = claim(Claim::Kind::better);
  claims.run = label;
  claims.text = "it pays, \"much\"";
  result.verdicts.push_back(judge(claims, result.comparison));

  const auto curves = test::read_csv(comparison_csv(result.comparison));
  ASSERT_EQ(curves.size(), 3U);
  EXPECT_EQ(curves[1][0], title);
  EXPECT_EQ(curves[1][1], label);
  const auto finals = test::read_csv(final_csv(result.comparison));
  ASSERT_EQ(finals.size(), 11U);
  EXPECT_EQ(finals[1][0], label);
  const auto verdicts = test::read_csv(verdicts_csv(result.verdicts));
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[1][0], claims.text);
  EXPECT_EQ(verdicts[1][2], "holds");
  EXPECT_EQ(verdicts[1][3], label);
}

}  // namespace
}  // namespace kedge
