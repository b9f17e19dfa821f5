// Reading files of unknown origin. Only regular files are opened, so that no FIFO blocks and no device is touched. A file
// that replaces another between check and use is detected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

namespace kedge {

/// Owns an open file descriptor; -1: none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  [[nodiscard]] int number() const { return number_; }

 private:
  int number_ = -1;
};

enum class Links { follow, refuse };  ///< treatment of a symbolic link as the last component of a path

/// Opens a regular file for reading. The file is found, looked at and opened by one descriptor.
/// @param folder  that a relative path starts from: a descriptor, or -1 for the working directory
/// @param name    of the file in messages; empty: its path
/// @throws InputError "<path>: there is no such file", "... is a link", "... is not a regular file, but a FIFO", or if
///         the user may not read it
/// @throws SystemError if the system fails to open it
FileDescriptor open_regular_file(const std::filesystem::path& path, Links links = Links::follow, int folder = -1,
                                 const std::string& name = "");

/// Returns the absolute path of an open file, without symbolic links.
/// @throws SystemError if the system does not know it
std::filesystem::path real_path(const FileDescriptor& file);

/// Returns the bytes of an open regular file. @param name of the file, for messages
/// @throws InputError "<name>: has N bytes, but must have at most M"
/// @throws SystemError if reading fails
std::string read_bytes(const FileDescriptor& file, std::uint64_t max_bytes, const std::string& name);

/// Returns the bytes of a regular file: `open_regular_file`, then `read_bytes`.
std::string read_regular_file(const std::filesystem::path& path, std::uint64_t max_bytes, Links links = Links::follow);

}  // namespace kedge
