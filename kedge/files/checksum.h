// Checksums that the file formats need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kedge {

/// Returns the CRC-64/XZ. It finds every damaged stretch of up to 64 bits, and misses one in 2^64 of the others.
std::uint64_t crc64(std::string_view bytes);

/// Returns the CRC-32C (Castagnoli), as in TensorFlow's records.
std::uint32_t crc32c(std::string_view bytes);

/// Returns 16 hexadecimal digits that identify a text: equal texts have equal digests, different ones practically never.
/// Guards against mistakes, not against forgery.
std::string digest(std::string_view text);

}  // namespace kedge
