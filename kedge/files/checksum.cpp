#include "kedge/files/checksum.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace kedge {

namespace {

/// Tables of a reflected CRC for eight bytes at a time: table[j][b] is the effect of byte b followed by j zero bytes.
template <std::unsigned_integral Word>
using Tables = std::array<std::array<Word, 256>, 8>;

template <std::unsigned_integral Word>
constexpr Tables<Word> make_tables(Word polynomial) {
  Tables<Word> table{};
  for (std::size_t b = 0; b < 256; ++b) {
    Word crc = static_cast<Word>(b);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : Word{0});
    table[0][b] = crc;
  }
  for (std::size_t j = 1; j < 8; ++j)
    for (std::size_t b = 0; b < 256; ++b) table[j][b] = (table[j - 1][b] >> 8) ^ table[0][table[j - 1][b] & 0xff];
  return table;
}

template <std::unsigned_integral Word>
Word crc(const Tables<Word>& table, std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  Word crc = ~Word{0};
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t x = 0;
    std::memcpy(&x, p, 8);
    x ^= crc;
    crc = 0;
    for (std::size_t j = 0; j < 8; ++j) crc ^= table[7 - j][(x >> (8 * j)) & 0xff];
  }
  for (; left > 0; --left, ++p) crc = (crc >> 8) ^ table[0][(crc ^ static_cast<unsigned char>(*p)) & 0xff];
  return ~crc;
}

constexpr Tables<std::uint64_t> crc64_tables = make_tables<std::uint64_t>(0xc96c5795d7870f42);
constexpr Tables<std::uint32_t> crc32c_tables = make_tables<std::uint32_t>(0x82f63b78);

}  // namespace

std::uint64_t crc64(std::string_view bytes) { return crc(crc64_tables, bytes); }

std::uint32_t crc32c(std::string_view bytes) { return crc(crc32c_tables, bytes); }

std::string digest(std::string_view text) { return fmt::format("{:016x}", crc64(text)); }

}  // namespace kedge
