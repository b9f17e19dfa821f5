#include "kedge/files/event_file.h"

#include <bit>
#include <cstring>
#include <optional>

#include "kedge/files/checksum.h"

namespace kedge {

namespace {

static_assert(std::endian::native == std::endian::little);

// Tags of protobuf: field number * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
constexpr char event_wall_time = 1 * 8 + 1, event_step = 2 * 8 + 0, event_file_version = 3 * 8 + 2,
               event_summary = 5 * 8 + 2;
constexpr char summary_value = 1 * 8 + 2, value_tag = 1 * 8 + 2, value_simple_value = 2 * 8 + 5;

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <class T>
T parse(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

std::string message(char tag, std::string_view bytes) { return tag + varint(bytes.size()).append(bytes); }

/// A CRC of data that contain CRCs is weak: TensorFlow stores it rotated and shifted.
std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

/// The message of the record at the beginning of `bytes`; nullopt if there is no whole record.
std::optional<std::string_view> first_record(std::string_view bytes) {
  if (bytes.size() < 16 || parse<std::uint32_t>(bytes.substr(8)) != masked_crc(bytes.substr(0, 8))) return std::nullopt;
  const auto length = parse<std::uint64_t>(bytes);
  if (length > bytes.size() - 16) return std::nullopt;
  const std::string_view content = bytes.substr(12, length);
  if (parse<std::uint32_t>(bytes.substr(12 + length)) != masked_crc(content)) return std::nullopt;
  return content;
}

/// Step of an event that `scalar_event` made.
std::optional<std::uint64_t> step_of(std::string_view event) {
  if (event.size() < 11 || event[9] != event_step) return std::nullopt;
  std::uint64_t step = 0;
  for (std::size_t i = 10, shift = 0; i < event.size() && shift < 63; ++i, shift += 7) {
    const auto byte = static_cast<unsigned char>(event[i]);
    step |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return step;
  }
  return std::nullopt;
}

}  // namespace

std::string tf_record(std::string_view content) {
  const std::string length = raw(static_cast<std::uint64_t>(content.size()));
  return length + raw(masked_crc(length)).append(content) + raw(masked_crc(content));
}

std::string event_file_start(double wall_time) {
  return tf_record(event_wall_time + raw(wall_time) + message(event_file_version, "brain.Event:2"));
}

std::string scalar_event(std::int64_t step, double wall_time, std::span<const Metric> scalars) {
  std::string summary;
  for (const auto& [name, value] : scalars)
    summary += message(summary_value, message(value_tag, name) + value_simple_value + raw(static_cast<float>(value)));
  return tf_record(event_wall_time + raw(wall_time) + event_step + varint(static_cast<std::uint64_t>(step)) +
                   message(event_summary, summary));
}

std::size_t event_prefix(std::string_view bytes, std::int64_t steps) {
  std::size_t length = 0;
  while (const auto content = first_record(bytes.substr(length))) {
    const auto step = step_of(*content);
    if (length > 0 && (!step || *step >= static_cast<std::uint64_t>(steps))) break;
    length += content->size() + 16;
  }
  return length;
}

}  // namespace kedge
