#include "kedge/files/json.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "kedge/pages/embedded.h"

namespace kedge {
namespace {

TEST(Json, EscapesWhatWouldEndATextOrAPage) {
  EXPECT_EQ(json_string("a\"b\\c\n</script>\x7f"), "\"a\\\"b\\\\c\\u000a\\u003c/script>\\u007f\"");
  EXPECT_EQ(json_string("größer ✓ 😀"), "\"größer ✓ 😀\"");
  // Not UTF-8: a lone continuation, an overlong "/", half of a pair, the beginning of a sequence.
  EXPECT_EQ(json_string("\x80|\xc0\xaf|\xed\xa0\x80|\xe2\x82"),
            "\"\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\"");
}

TEST(Json, NumbersReadBackAsTheSame) {
  for (const double value : {0.1, 1e-300, -1.7976931348623157e308, 4.9e-324, 3.0})
    EXPECT_EQ(std::strtod(json_number(value).c_str(), nullptr), value);
  EXPECT_EQ(json_number(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(json_array(Eigen::Vector2d(1.5, std::numeric_limits<double>::infinity())), "[1.5,null]");
  EXPECT_EQ(json_array(std::vector<std::string>{"a", "<"}), "[\"a\",\"\\u003c\"]");
}

TEST(Pages, Base64IsThatOfRfc4648) {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text);
  EXPECT_EQ(base64(std::string("\xff\xfe\x00", 3)), "//4A");
}

TEST(Pages, PartsComeBeforeTheProgramOfThePage) {
  EXPECT_EQ(page_with("<p><!-- data --></p>", {{"a", "application/json", "{}"}, {"b", "text/plain", "x"}}),
            "<p><script id=\"a\" type=\"application/json\">{}</script>\n<script id=\"b\" "
            "type=\"text/plain\">x</script>\n</p>");
  EXPECT_THROW(page_with("<p></p>", {}), std::runtime_error);
}

}  // namespace
}  // namespace kedge
