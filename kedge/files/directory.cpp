#include "kedge/files/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kedge/core/errors.h"
#include "kedge/core/path_error.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail(const std::string& path, const char* what, int error) {
  throw SystemError(fmt::format("{}: {}: {}", path, what, reason(error)));
}

}  // namespace

const char* kind_of_file(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a regular file";
    case S_IFDIR: return "a directory";
    case S_IFLNK: return "a symbolic link";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    default: return "a device";
  }
}

Directory::Directory(fs::path path, FileDescriptor descriptor)
    : path_(std::move(path)), descriptor_(std::make_shared<const FileDescriptor>(std::move(descriptor))) {}

Directory::Directory(fs::path path) : path_(std::move(path)) {
  FileDescriptor opened(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.number() < 0) {
    const int error = errno;
    struct stat info = {};
    if (error == ENOENT) throw InputError(fmt::format("{}: there is no such directory", path_.string()));
    if (error == ENOTDIR && ::stat(path_.c_str(), &info) == 0)
      throw InputError(fmt::format("{}: is not a directory, but {}", path_.string(), kind_of_file(info.st_mode)));
    fail_by_path(fmt::format("{}: cannot be opened", path_.string()), error);
  }
  descriptor_ = std::make_shared<const FileDescriptor>(std::move(opened));
}

std::optional<Directory> Directory::folder(const std::string& name) const {
  FileDescriptor opened(::openat(descriptor(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (opened.number() >= 0) return Directory(path_ / name, std::move(opened));
  const int error = errno;
  const auto info = status(name);
  if (!info) return std::nullopt;
  if (!S_ISDIR(info->st_mode))
    throw InputError(fmt::format("{}: is {}, but must be a directory", path_of(name), kind_of_file(info->st_mode)));
  fail_by_path(fmt::format("{}: cannot be opened", path_of(name)), error);
}

Directory Directory::make_folder(const std::string& name) const {
  if (auto there = folder(name)) return *there;
  if (::mkdirat(descriptor(), name.c_str(), 0777) != 0) {
    const int error = errno;
    if (deleted()) throw SystemError(fmt::format("{}: was deleted meanwhile", path_.string()));
    fail(path_of(name), "cannot be created", error);
  }
  if (auto made = folder(name)) return *made;
  throw SystemError(fmt::format("{}: was deleted meanwhile", path_of(name)));
}

bool Directory::deleted() const {
  struct stat info = {};
  return ::fstat(descriptor(), &info) == 0 && info.st_nlink == 0;
}

std::vector<std::string> Directory::names() const {
  const int again = ::openat(descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = again < 0 ? nullptr : ::fdopendir(again);
  if (stream == nullptr) {
    const int error = errno;
    if (again >= 0) ::close(again);
    if (deleted()) throw SystemError(fmt::format("{}: was deleted meanwhile", path_.string()));
    fail(path_.string(), "cannot be read", error);
  }
  std::vector<std::string> all;
  int error = 0;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(stream);
    error = errno;
    if (entry == nullptr) break;
    if (const std::string name = entry->d_name; name != "." && name != "..") all.push_back(name);
  }
  ::closedir(stream);
  if (error != 0) fail(path_.string(), "cannot be read", error);
  std::sort(all.begin(), all.end());
  return all;
}

std::optional<struct stat> Directory::status(const std::string& name) const {
  struct stat info = {};
  if (::fstatat(descriptor(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno == ENOENT) return std::nullopt;
  fail(path_of(name), "cannot be looked at", errno);
}

bool Directory::remove(const std::string& name, const struct stat& seen) const {
  const auto now = status(name);
  if (!now || !S_ISREG(now->st_mode) || now->st_ino != seen.st_ino || now->st_dev != seen.st_dev) return false;
  if (::unlinkat(descriptor(), name.c_str(), 0) != 0) fail(path_of(name), "cannot be removed", errno);
  return true;
}

void Directory::remove_empty_folder(const std::string& name) const {
  if (::unlinkat(descriptor(), name.c_str(), AT_REMOVEDIR) == 0) return;
  if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT && errno != ENOTDIR)
    fail(path_of(name), "cannot be removed", errno);
}

bool exists(const FileName& file) {
  std::error_code error;
  return file.folder() ? file.folder()->status(file.name()).has_value()
                       : fs::exists(fs::symlink_status(file.path(), error));
}

}  // namespace kedge
