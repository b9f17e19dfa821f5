#include "kedge/files/metrics_file.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

using example::Folder;
using example::message_of;
using example::write_bytes;
using testing::ElementsAre;
using testing::EndsWith;

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(Csv, PutsTheIterationFirst) {
  const std::vector<Metric> metrics = {{"return_mean", -12.5}, {"kl_max", 1e-300}, {"r2", -infinity}};
  EXPECT_EQ(csv_header(metrics), "iteration,return_mean,kl_max,r2\n");
  EXPECT_EQ(csv_row(7, metrics), "7,-12.5,1e-300,-inf\n");
  const std::vector<Metric> with = {{"iteration", 7}, {"return_mean", 0.1}};
  EXPECT_EQ(csv_header(with), "iteration,return_mean\n");
  EXPECT_EQ(csv_row(7, with), "7,0.1\n");
  EXPECT_EQ(csv_header({}), "iteration\n");
  EXPECT_EQ(csv_row(7, {}), "7\n");
}

TEST(Csv, ReadsBackTheSameBits) {
  const Folder folder;
  Stream stream(1, 2, 3, 4);
  std::string text;
  std::vector<double> written;
  for (int i = 0; i < 2000; ++i) {
    double value = std::bit_cast<double>(stream.bits());  // any number at all
    if (i == 0) value = 5e-324;
    if (i == 1) value = -0.0;
    if (i == 2) value = std::numeric_limits<double>::max();
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
    const std::vector<Metric> metrics = {{"x", value}};
    if (i == 0) text += csv_header(metrics);
    text += csv_row(i, metrics);
    written.push_back(value);
  }
  write_bytes(folder / "metrics.csv", text);
  const MetricsTable table = read_metrics(folder / "metrics.csv");
  ASSERT_EQ(table.rows.size(), written.size());
  for (std::size_t i = 0; i < written.size(); ++i)
    EXPECT_EQ(std::bit_cast<std::uint64_t>(table.rows[i][1]), std::bit_cast<std::uint64_t>(written[i])) << written[i];
}

TEST(Csv, WritesNaNWithoutItsSign) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(csv_row(0, std::vector<Metric>{{"a", nan}, {"b", -nan}}), "0,nan,nan\n");
}

TEST(CsvPrefix, KeepsWholeRowsOfEarlierIterations) {
  const std::string text = "iteration,x\n0,1\n1,1\n3,1\n4,1\n5,";
  EXPECT_EQ(csv_prefix(text, 0), 12u);
  EXPECT_EQ(csv_prefix(text, 1), 16u);
  EXPECT_EQ(csv_prefix(text, 3), 20u);  // a row may be missing
  EXPECT_EQ(csv_prefix(text, 5), 28u);
  EXPECT_EQ(csv_prefix(text, 9), 28u);
  EXPECT_EQ(csv_prefix("iterat", 9), 0u);
  EXPECT_EQ(csv_prefix("", 9), 0u);
}

TEST(Steps, AreWrittenByStepAndReadBack) {
  const Folder folder;
  const std::vector<StepMetric> steps = {{"kl", {0.05, 1e-17}}, {"r2", {infinity, 0.25}}};
  EXPECT_EQ(steps_csv(7, steps), "step,iteration,kl,r2\n0,7,0.05,inf\n1,7,1e-17,0.25\n");
  EXPECT_EQ(steps_csv(7, {}), "step,iteration\n");
  write_bytes(folder / "s.csv", steps_csv(7, steps));
  const MetricsTable table = read_steps(folder / "s.csv");
  EXPECT_THAT(table.columns, ElementsAre("step", "iteration", "kl", "r2"));
  EXPECT_THAT(table.rows, ElementsAre(ElementsAre(0, 7, 0.05, infinity), ElementsAre(1, 7, 1e-17, 0.25)));
  EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(read_metrics(folder / "s.csv")); }),
              EndsWith("s.csv:1: found first column \"step\", expected \"iteration\""));
}

TEST(Warnings, AreReadBackWhateverTheySay) {
  const Folder folder;
  const std::vector<std::string> texts = {"plain", "", "\"", "a,\"b\"\"", "60 % of \xc3\xa9\xe2\x82\xac"};
  std::string file(warnings_header);
  for (std::size_t i = 0; i < texts.size(); ++i) file += warning_row(static_cast<int>(i / 2), texts[i]);
  write_bytes(folder / "w.csv", file + "9,\"being writ");
  const std::vector<Warning> read = read_warnings(folder / "w.csv");
  ASSERT_EQ(read.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(read[i].iteration, static_cast<int>(i / 2));
    EXPECT_EQ(read[i].text, texts[i]);
  }
  EXPECT_EQ(warning_row(1, "two\nlines"), "1,\"two lines\"\n");
  write_bytes(folder / "w.csv", "");
  EXPECT_TRUE(read_warnings(folder / "w.csv").empty());
}

TEST(Warnings, NameTheDamagedLine) {
  const Folder folder;
  const auto message = [&](const std::string& text) {
    write_bytes(folder / "w.csv", text);
    return message_of<InputError>([&] { static_cast<void>(read_warnings(folder / "w.csv")); });
  };
  EXPECT_THAT(message("other\n"), EndsWith("w.csv:1: found \"other\", expected the columns iteration,warning"));
  for (const std::string row : {"x,\"a\"", "1", "1,a", "1,\"", "1,\"a", ""})
    EXPECT_THAT(message(std::string(warnings_header) + row + "\n"),
                EndsWith(", expected a number and a text in quotes"));
}

TEST(ReadMetrics, GivesColumnsByName) {
  const Folder folder;
  write_bytes(folder / "m.csv", "iteration,return_mean,kl\n0,-3,nan\n1,-2.5,1e-3\n");
  const MetricsTable table = read_metrics(folder / "m.csv");
  EXPECT_THAT(table.columns, ElementsAre("iteration", "return_mean", "kl"));
  EXPECT_EQ(table.column("kl"), 2);
  EXPECT_EQ(table.column("eta"), -1);
  EXPECT_THAT(table.rows.at(1), ElementsAre(1.0, -2.5, 1e-3));
}

TEST(ReadMetrics, LeavesOutARowThatIsBeingWritten) {
  const Folder folder;
  for (const std::string end : {"", "1", "1,", "1,-2.", "1,-2.5"}) {
    write_bytes(folder / "m.csv", "iteration,x\n0,-3\n" + end);
    EXPECT_EQ(read_metrics(folder / "m.csv").rows.size(), 1u) << end;
  }
  write_bytes(folder / "m.csv", "");
  EXPECT_TRUE(read_metrics(folder / "m.csv").columns.empty());
}

TEST(ReadMetrics, NamesTheDamagedLine) {
  const Folder folder;
  const auto message = [&](const std::string& text) {
    write_bytes(folder / "m.csv", text);
    return message_of<InputError>([&] { static_cast<void>(read_metrics(folder / "m.csv")); });
  };
  const std::string header = "iteration,x\n0,1\n";
  EXPECT_THAT(message(header + "1\n"), EndsWith("m.csv:3: found 1 entries, expected 2"));
  EXPECT_THAT(message(header + "1,2,3\n"), EndsWith("m.csv:3: found 3 entries, expected 2"));
  EXPECT_THAT(message(header + "\n"), EndsWith("m.csv:3: found 1 entries, expected 2"));
  EXPECT_THAT(message(header + "1,\n"), EndsWith("m.csv:3: found \"\", expected a number"));
  EXPECT_THAT(message(header + "1,2x\n"), EndsWith("m.csv:3: found \"2x\", expected a number"));
  EXPECT_THAT(message(header + "1, 2\n"), EndsWith("m.csv:3: found \" 2\", expected a number"));
  EXPECT_THAT(message(header + "1,0x10\n"), EndsWith("m.csv:3: found \"0x10\", expected a number"));
  EXPECT_THAT(message(header + "1,1e999\n"), EndsWith("m.csv:3: found \"1e999\", expected a number"));
  EXPECT_THAT(message(header + "0,1\n"),
              EndsWith("m.csv:3: found iteration 0 behind 0, expected whole numbers that rise"));
  EXPECT_THAT(message(header + "1.5,1\n"),
              EndsWith("m.csv:3: found iteration 1.5 behind 0, expected whole numbers that rise"));
  EXPECT_THAT(message(header + "nan,1\n"),
              EndsWith("m.csv:3: found iteration nan behind 0, expected whole numbers that rise"));
  EXPECT_THAT(message("iteration,x\n-1,1\n"),
              EndsWith("m.csv:2: found iteration -1 behind -1, expected whole numbers that rise"));
  EXPECT_THAT(message(std::string(100000, ',') + "\n"),
              EndsWith("m.csv:1: found 100001 entries, expected at most 1000"));
  EXPECT_THAT(message(header + std::string(100000, ',') + "\n"),
              EndsWith("m.csv:3: found 100001 entries, expected at most 1000"));
  EXPECT_THAT(message("x,iteration\n"), EndsWith("m.csv:1: found first column \"x\", expected \"iteration\""));
  EXPECT_THAT(message("iteration,x,x\n"), EndsWith("m.csv:1: found column name \"x\", expected names that differ"));
  EXPECT_THAT(message("iteration,,x\n"), EndsWith("m.csv:1: found column name \"\", expected names that differ"));
  EXPECT_THAT(message(std::string("\0\x01\n", 3)),
              EndsWith("m.csv:1: found first column \"??\", expected \"iteration\""));
}

}  // namespace
}  // namespace kedge
