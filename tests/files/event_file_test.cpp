#include "kedge/files/event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>

namespace kedge {
namespace {

// A reader that shares nothing with the writer.

std::uint32_t plain_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

std::uint64_t number(std::string_view bytes, std::size_t size) {
  if (bytes.size() < size) throw std::runtime_error("too short");
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::uint32_t unmasked(std::uint64_t masked) {
  const auto rotated = static_cast<std::uint32_t>(masked) - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

std::vector<std::string> records(std::string_view file) {
  std::vector<std::string> all;
  while (!file.empty()) {
    const std::uint64_t length = number(file, 8);
    if (unmasked(number(file.substr(8), 4)) != plain_crc32c(file.substr(0, 8))) throw std::runtime_error("bad length");
    const std::string_view content = file.substr(12, length);
    if (unmasked(number(file.substr(12 + length), 4)) != plain_crc32c(content)) throw std::runtime_error("bad content");
    all.emplace_back(content);
    file.remove_prefix(16 + length);
  }
  return all;
}

/// Fields of a protobuf message: number -> contents (bytes, or the little-endian bytes of a number).
std::multimap<int, std::string> fields(std::string_view message) {
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const std::uint64_t byte = number(message, 1);
      message.remove_prefix(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const auto take = [&](std::size_t size) {
    if (message.size() < size) throw std::runtime_error("too short");
    const std::string bytes(message.substr(0, size));
    message.remove_prefix(size);
    return bytes;
  };
  std::multimap<int, std::string> all;
  while (!message.empty()) {
    const std::uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0: {
        const std::uint64_t value = varint();
        all.emplace(field, std::string(reinterpret_cast<const char*>(&value), 8));
        break;
      }
      case 1: all.emplace(field, take(8)); break;
      case 2: all.emplace(field, take(varint())); break;
      case 5: all.emplace(field, take(4)); break;
      default: throw std::runtime_error("unknown wire type");
    }
  }
  return all;
}

template <class T>
T as(const std::string& bytes) {
  T value;
  if (bytes.size() != sizeof value) throw std::runtime_error("wrong size");
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string only(const std::multimap<int, std::string>& message, int field) {
  if (message.count(field) != 1) throw std::runtime_error("field " + std::to_string(field));
  return message.find(field)->second;
}

TEST(EventFile, BeginsWithItsVersion) {
  const auto all = records(event_file_start(1234.5));
  ASSERT_EQ(all.size(), 1u);
  const auto event = fields(all[0]);
  EXPECT_EQ(as<double>(only(event, 1)), 1234.5);
  EXPECT_EQ(only(event, 3), "brain.Event:2");
}

TEST(EventFile, HoldsScalarsInFramedRecords) {
  std::string file = event_file_start(1.0);
  for (const int step : {0, 1, 127, 128, 1'000'000})
    file +=
        scalar_event(step, 2.0 + step, std::vector<Metric>{{"return_mean", -1e6 * step}, {std::string(200, 'x'), 0.1}});
  const auto all = records(file);
  ASSERT_EQ(all.size(), 6u);
  const std::vector<std::uint64_t> steps = {0, 1, 127, 128, 1'000'000};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto event = fields(all[i + 1]);
    EXPECT_EQ(as<double>(only(event, 1)), 2.0 + static_cast<double>(steps[i]));
    EXPECT_EQ(as<std::uint64_t>(only(event, 2)), steps[i]);
    const auto summary = fields(only(event, 5));
    ASSERT_EQ(summary.count(1), 2u);
    const auto first = fields(summary.begin()->second), second = fields(std::next(summary.begin())->second);
    EXPECT_EQ(only(first, 1), "return_mean");
    EXPECT_EQ(as<float>(only(first, 2)), static_cast<float>(-1e6 * static_cast<double>(steps[i])));
    EXPECT_EQ(only(second, 1), std::string(200, 'x'));
    EXPECT_EQ(as<float>(only(second, 2)), 0.1f);
  }
}

TEST(EventPrefix, KeepsWholeRecordsOfEarlierSteps) {
  const std::vector<Metric> scalars = {{"a", 1.0}, {"b", 2.0}};
  const std::string start = event_file_start(1.0);
  std::string file = start;
  std::vector<std::size_t> ends = {start.size()};
  for (int step = 0; step < 200; ++step) {
    file += scalar_event(step, 2.0, scalars);
    ends.push_back(file.size());
  }
  for (const int steps : {0, 1, 127, 128, 129, 200, 300})
    EXPECT_EQ(event_prefix(file, steps), ends[static_cast<std::size_t>(std::min(steps, 200))]) << steps;

  const std::string_view cut = std::string_view(file).substr(0, ends[3]);
  for (std::size_t length = 0; length <= cut.size(); ++length) {  // a process can be killed anywhere in a write
    std::size_t whole = 0;
    for (const std::size_t end : ends)
      if (end <= length) whole = end;
    EXPECT_EQ(event_prefix(cut.substr(0, length), 100), whole) << length;
  }
  for (std::size_t at = 0; at < ends[2]; ++at) {  // damage ends the part that is kept
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_LE(event_prefix(damaged, 300), at) << at;
  }
}

}  // namespace
}  // namespace kedge
