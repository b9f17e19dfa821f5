#include "kedge/files/csv.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <vector>

#include "tests/support/csv.h"

namespace kedge {
namespace {

using test::read_csv;
using Rows = std::vector<std::vector<std::string>>;

TEST(Csv, QuotesTextOnlyWhereRfc4180AsksForIt) {
  EXPECT_EQ(csv_line({"plain", "two words", ""}), "plain,two words,\n");
  EXPECT_EQ(csv_line({"a,b", "say \"so\"", "two\nlines", "\r"}), "\"a,b\",\"say \"\"so\"\"\",\"two\nlines\",\"\r\"\n");
  EXPECT_EQ(csv_line({CsvCell::quoted("plain"), CsvCell::quoted("")}), "\"plain\",\"\"\n");
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
  EXPECT_EQ(read_csv(text), expected);
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
