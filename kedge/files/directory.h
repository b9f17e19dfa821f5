// Directories that are held open, and the names of files. A name in an open directory means a file of that directory,
// whatever happens to the directory's path, and it never leads through a symbolic link.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kedge/core/regular_file.h"

namespace kedge {

/// Returns the kind of a file in words, from its mode: "a symbolic link", "a FIFO", ...
const char* kind_of_file(mode_t mode);

/// A directory that is held open. Copies share it.
class Directory {
 public:
  /// Opens a directory that a user names: symbolic links in the path are followed.
  /// @throws InputError "<path>: there is no such directory", "<path>: is not a directory, but a FIFO", or if the user
  ///         may not read it
  /// @throws SystemError if the system fails to open it
  explicit Directory(std::filesystem::path path);

  /// Opens the directory of this name in this one; nullopt if there is no such entry.
  /// @throws InputError if it is a symbolic link or anything but a directory  @throws SystemError as above
  [[nodiscard]] std::optional<Directory> folder(const std::string& name) const;
  /// Opens the directory of this name, and makes it if it does not exist. @throws InputError as above  @throws SystemError
  [[nodiscard]] Directory make_folder(const std::string& name) const;

  /// Returns the path by which it was opened.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Returns the path of a name in it, for messages.
  [[nodiscard]] std::string path_of(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] int descriptor() const { return descriptor_->number(); }
  /// True if it was deleted since it was opened.
  [[nodiscard]] bool deleted() const;

  /// Returns the names of its entries, sorted. @throws SystemError
  [[nodiscard]] std::vector<std::string> names() const;
  /// Returns the status of the entry of this name, of a symbolic link itself and not of its target; nullopt if there is no
  /// such entry. @throws SystemError
  [[nodiscard]] std::optional<struct stat> status(const std::string& name) const;

  /// Deletes a regular file, if the name still belongs to the file that was examined. Returns true if it did.
  /// @param seen  the status of the examined file
  /// @throws SystemError "<path>: cannot be removed: <reason>"
  bool remove(const std::string& name, const struct stat& seen) const;
  /// Deletes a subdirectory if it is empty, and leaves it otherwise. @throws SystemError
  void remove_empty_folder(const std::string& name) const;

 private:
  Directory(std::filesystem::path path, FileDescriptor descriptor);

  std::filesystem::path path_;
  std::shared_ptr<const FileDescriptor> descriptor_;
};

/// The name of a file: a path that a user gives, whose symbolic links are followed, or a name in an open directory,
/// which must be a regular file itself.
class FileName {
 public:
  FileName(std::filesystem::path path) : path_(std::move(path)) {}  // NOLINT: a path is the name of a file
  FileName(const std::string& path) : path_(path) {}                // NOLINT
  FileName(const char* path) : path_(path) {}                       // NOLINT
  FileName(Directory folder, const std::string& name) : path_(folder.path() / name), folder_(std::move(folder)) {}

  /// Returns the whole path, for messages; the file of a directory is not looked up by it.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string string() const { return path_.string(); }
  /// Returns the last part of the path.
  [[nodiscard]] std::string name() const { return path_.filename().string(); }
  /// Returns the directory that holds the file; nullopt for the path of a user.
  [[nodiscard]] const std::optional<Directory>& folder() const { return folder_; }

 private:
  std::filesystem::path path_;
  std::optional<Directory> folder_;
};

/// Names a file of an open directory.
inline FileName operator/(const Directory& folder, const std::string& name) { return {folder, name}; }

/// True if an entry of this name exists, of any kind.
bool exists(const FileName& file);

}  // namespace kedge
