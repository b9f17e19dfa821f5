#include "kedge/files/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <vector>

#include "kedge/core/errors.h"
#include "tests/support/csv.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using Rows = std::vector<std::vector<std::string>>;

TEST(Csv, QuotesTextOnlyWhereRfc4180AsksForIt) {
  EXPECT_EQ(csv_line({"plain", "two words", ""}), "plain,two words,\n");
  EXPECT_EQ(csv_line({"a,b", "say \"so\"", "two\nlines", "\r"}), "\"a,b\",\"say \"\"so\"\"\",\"two\nlines\",\"\r\"\n");
  EXPECT_EQ(csv_line({CsvCell::quoted("plain"), CsvCell::quoted("")}), "\"plain\",\"\"\n");
}

/// The rows as the library reads them from a file.
Rows rows_of(const std::string& text) {
  const TemporaryFolder folder;
  return read_csv(folder.write("table.csv", text));
}

TEST(Csv, ReadsBackTheSameTexts) {
  const std::vector<std::string> texts{"", ",", "\"", "\"\"", "a\"b,c", "\n", "größer, ✓", " spaces ", ",\n\","};
  std::string text = csv_line({"first", "second"});
  Rows expected{{"first", "second"}};
  for (const std::string& a : texts)
    for (const std::string& b : texts) {
      text += csv_line({a, b});
      expected.push_back({a, b});
    }
  EXPECT_EQ(test::read_csv(text), expected);
  EXPECT_EQ(rows_of(text), expected);
}

TEST(Csv, ThatIsNoneIsRefusedWithTheRow) {
  const auto refusal = [](const std::string& text) {
    try {
      static_cast<void>(rows_of(text));
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  using testing::EndsWith;
  EXPECT_THAT(refusal(""), EndsWith("table.csv: row 1: the header is missing"));
  EXPECT_THAT(refusal("a,b"), EndsWith("table.csv: row 1: the line has no end"));
  EXPECT_THAT(refusal("a,b\n1,2,3\n"), EndsWith("table.csv: row 2: there are 3 entries, but the header has 2"));
  EXPECT_THAT(refusal("a,b\n1,\"2\n"), EndsWith("table.csv: row 2: a quote is not closed"));
  EXPECT_THAT(refusal("a,b\n1,\"2\"3\n"), EndsWith("table.csv: row 2: there is text beside a quote"));
  EXPECT_THAT(refusal("a,b\n1,2\"3\"\n"), EndsWith("table.csv: row 2: there is text beside a quote"));
}

TEST(Csv, NumbersReadBackAsTheSame) {
  for (const double value : {0.1, 1e-300, -1.7976931348623157e308, 4.9e-324, 3.0, 1e22}) {
    const std::string line = csv_line({value});
    EXPECT_EQ(std::strtod(line.c_str(), nullptr), value) << line;
  }
  constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(csv_line({infinity, -infinity, nan, -nan, -0.0, 3.0}), "inf,-inf,nan,nan,-0,3\n");
  EXPECT_EQ(csv_line({-3, std::uint64_t{18446744073709551615U}, std::size_t{7}}), "-3,18446744073709551615,7\n");
}

}  // namespace
}  // namespace kedge
