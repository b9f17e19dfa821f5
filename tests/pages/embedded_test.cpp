#include "kedge/pages/embedded.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace kedge {
namespace {

TEST(Pages, Base64FollowsRfc4648) {
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
