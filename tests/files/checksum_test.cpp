#include "kedge/files/checksum.h"

#include <gtest/gtest.h>

namespace kedge {
namespace {

/// Bit by bit, as the definition has it.
template <class Word>
Word plain_crc(std::string_view bytes, Word polynomial) {
  Word crc = ~Word{0};
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : Word{0});
  }
  return ~crc;
}

TEST(Checksum, GivesThePublishedCheckValues) {
  EXPECT_EQ(crc64("123456789"), 0x995dc9bbdf1939fau);  // CRC-64/XZ, reveng catalogue
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);         // CRC-32C, RFC 3720 B.4 has the next two
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Checksum, EqualsTheBitwiseDefinitionAtEveryLength) {
  std::string bytes;
  for (int n = 0; n < 100; ++n) {
    EXPECT_EQ(crc64(bytes), plain_crc<std::uint64_t>(bytes, 0xc96c5795d7870f42)) << n;
    EXPECT_EQ(crc32c(bytes), plain_crc<std::uint32_t>(bytes, 0x82f63b78)) << n;
    bytes += static_cast<char>(37 * n + 11);
  }
}

TEST(Digest, NamesATextBySixteenDigits) {
  EXPECT_EQ(digest("123456789"), "995dc9bbdf1939fa");
  EXPECT_EQ(digest("").size(), 16u);
  EXPECT_NE(digest("a = 1\n"), digest("a = 2\n"));
}

}  // namespace
}  // namespace kedge
