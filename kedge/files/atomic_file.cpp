#include "kedge/files/atomic_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "kedge/core/errors.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr int kNewFile = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t access_rights = 0777, may_write = 0222;
constexpr std::string_view temporary_end = ".tmp";

[[noreturn]] void fail_write(const std::string& path, const std::string& why) {
  throw SystemError(fmt::format("{}: cannot be written: {}", path, why));
}

[[noreturn]] void fail_write(const std::string& path, int error) {
  fail_write(path, std::generic_category().message(error));
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

/// The temporary files that are being written. Who creates, renames or deletes one has the lock.
struct WritesUnderWay {
  std::timed_mutex guard;
  std::set<std::pair<int, std::string>> temporaries;  ///< open folder and name
};

WritesUnderWay& writes_under_way() {
  static auto& all = *new WritesUnderWay;  // never destroyed: a signal may come while static objects are
  return all;
}

/// Fills a new file. @return 0, or errno
int fill(int descriptor, std::string_view bytes, Durability durability) {
  int error = write_at(descriptor, bytes, 0);
  if (error == 0 && durability == Durability::power && ::fsync(descriptor) != 0) error = errno;
  if (::close(descriptor) != 0 && error == 0) error = errno;  // network file systems report a full disk here
  return error;
}

/// Replaces or creates the file of this name in an open directory. @return 0, or errno
int replace(int folder, const std::string& name, std::string_view bytes, Durability durability, mode_t rights) {
  static std::atomic<unsigned> count = 0;
  const std::string temporary = fmt::format("{}{}{}", temporary_start(), count++, temporary_end);
  WritesUnderWay& all = writes_under_way();
  int descriptor = -1;
  {
    const std::lock_guard lock(all.guard);
    descriptor = ::openat(folder, temporary.c_str(), kNewFile, rights);
    if (descriptor < 0) return errno;
    all.temporaries.emplace(folder, temporary);
  }
  int error = fill(descriptor, bytes, durability);
  {
    const std::lock_guard lock(all.guard);
    if (error == 0 && ::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) error = errno;
    if (error != 0) ::unlinkat(folder, temporary.c_str(), 0);
    all.temporaries.erase({folder, temporary});
  }
  // File systems that cannot sync a directory say EINVAL and need none.
  if (error == 0 && durability == Durability::power && ::fsync(folder) != 0 && errno != EINVAL) error = errno;
  return error;
}

/// What a user's path leads to: the file itself if it is a symbolic link.
fs::path without_link(const fs::path& path) {
  std::error_code error;
  if (fs::symlink_status(path, error).type() != fs::file_type::symlink) return path;
  fs::path target = fs::canonical(path, error);
  if (error) fail_write(path.string(), fmt::format("it is a symbolic link that leads nowhere: {}", error.message()));
  return target;
}

/// The directory of a user's path. Writing in it needs no right to read it, syncing it does.
FileDescriptor open_parent(const fs::path& path, Durability durability) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const int access = durability == Durability::power ? O_RDONLY : O_PATH;
  return FileDescriptor(::open(parent.c_str(), access | O_DIRECTORY | O_CLOEXEC));
}

/// A place where a file may be written.
struct Target {
  FileDescriptor parent;  ///< of a user's path
  int run_folder = -1;    ///< of a file in a Directory
  std::string name;       ///< in the folder
  mode_t rights = 0666;   ///< of the file that is replaced

  [[nodiscard]] int folder() const { return run_folder >= 0 ? run_folder : parent.number(); }
};

/// @throws SystemError "<path>: cannot be written: ...", for all but a regular file that may be replaced, or nothing
Target open_target(const FileName& file, Durability durability) {
  const auto& folder = file.folder();
  const fs::path path = folder ? file.path() : without_link(file.path());
  Target target;
  if (folder)
    target.run_folder = folder->descriptor();
  else
    target.parent = open_parent(path, durability);
  if (target.folder() < 0) fail_write(file.string(), errno);
  target.name = path.filename().string();

  struct stat there = {};
  const bool exists = ::fstatat(target.folder(), target.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
  if (target.name.empty() || (exists && !S_ISREG(there.st_mode)))
    fail_write(file.string(), fmt::format("it is {}, not a regular file",
                                          target.name.empty() ? "a directory" : kind_of_file(there.st_mode)));
  if (exists && folder && there.st_nlink > 1) fail_write(file.string(), "it is a hard link to another file");
  if (exists && (there.st_mode & may_write) == 0) fail_write(file.string(), "it is write-protected");
  if (exists) target.rights = there.st_mode & access_rights;
  return target;
}

}  // namespace

struct stat create_file(const Directory& folder, const std::string& name, std::string_view bytes) {
  const int descriptor = ::openat(folder.descriptor(), name.c_str(), kNewFile, 0666);
  if (descriptor < 0 && errno == EEXIST) throw InputError(fmt::format("{}: is there already", folder.path_of(name)));
  if (descriptor < 0) fail_write(folder.path_of(name), errno);
  if (const int error = fill(descriptor, bytes, Durability::process)) {
    ::unlinkat(folder.descriptor(), name.c_str(), 0);
    fail_write(folder.path_of(name), error);
  }
  const auto created = folder.status(name);
  if (!created) fail_write(folder.path_of(name), "it was removed meanwhile");
  return *created;
}

FileDescriptor open_file(const FileName& file) {
  const auto& folder = file.folder();
  if (!folder) return open_regular_file(file.path());
  if (folder->deleted()) throw InputError(fmt::format("{}: was deleted meanwhile", folder->path().string()));
  return open_regular_file(file.name(), Links::refuse, folder->descriptor(), file.string());
}

std::string read_file(const FileName& file, std::uint64_t max_bytes) {
  return read_bytes(open_file(file), max_bytes, file.string());
}

void abandon_writes() {
  constexpr std::chrono::milliseconds patience{250};
  WritesUnderWay& all = writes_under_way();
  if (!all.guard.try_lock_for(patience)) return;  // and never unlocked
  for (const auto& [folder, name] : all.temporaries) ::unlinkat(folder, name.c_str(), 0);
}

std::string temporary_start() {
  static const std::uint64_t random = [] {
    std::uint64_t number = 0;
    if (::getrandom(&number, sizeof number, 0) != sizeof number)
      throw SystemError(fmt::format("no random number: {}", std::generic_category().message(errno)));
    return number;
  }();
  return fmt::format(".kedge-{:08x}-{:016x}-", ::getpid(), random);  // a child process has other names
}

void remove_temporaries(const Directory& folder, std::string_view start) {
  for (const std::string& name : folder.names()) {
    if (!name.starts_with(start) || !name.ends_with(temporary_end)) continue;
    if (const auto info = folder.status(name); info && S_ISREG(info->st_mode) && info->st_nlink == 1)
      folder.remove(name, *info);
  }
}

void require_writable(const fs::path& file) {
  try {
    const Target target = open_target(file, Durability::process);
    if (::faccessat(target.folder(), ".", W_OK | X_OK, AT_EACCESS) != 0) fail_write(file.string(), errno);
  } catch (const SystemError& e) {
    throw InputError(e.what());
  }
}

void write_file(const FileName& file, std::string_view bytes, Durability durability) {
  const Target target = open_target(file, durability);
  if (const int error = replace(target.folder(), target.name, bytes, durability, target.rights)) {
    if (file.folder() && file.folder()->deleted())
      throw SystemError(fmt::format("{}: was deleted meanwhile", file.folder()->path().string()));
    fail_write(file.string(), error);
  }
}

AppendFile::AppendFile(const FileName& file, std::uint64_t length) : path_(file.string()), length_(length) {
  const auto& folder = file.folder();
  const int at = folder ? folder->descriptor() : AT_FDCWD;
  const std::string name = folder ? file.name() : path_;
  const int links = folder ? O_NOFOLLOW : 0;
  file_ = FileDescriptor(::openat(at, name.c_str(), O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | links, 0666));
  const int opening = file_.number() < 0 ? errno : 0;
  struct stat info = {};
  // What cannot be opened is told apart by its name.
  if ((opening == 0 ? ::fstat(file_.number(), &info)
                    : ::fstatat(at, name.c_str(), &info, folder ? AT_SYMLINK_NOFOLLOW : 0)) == 0) {
    if (!S_ISREG(info.st_mode))
      fail_write(path_, fmt::format("it is {}, not a regular file", kind_of_file(info.st_mode)));
    if (info.st_nlink > 1) fail_write(path_, "it is a hard link to another file");
  }
  if (opening != 0 && folder && folder->deleted())
    throw SystemError(fmt::format("{}: was deleted meanwhile", folder->path().string()));
  if (opening != 0) fail_write(path_, opening);
  if (static_cast<std::uint64_t>(info.st_size) < length)
    throw InputError(
        fmt::format("{}: truncated: has {} bytes, but must have at least {}", path_, info.st_size, length));
  if (::ftruncate(file_.number(), static_cast<off_t>(length)) != 0) fail_write(path_, errno);
}

void AppendFile::append(std::string_view bytes) {
  if (const int error = write_at(file_.number(), bytes, length_)) {
    // A part may have been written. Should cutting fail too, the next append or the next opening removes it.
    [[maybe_unused]] const int ignored = ::ftruncate(file_.number(), static_cast<off_t>(length_));
    fail_write(path_, error);
  }
  length_ += bytes.size();
}

void AppendFile::truncate(std::uint64_t length) {
  length_ = length;
  if (::ftruncate(file_.number(), static_cast<off_t>(length)) != 0) fail_write(path_, errno);
}

void AppendFile::sync() {
  struct stat info = {};
  if (::fstat(file_.number(), &info) == 0 && info.st_nlink == 0)
    throw SystemError(fmt::format("{}: was deleted meanwhile", path_));
  if (::fsync(file_.number()) != 0) fail_write(path_, errno);
}

}  // namespace kedge
