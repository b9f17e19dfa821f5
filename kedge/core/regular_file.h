// Reading files that somebody else chose: nothing but a regular file is ever opened, so that no FIFO blocks, no device is
// touched, and no file that replaces another between check and use gets through.
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

enum class Links { follow, refuse };  ///< of the path's last component

/// Opens a regular file for reading. The file is found, looked at and opened by one descriptor.
/// @param folder  that a relative path starts from: a descriptor, or -1 for the working directory
/// @throws InputError "<path>: there is no such file", "... is a link", "... is not a regular file, but a FIFO", ...
FileDescriptor open_regular_file(const std::filesystem::path& path, Links links = Links::follow, int folder = -1);

/// The place of an open file, absolute and without links.
/// @throws SystemError if the system does not say it
std::filesystem::path real_path(const FileDescriptor& file);

/// The bytes of an open regular file. @param name of the file, for messages
/// @throws InputError "<name>: has N bytes, but must have at most M"
/// @throws SystemError if reading fails
std::string read_bytes(const FileDescriptor& file, std::uint64_t max_bytes, const std::string& name);

/// `open_regular_file`, then `read_bytes`.
std::string read_regular_file(const std::filesystem::path& path, std::uint64_t max_bytes, Links links = Links::follow);

}  // namespace kedge
