#include "kedge/files/toml_value.h"

#include <gmock/gmock.h>

#include "kedge/core/errors.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

using example::message_of;
using testing::EndsWith;

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string complaint(const std::string& text) {
  return message_of<InputError>([&] { parse_toml(text, "file.toml"); });
}

// The parser of the library recurses for every level, and so does the destructor of what it built.
TEST(ParseToml, RefusesTooDeepNesting) {
  const std::string key = "file.toml:2: a key is more than 16 levels deep";
  const std::string brackets = "file.toml:2: arrays and tables are more than 16 levels deep";
  for (const int levels : {17, 1000, 1000000}) {
    const std::string parts = repeated("a.", levels - 1) + "a";
    EXPECT_EQ(complaint("\n" + parts + " = 1"), key);
    EXPECT_EQ(complaint("\n[" + parts + "]"), key);
    EXPECT_EQ(complaint("\n[[" + parts + "]]"), key);
    EXPECT_EQ(complaint("\n" + repeated("'a' . ", levels - 1) + "\"a\" = 1"), key);
    EXPECT_EQ(complaint("\nx = {" + parts + " = 1}"), key);
    EXPECT_EQ(complaint("\nx = " + repeated("[", levels) + repeated("]", levels)), brackets);
    EXPECT_EQ(complaint("\nx = " + repeated("{a=", levels) + "1" + repeated("}", levels)), brackets);
    EXPECT_EQ(complaint("\nx = " + repeated("[{a=", levels / 2 + 1)), brackets);
  }
}

TEST(ParseToml, CountsNoDotsAndBracketsInTextsAndComments) {
  const std::string dots = repeated(".", 100), open = repeated("[{", 100);
  for (const std::string& text : {dots, open, dots + "# " + open, R"(\" ... )" + dots, repeated(R"(\\)", 3) + dots}) {
    EXPECT_EQ(parse_toml("x = \"" + text + "\"", "").size(), 1U) << text;
    EXPECT_EQ(parse_toml("x = '''" + text + "\n'" + text + "'''", "").size(), 1U) << text;
    EXPECT_EQ(parse_toml("x = \"\"\"" + text + "\n\"" + text + "\"\"\"\ny = 1", "").size(), 2U) << text;
    EXPECT_EQ(parse_toml("# " + text + "\nx = 1 # " + text, "").size(), 1U) << text;
  }
  EXPECT_EQ(parse_toml("x = \"\"\"a\"\"\"\"\"\ny.z = [1.5, 2.5,\n3.5]", "").size(), 2U)
      << "quotes at the end of a text";
  EXPECT_EQ(parse_toml("x = [" + repeated("1.5,", 1000) + "]\n" + repeated("# a.b\n", 1000), "").size(), 1U);
  EXPECT_EQ(parse_toml(repeated("a.", 15) + "a = 1", "").size(), 1U);
}

TEST(ParseToml, NamesThePlaceOfAMistake) {
  EXPECT_THAT(complaint("a = 1\nb = ]"), testing::StartsWith("file.toml:2:5: not TOML: "));
  // Behind a mistake anything may stand: the parser does not get there.
  EXPECT_THAT(complaint("a = \"open\nb = 1"), testing::StartsWith("file.toml:1:"));
}

TEST(OverrideValue, RefusesTooDeepNesting) {
  toml::table document;
  const auto set = [&](const std::string& key, const std::string& value) {
    return message_of<InputError>([&] { override_value(document, key, value, ""); });
  };
  EXPECT_THAT(set(repeated("a.", 100000) + "a", "1"), EndsWith("the key has more than 16 parts"));
  EXPECT_THAT(set("a", repeated("[", 100000)), EndsWith("arrays and tables are more than 16 levels deep"));
  override_value(document, repeated("a.", 15) + "a", "1", "");
}

}  // namespace
}  // namespace kedge
