// written.csv: the files that kedge wrote in the folders of a run. kedge deletes and replaces a file there only if it
// is on this list with its present size and checksum: all other files may be the user's own.
//
//   crc64,bytes,file
//   0123456789abcdef,8192,policies/00000.h5
//   fedcba9876543210,1234,task/model/robot.xml
//
// A file is put on the list before it is written and taken off after it was deleted, so that a process that is killed
// leaves none of its files unlisted. A name may occur twice, while its file is being replaced. Control characters and %
// in names are written as %0A.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "kedge/files/atomic_file.h"

namespace kedge {

class WrittenFiles {
 public:
  static constexpr const char* file_name = "written.csv";

  /// Reads the list of a run; one that is missing or empty has no files.
  /// @throws InputError "<path>:<line>: ...", if it is not such a list
  static WrittenFiles read(const Directory& run);
  /// @throws SystemError
  void save(const Directory& run, Durability durability) const;

  /// @param name  of the file in the run, e.g. "policies/00000.h5": only run.toml and files in task/ and policies/ are
  /// listed
  void add(const std::string& name, std::string_view bytes);
  /// Removes a file from the list, in every version.
  void forget(const std::string& name);
  /// Returns the names, each once, sorted.
  [[nodiscard]] std::set<std::string> names() const;

  /// True if there is a regular file of this name that has listed bytes.
  /// @throws InputError if it cannot be read
  [[nodiscard]] bool has(const Directory& run, const std::string& name) const;
  /// True if the file also has no other name (a hard link), so that kedge may delete it. @throws InputError as above
  [[nodiscard]] bool owns(const Directory& run, const std::string& name) const;
  /// Deletes the file if `owns` holds. Returns true if it did. @throws SystemError
  bool remove(const Directory& run, const std::string& name) const;

  friend bool operator==(const WrittenFiles&, const WrittenFiles&) = default;

 private:
  struct Entry {
    std::string name;
    std::uint64_t bytes = 0;
    std::string crc64;  ///< 16 hexadecimal digits
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  std::set<Entry> entries_;
};

/// Finds the folder of a name in a run, "task/model/parts/arm.xml", without following links. nullopt if there is none,
/// or if kedge does not use such a name.
/// @throws InputError if a part of the path is a link or anything but a directory
std::optional<FileName> find_file(const Directory& run, const std::string& name);

}  // namespace kedge
