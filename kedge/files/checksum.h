// Checksums that the file formats need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kedge {

/// CRC-64/XZ: finds every damaged stretch of up to 64 bits, and others but for one in 2^64.
std::uint64_t crc64(std::string_view bytes);

/// CRC-32C (Castagnoli), as the records of TensorFlow use it.
std::uint32_t crc32c(std::string_view bytes);

/// 16 hexadecimal digits that name a text: equal texts have equal digests, different ones practically never.
/// Guards against mistakes, not against forgery.
std::string digest(std::string_view text);

}  // namespace kedge
