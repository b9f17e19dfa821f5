#include "kedge/files/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kedge/core/random.h"

namespace kedge {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

TEST(JsonText, EscapesQuotesAndTags) {
  EXPECT_EQ(json_text("a\"b\\c\n</script>"), "\"a\\\"b\\\\c\\n\\u003c/script>\"");
  EXPECT_EQ(json_text({{"<!--", "<"}}), "{\"\\u003c!--\":\"\\u003c\"}");
  EXPECT_EQ(json_text("größer ✓ 😀"), "\"größer ✓ 😀\"");
}

TEST(JsonText, ReplacesInvalidUtf8) {
  // A lone continuation, an overlong "/", half of a pair, the beginning of a sequence.
  for (const std::string bytes : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xff"}) {
    const std::string text = json_text("a" + bytes + "b");
    EXPECT_EQ(Json::parse(text).get<std::string>().find_first_not_of("ab\xef\xbf\xbd"), std::string::npos) << text;
    EXPECT_NE(text.find("\xef\xbf\xbd"), std::string::npos) << text;
  }
}

TEST(JsonText, KeepsTheOrderOfMembers) { EXPECT_EQ(json_text({{"b", 1}, {"a", 2}}), "{\"b\":1,\"a\":2}"); }

TEST(JsonNumber, ReadsBackAsTheSame) {
  Stream random(1, 0, 0, 0);
  std::vector<double> values{0.1,
                             1e-300,
                             -1.7976931348623157e308,
                             4.9e-324,
                             3.0,
                             1e15,
                             1e16,
                             1e22,
                             -0.0,
                             5e-5,
                             9007199254740992.0,
                             1.0 / 3,
                             123456789012345678.0};
  for (int i = 0; i < 1000; ++i) values.push_back(random.normal() * std::pow(10, std::floor(20 * random.normal())));
  for (const double value : values) {
    const double read = Json::parse(json_text(json_number(value))).get<double>();
    EXPECT_EQ(read, value);
    EXPECT_EQ(std::signbit(read), std::signbit(value));
  }
  EXPECT_EQ(json_text(json_number(3.0)), "3");
  EXPECT_EQ(json_text(json_number(-12.5)), "-12.5");
}

TEST(JsonNumber, OfAFloatHasNoMoreDigitsThanTheFloat) {
  EXPECT_EQ(json_text(json_number(0.1F)), "0.1");
  EXPECT_EQ(json_text(json_number(-2.0F)), "-2");
}

TEST(JsonNumber, IsNullIfNotFinite) {
  for (const double value : {nan, infinity, -infinity}) {
    EXPECT_EQ(json_text(json_number(value)), "null");
    EXPECT_EQ(json_text(json_number(static_cast<float>(value))), "null");
  }
  EXPECT_EQ(json_text(json_array(Eigen::Vector3d(1.5, infinity, 2))), "[1.5,null,2]");
  EXPECT_EQ(json_text(json_array(VectorXd())), "[]");
}

}  // namespace
}  // namespace kedge
