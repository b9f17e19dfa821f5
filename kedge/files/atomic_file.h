// Files that are whole or absent. A reader never sees half a file, a failed write leaves what was there, and every
// failure of the disk is a SystemError of one line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace kedge {

/// What a completed write survives. Either way it is atomic: a process killed at any instruction leaves the old bytes
/// or the new ones.
enum class Durability {
  process,  ///< the death of the process; the bytes may still be in the kernel's cache
  power,    ///< also the loss of power: file and directory are synced, which costs milliseconds
};

/// The bytes of a regular file.
/// @throws InputError if the file is missing, not a regular file, not readable, or larger than max_bytes
/// @throws SystemError if reading fails
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// Replaces or creates `path`: a temporary file in the same directory, then rename.
/// @throws SystemError "<path>: cannot be written: <reason>"; then `path` is as it was and the temporary file is gone
void write_file(const std::filesystem::path& path, std::string_view bytes, Durability durability);

/// A file that only grows, by whole records.
class AppendFile {
 public:
  AppendFile() = default;
  /// Opens or creates the file and cuts it to `length`: what a killed process wrote behind that is not wanted.
  /// @throws InputError if the file is shorter than `length`: it is damaged
  /// @throws SystemError if it cannot be opened or cut
  AppendFile(std::filesystem::path path, std::uint64_t length);
  ~AppendFile();
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;

  /// Appends all bytes, or none. @throws SystemError
  void append(std::string_view bytes);
  /// Takes back what was appended since the file had this length. @throws SystemError
  void truncate(std::uint64_t length);
  /// Waits until the bytes are on the disk. @throws SystemError
  void sync();

  [[nodiscard]] std::uint64_t length() const { return length_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t length_ = 0;
};

}  // namespace kedge
