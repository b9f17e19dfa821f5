#include "kedge/core/regular_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "kedge/core/errors.h"
#include "kedge/core/path_error.h"
#include "kedge/core/text.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

const char* kind(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "a folder";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    default: return "a device";
  }
}

/// The name by which the kernel finds an open file again.
std::string own_name(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

FileDescriptor open_regular_file(const fs::path& path, Links links, int folder, const std::string& name) {
  const auto fail = [&](const std::string& why) {
    throw InputError(fmt::format("{}: {}", one_line(name.empty() ? path.string() : name), why));
  };
  const auto fail_by = [&](int error) {
    fail_by_path(fmt::format("{}: cannot be read", one_line(name.empty() ? path.string() : name)), error);
  };
  // O_PATH finds the file without opening it, so that a FIFO or a device notices nothing.
  const int flags = O_PATH | O_CLOEXEC | (links == Links::refuse ? O_NOFOLLOW : 0);
  const FileDescriptor found(::openat(folder < 0 ? AT_FDCWD : folder, path.c_str(), flags));
  if (found.number() < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) fail("there is no such file");
    fail_by(errno);
  }
  struct stat info = {};
  if (::fstat(found.number(), &info) != 0) fail_by(errno);
  if (S_ISLNK(info.st_mode)) fail("is a link, but must be a regular file");
  if (!S_ISREG(info.st_mode)) fail(fmt::format("is not a regular file, but {}", kind(info.st_mode)));
  FileDescriptor file(::open(own_name(found.number()).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.number() < 0) fail_by(errno);
  return file;
}

fs::path real_path(const FileDescriptor& file) {
  std::error_code error;
  fs::path path = fs::read_symlink(own_name(file.number()), error);
  if (error) throw SystemError(fmt::format("{}: cannot be read: {}", own_name(file.number()), error.message()));
  return path;
}

std::string read_bytes(const FileDescriptor& file, std::uint64_t max_bytes, const std::string& name) {
  struct stat info = {};
  if (::fstat(file.number(), &info) != 0)
    throw SystemError(fmt::format("{}: cannot be read: {}", one_line(name), reason(errno)));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes)
    throw InputError(fmt::format("{}: has {} bytes, but must have at most {}", one_line(name), size, max_bytes));
  // What the kernel makes up, below /proc and /sys, has no size or an invented one.
  struct statfs system = {};
  if (::fstatfs(file.number(), &system) == 0 && (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC))
    throw InputError(fmt::format("{}: is not a file on a disk, but one of the kernel's", one_line(name)));
  std::string bytes(static_cast<std::size_t>(size), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n = ::pread(file.number(), bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw SystemError(fmt::format("{}: cannot be read: {}", one_line(name), reason(errno)));
    if (n == 0) break;  // it was cut while we read: the caller sees what is there
    filled += static_cast<std::size_t>(n);
  }
  bytes.resize(filled);
  return bytes;
}

std::string read_regular_file(const fs::path& path, std::uint64_t max_bytes, Links links) {
  return read_bytes(open_regular_file(path, links), max_bytes, path.string());
}

}  // namespace kedge
