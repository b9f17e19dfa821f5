#include "kedge/files/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kedge/core/errors.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_write(const fs::path& path, int error) {
  throw SystemError(fmt::format("{}: cannot be written: {}", path.string(), reason(error)));
}

/// Writes all bytes at `offset`. @return 0, or errno
int write_at(int descriptor, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return 0;
}

/// Makes a rename durable. File systems that cannot sync a directory say EINVAL and need none. @return 0, or errno
int sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const int error = ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  ::close(descriptor);
  return error;
}

/// Creates `path` with these bytes. @return 0, or errno
int write_new(const fs::path& path, std::string_view bytes, Durability durability) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) return errno;
  int error = write_at(descriptor, bytes, 0);
  if (error == 0 && durability == Durability::power && ::fsync(descriptor) != 0) error = errno;
  if (::close(descriptor) != 0 && error == 0) error = errno;  // network file systems report a full disk here
  return error;
}

}  // namespace

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  // O_NONBLOCK: a pipe without a writer must not hang.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) throw InputError(fmt::format("{}: cannot be read: {}", path.string(), reason(errno)));
  const auto close_and = [&](auto error) {
    ::close(descriptor);
    return error;
  };
  struct stat info = {};
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode))
    throw close_and(InputError(fmt::format("{}: is not a regular file", path.string())));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes)
    throw close_and(
        InputError(fmt::format("{}: has {} bytes, but must have at most {}", path.string(), size, max_bytes)));

  std::string bytes(static_cast<std::size_t>(size), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n = ::read(descriptor, bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw close_and(SystemError(fmt::format("{}: cannot be read: {}", path.string(), reason(errno))));
    if (n == 0) break;  // it was cut while we read: the caller sees what is there
    filled += static_cast<std::size_t>(n);
  }
  ::close(descriptor);
  bytes.resize(filled);
  return bytes;
}

void write_file(const fs::path& path, std::string_view bytes, Durability durability) {
  std::error_code error;
  const auto type = fs::symlink_status(path, error).type();
  if (type == fs::file_type::symlink && fs::exists(path, error))
    return write_file(fs::canonical(path), bytes, durability);
  if (type != fs::file_type::regular && type != fs::file_type::not_found && type != fs::file_type::none)
    throw SystemError(fmt::format("{}: cannot be written: it exists and is not a regular file", path.string()));

  // The process id keeps two writers of one file apart.
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path temporary = directory / fmt::format(".{}.{}.tmp", path.filename().string(), ::getpid());
  int failure = write_new(temporary, bytes, durability);
  if (failure == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) failure = errno;
  if (failure != 0) {
    ::unlink(temporary.c_str());
    fail_write(path, failure);
  }
  if (durability == Durability::power)
    if (const int unsynced = sync_directory(directory)) fail_write(path, unsynced);
}

AppendFile::AppendFile(fs::path path, std::uint64_t length) : path_(std::move(path)), length_(length) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_write(path_, errno);
  struct stat info = {};
  const bool regular = ::fstat(descriptor_, &info) == 0 && S_ISREG(info.st_mode);
  const bool whole = regular && static_cast<std::uint64_t>(info.st_size) >= length;
  const int error = whole && ::ftruncate(descriptor_, static_cast<off_t>(length)) != 0 ? errno : 0;
  if (whole && error == 0) return;
  ::close(descriptor_);
  if (!regular) throw SystemError(fmt::format("{}: cannot be written: it is not a regular file", path_.string()));
  if (error != 0) fail_write(path_, error);
  throw InputError(
      fmt::format("{}: truncated: has {} bytes, but must have at least {}", path_.string(), info.st_size, length));
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), length_(other.length_) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(length_, other.length_);
  return *this;
}

void AppendFile::append(std::string_view bytes) {
  if (const int error = write_at(descriptor_, bytes, length_)) {
    // A part may have been written. Should cutting fail too, the next append or the next opening removes it.
    [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, static_cast<off_t>(length_));
    fail_write(path_, error);
  }
  length_ += bytes.size();
}

void AppendFile::truncate(std::uint64_t length) {
  length_ = length;
  if (::ftruncate(descriptor_, static_cast<off_t>(length)) != 0) fail_write(path_, errno);
}

void AppendFile::sync() {
  if (::fsync(descriptor_) != 0) fail_write(path_, errno);
}

}  // namespace kedge
