// The part of HDF5 that kedge needs, over its C API: files that are built in memory and stored whole.
//
// A file that kedge writes is an ordinary HDF5 file followed by one line of text, the trailer, with the length and
// the CRC-64 of the bytes before it. HDF5 ignores bytes after its end of file, so every HDF5 reader opens it. Equal
// contents give equal bytes: no times are stored.
//
// The HDF5 library is not safe against damaged or altered files: some make it read out of bounds, crash or never end. The
// trailer finds damage. It cannot find alterations, since an attacker can compute it anew. So the library reads in a child
// process (Reader), which has no open files and limits of time and memory. Whatever happens there, the caller gets values
// of the type and size that it asked for, or an InputError.
//
// Threads may use files of their own: one at a time is inside HDF5, the others wait (`one_at_a_time`).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/types.h"
#include "kedge/files/directory.h"

namespace kedge::hdf5 {

using Shape = std::vector<Index>;  ///< sizes of a dataset, slowest first (C order); empty: a scalar

/// Returns "[70, 2, 4]".
std::string to_string(const Shape& shape);

/// Returns a text that came from a file, in quotes, for a message of one line.
std::string quoted(std::string text);

/// Returns the lock for whoever enters HDF5 or forks: a child that is forked while another thread is inside would wait for
/// HDF5's own lock for ever.
std::recursive_mutex& one_at_a_time();

/// Owns one HDF5 identifier.
class Handle {
 public:
  Handle() = default;
  Handle(std::int64_t id, int (*close)(std::int64_t)) : id_(id), close_(close) {}
  ~Handle();
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;

  [[nodiscard]] std::int64_t id() const { return id_; }

 private:
  std::int64_t id_ = -1;
  int (*close_)(std::int64_t) = nullptr;
};

/// A group that is being written. Each name may be used once in its group. Members throw SystemError if HDF5 fails, for
/// want of memory.
class GroupWriter {
 public:
  explicit GroupWriter(Handle group) : group_(std::move(group)) {}

  GroupWriter group(const std::string& name);
  void attribute(const std::string& name, const std::string& value);
  void attribute(const std::string& name, const std::vector<std::string>& value);
  void attribute(const std::string& name, std::uint64_t value);
  void attribute(const std::string& name, double value);
  void attribute(const std::string& name, std::span<const double> value);
  /// Writes a dataset. @param values as many as the shape has, C order
  void dataset(const std::string& name, std::span<const double> values, const Shape& shape);
  void dataset(const std::string& name, std::span<const int> values, const Shape& shape);
  /// Writes a text of any length, as bytes.
  void dataset(const std::string& name, std::string_view text);

 private:
  Handle group_;
};

class ReadingProcess;

/// A group that is being read. Anything that does not fit is an InputError
/// "<file>: dataset <name>: found ..., expected ...".
class GroupReader {
 public:
  GroupReader(std::shared_ptr<ReadingProcess> process, std::string file, std::string prefix)
      : process_(std::move(process)), file_(std::move(file)), prefix_(std::move(prefix)) {}

  [[nodiscard]] bool has(const std::string& name) const;  ///< True for a dataset or a group.
  [[nodiscard]] bool has_attribute(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> names() const;  ///< Returns the names of its members, sorted.
  [[nodiscard]] GroupReader group(const std::string& name) const;

  [[nodiscard]] std::string text(const std::string& attribute) const;
  [[nodiscard]] std::vector<std::string> texts(const std::string& attribute) const;
  [[nodiscard]] std::uint64_t natural(const std::string& attribute) const;
  [[nodiscard]] double real(const std::string& attribute) const;                ///< NaN and infinity too
  [[nodiscard]] std::vector<double> reals(const std::string& attribute) const;  ///< NaN and infinity too

  /// Returns the shape of a dataset of numbers. More than 2^27 entries are an InputError.
  [[nodiscard]] Shape shape(const std::string& name) const;
  /// Returns the entries of a dataset of exactly this shape, C order. Every number type is converted. `doubles` refuses
  /// numbers that are not finite, `any_doubles` does not.
  [[nodiscard]] std::vector<double> doubles(const std::string& name, const Shape& expected) const;
  [[nodiscard]] std::vector<double> any_doubles(const std::string& name, const Shape& expected) const;
  [[nodiscard]] std::vector<int> ints(const std::string& name, const Shape& expected) const;
  [[nodiscard]] std::string bytes(const std::string& name) const;  ///< text that `dataset(name, text)` wrote

  /// Throws InputError "<file>: <what>".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::shared_ptr<ReadingProcess> process_;
  std::string file_;    ///< for messages
  std::string prefix_;  ///< "" or "policy/": path of this group
};

/// An HDF5 file in memory, being built. Other threads wait with theirs until it is destroyed.
class Writer {
 public:
  Writer();                                 ///< empty
  explicit Writer(std::string_view image);  ///< continues a file: the bytes that `image` returned in this process

  [[nodiscard]] GroupWriter root();
  /// Returns the file's bytes, without trailer.
  [[nodiscard]] std::string image();

 private:
  std::unique_lock<std::recursive_mutex> lock_{one_at_a_time()};
  Handle file_;
};

/// An HDF5 file in memory, being read by a process that ends with this object and its groups.
class Reader {
 public:
  /// @param image without trailer  @param file its path, for messages
  /// @throws InputError if HDF5 does not accept it  @throws SystemError if no process can be started
  Reader(std::string_view image, std::string file);

  [[nodiscard]] GroupReader root() const;

 private:
  std::string file_name_;
  std::shared_ptr<ReadingProcess> process_;
};

/// Opens an image in this process and returns its identifier; it is < 0 if HDF5 does not accept the image. Only for bytes
/// that this process made: all others are for Reader.
std::int64_t open_image(std::string_view image, bool writable);

/// Returns image + trailer.
std::string seal(std::string image);

/// True if the bytes end with the trailer of the bytes before it.
bool is_sealed(std::string_view bytes);

/// Whether a file without trailer, made with other tools, is accepted.
enum class Trailer { required, optional };

/// Returns the image of a file after a check of its trailer. Without a trailer, the length that the HDF5 file states is
/// checked.
/// @throws InputError "<path>: truncated ..." and so on: a missing, foreign or damaged file, or one of more than 4 GiB
std::string read_sealed(const FileName& file, Trailer trailer);

}  // namespace kedge::hdf5
