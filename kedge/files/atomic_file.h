// Files that are whole or absent. A reader never sees half a file, a failed write leaves the old file in place, and every
// failure of the disk is a SystemError of one line.
//
// Only regular files are read and replaced. An output that a user names may be a symbolic link to a regular file: then
// that file is replaced and the link stays. A hard link that is replaced becomes a file of its own; its other names
// keep the old bytes. A file in a Directory (directory.h) must be a regular file with one name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "kedge/files/directory.h"

namespace kedge {

/// The events that a completed write survives. Either way it is atomic: a process killed at any instruction leaves the old
/// bytes or the new ones.
enum class Durability {
  process,  ///< the death of the process; the bytes may still be in the kernel's cache
  power,    ///< also the loss of power: file and directory are synced, which costs milliseconds
};

/// Opens a regular file for reading. @throws InputError, SystemError as `read_file`
FileDescriptor open_file(const FileName& file);

/// Returns the bytes of a regular file. Nothing else is ever opened, so that no FIFO blocks.
/// @throws InputError if the file is missing, not a regular file, not readable, or larger than max_bytes
/// @throws SystemError if reading fails
std::string read_file(const FileName& file, std::uint64_t max_bytes);

/// Checks, before work starts, that a file that a user names as output could be written now.
/// @throws InputError "<path>: cannot be written: <reason>"
void require_writable(const std::filesystem::path& file);

/// Replaces or creates a file: a temporary file in the same directory, then rename. The file keeps the access rights of
/// the one that it replaces.
/// @throws SystemError "<path>: cannot be written: <reason>"; then the file is as it was and the temporary one is gone
void write_file(const FileName& file, std::string_view bytes, Durability durability);

/// Creates a file; one that is there is never replaced. Returns the status of the new file, by which it can be removed.
/// @throws InputError "<path>: is there already"  @throws SystemError as write_file; then there is no file
struct stat create_file(const Directory& folder, const std::string& name, std::string_view bytes);

/// For a process that ends now, whatever its other threads do: files that are being written stay as they were, their
/// temporary files are deleted, and whoever begins to write waits for ever. Returns at the latest after a quarter of a second.
void abandon_writes();

/// Returns the prefix of the names of this process's temporary files, ".kedge-<process id>-<random>-", which no other
/// process uses. Their names end with ".tmp".
std::string temporary_start();

/// Deletes the temporary files of a process that was killed, directly in `folder`.
/// @param start  its temporary_start()
/// @throws SystemError
void remove_temporaries(const Directory& folder, std::string_view start);

/// A file that only grows, by whole records.
class AppendFile {
 public:
  AppendFile() = default;
  /// Opens or creates the file and cuts it to `length`, which drops bytes that a killed process appended.
  /// @throws InputError if the file is shorter than `length`: it is damaged
  /// @throws SystemError if it cannot be opened or cut, or is not a regular file with one name
  AppendFile(const FileName& file, std::uint64_t length);

  /// Appends all bytes, or none. @throws SystemError
  void append(std::string_view bytes);
  /// Drops the bytes that were appended since the file had this length. @throws SystemError
  void truncate(std::uint64_t length);
  /// Waits until the bytes are on the disk. @throws SystemError, also if the file was deleted meanwhile
  void sync();

  [[nodiscard]] std::uint64_t length() const { return length_; }

 private:
  std::string path_;  ///< for messages
  FileDescriptor file_;
  std::uint64_t length_ = 0;
};

}  // namespace kedge
