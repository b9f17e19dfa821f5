#include "kedge/files/hdf5.h"

#include <fmt/ranges.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/checksum.h"

namespace kedge::hdf5 {

static_assert(std::is_same_v<hid_t, std::int64_t> && std::is_same_v<herr_t, int>);

namespace {

constexpr std::uint64_t max_file_bytes = 1ull << 32;
constexpr off_t large_file_bytes = 1 << 20;
constexpr std::size_t stated_length_bytes = 52;  ///< of a superblock that must be there to find the length in it

constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";
constexpr std::string_view trailer_start = "\nkedge length ";
constexpr std::string_view trailer_middle = " crc64 ";  // ... <20 digits> crc64 <16 hexadecimal digits>\n
constexpr std::size_t trailer_size = trailer_start.size() + 20 + trailer_middle.size() + 16 + 1;

/// Writing fails only for want of memory: everything happens there.
[[noreturn]] void fail_writing(const std::string& what) {
  throw SystemError(fmt::format("HDF5 could not write {}: out of memory?", what));
}

/// Takes over an identifier that was just made.
Handle own(hid_t id, herr_t (*close)(hid_t), const std::string& what) {
  if (id < 0) fail_writing(what);
  return {id, close};
}

void check(herr_t status, const std::string& what) {
  if (status < 0) fail_writing(what);
}

/// The properties of every dataset: no times, so that equal contents are equal bytes.
Handle without_times(hid_t kind) {
  Handle properties = own(H5Pcreate(kind), H5Pclose, "a property list");
  check(H5Pset_obj_track_times(properties.id(), false), "a property list");
  return properties;
}

std::vector<hsize_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

Handle make_space(const Shape& shape) {
  if (shape.empty()) return own(H5Screate(H5S_SCALAR), H5Sclose, "a shape");
  return own(H5Screate_simple(static_cast<int>(shape.size()), sizes(shape).data(), nullptr), H5Sclose, "a shape");
}

Handle text_type() {
  Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose, "a type");
  check(H5Tset_size(type.id(), H5T_VARIABLE), "a type");
  check(H5Tset_cset(type.id(), H5T_CSET_UTF8), "a type");
  return type;
}

Index entries(const Shape& shape) { return std::accumulate(shape.begin(), shape.end(), Index{1}, std::multiplies<>()); }

void write_attribute(hid_t group, const std::string& name, hid_t type, const Shape& shape, hid_t memory_type,
                     const void* values) {
  const Handle space = make_space(shape);
  const Handle attribute =
      own(H5Acreate2(group, name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose, name);
  if (entries(shape) > 0) check(H5Awrite(attribute.id(), memory_type, values), name);
}

void write_dataset(hid_t group, const std::string& name, hid_t type, const Shape& shape, hid_t memory_type,
                   const void* values) {
  const Handle space = make_space(shape);
  const Handle properties = without_times(H5P_DATASET_CREATE);
  const Handle set =
      own(H5Dcreate2(group, name.c_str(), type, space.id(), H5P_DEFAULT, properties.id(), H5P_DEFAULT), H5Dclose, name);
  if (entries(shape) > 0) check(H5Dwrite(set.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), name);
}

/// The driver that keeps a file in memory. HDF5 prints its errors unless told not to; ours say more.
Handle memory_driver() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  Handle access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "a property list");
  check(H5Pset_fapl_core(access.id(), std::size_t{1} << 20, false), "a property list");
  return access;
}

/// HDF5 tells files in memory apart by their names.
std::string new_name() {
  static std::atomic<std::uint64_t> count = 0;
  return fmt::format("kedge-{}", count++);
}

}  // namespace

std::int64_t open_image(std::string_view image, bool writable) {
  const Handle access = memory_driver();
  // HDF5 copies the bytes; the parameter is not const by oversight.
  check(H5Pset_file_image(access.id(), const_cast<char*>(image.data()), image.size()), "a property list");
  return H5Fopen(new_name().c_str(), writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access.id());
}

std::recursive_mutex& one_at_a_time() {
  static std::recursive_mutex mutex;
  return mutex;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Handle::~Handle() {
  if (id_ >= 0) close_(id_);
}

Handle::Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

std::string quoted(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  return '"' + text + '"';
}

// ---- writing

GroupWriter GroupWriter::group(const std::string& name) {
  const Handle properties = without_times(H5P_GROUP_CREATE);
  return GroupWriter(
      own(H5Gcreate2(group_.id(), name.c_str(), H5P_DEFAULT, properties.id(), H5P_DEFAULT), H5Gclose, name));
}

void GroupWriter::attribute(const std::string& name, const std::string& value) {
  const char* text = value.c_str();
  const Handle type = text_type();
  write_attribute(group_.id(), name, type.id(), {}, type.id(), &text);
}

void GroupWriter::attribute(const std::string& name, const std::vector<std::string>& value) {
  std::vector<const char*> texts;
  for (const std::string& text : value) texts.push_back(text.c_str());
  const Handle type = text_type();
  write_attribute(group_.id(), name, type.id(), {static_cast<Index>(texts.size())}, type.id(), texts.data());
}

void GroupWriter::attribute(const std::string& name, std::uint64_t value) {
  write_attribute(group_.id(), name, H5T_STD_U64LE, {}, H5T_NATIVE_UINT64, &value);
}

void GroupWriter::attribute(const std::string& name, double value) {
  write_attribute(group_.id(), name, H5T_IEEE_F64LE, {}, H5T_NATIVE_DOUBLE, &value);
}

void GroupWriter::attribute(const std::string& name, std::span<const double> value) {
  write_attribute(group_.id(), name, H5T_IEEE_F64LE, {static_cast<Index>(value.size())}, H5T_NATIVE_DOUBLE,
                  value.data());
}

void GroupWriter::dataset(const std::string& name, std::span<const double> values, const Shape& shape) {
  write_dataset(group_.id(), name, H5T_IEEE_F64LE, shape, H5T_NATIVE_DOUBLE, values.data());
}

void GroupWriter::dataset(const std::string& name, std::span<const int> values, const Shape& shape) {
  write_dataset(group_.id(), name, H5T_STD_I32LE, shape, H5T_NATIVE_INT, values.data());
}

void GroupWriter::dataset(const std::string& name, std::string_view text) {
  write_dataset(group_.id(), name, H5T_STD_U8LE, {static_cast<Index>(text.size())}, H5T_NATIVE_UINT8, text.data());
}

Writer::Writer() {
  const Handle access = memory_driver();
  const Handle properties = without_times(H5P_FILE_CREATE);
  file_ = own(H5Fcreate(new_name().c_str(), H5F_ACC_EXCL, properties.id(), access.id()), H5Fclose, "a file in memory");
}

Writer::Writer(std::string_view image) : file_(own(open_image(image, true), H5Fclose, "a file in memory")) {}

GroupWriter Writer::root() { return GroupWriter(own(H5Gopen2(file_.id(), "/", H5P_DEFAULT), H5Gclose, "/")); }

std::string Writer::image() {
  check(H5Fflush(file_.id(), H5F_SCOPE_LOCAL), "a file in memory");
  const ssize_t size = H5Fget_file_image(file_.id(), nullptr, 0);
  if (size < 0) fail_writing("a file in memory");
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(size) + trailer_size);  // for `seal`
  bytes.resize(static_cast<std::size_t>(size));
  if (H5Fget_file_image(file_.id(), bytes.data(), bytes.size()) != size) fail_writing("a file in memory");
  return bytes;
}

// ---- the trailer

namespace {

std::string trailer(std::string_view image) {
  return fmt::format("{}{:020}{}{:016x}\n", trailer_start, image.size(), trailer_middle, crc64(image));
}

std::uint64_t little_endian(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The length that an HDF5 file gives for itself in its superblock: every version stores it, with 8-byte offsets, at a
/// fixed place (HDF5 File Format Specification, II.A). nullopt: not such a file.
std::optional<std::uint64_t> stated_length(std::string_view bytes) {
  if (!bytes.starts_with(signature) || bytes.size() < stated_length_bytes) return std::nullopt;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const unsigned version = byte(8);
  if (version <= 1 && byte(13) == 8) return little_endian(bytes, version == 0 ? 40 : 44);
  if (version <= 3 && byte(9) == 8) return little_endian(bytes, 28);
  return std::nullopt;
}

/// Why a file without a trailer is not accepted; empty: it is. @param head  its first bytes, at least 52 if it has them
std::string why_no_file(std::string_view head, std::uint64_t size, Trailer expected) {
  if (expected == Trailer::required)
    return "is damaged: it is truncated, or was changed by another program (no checksum at its end)";
  const auto length = stated_length(head);
  if (length == size) return "";
  return fmt::format("is damaged: it is truncated or altered ({} bytes, but it gives its length as {})", size,
                     length ? fmt::format("{}", *length) : "something else");
}

/// Why a large file cannot be whole, by its ends: gigabytes of something else are not read. Empty: it may be whole.
std::string why_not_whole(int file, Trailer expected) {
  struct stat info = {};
  if (::fstat(file, &info) != 0 || info.st_size < large_file_bytes) return "";
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const auto part = [&](std::size_t length, std::uint64_t at) {
    std::string bytes(length, '\0');
    const ssize_t n = ::pread(file, bytes.data(), length, static_cast<off_t>(at));
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return bytes;
  };
  const std::string head = part(stated_length_bytes, 0);
  if (!head.starts_with(signature)) return "is not an HDF5 file";
  if (part(trailer_start.size(), size - trailer_size) == trailer_start) return "";
  return why_no_file(head, size, expected);
}

}  // namespace

std::string seal(std::string image) { return image += trailer(image); }

bool is_sealed(std::string_view bytes) {
  return bytes.size() > trailer_size &&
         bytes.substr(bytes.size() - trailer_size) == trailer(bytes.substr(0, bytes.size() - trailer_size));
}

std::string read_sealed(const FileName& file, Trailer expected) {
  const FileDescriptor opened = open_file(file);
  const auto refuse = [&](const std::string& what) { throw InputError(fmt::format("{}: {}", file.string(), what)); };
  if (const std::string why = why_not_whole(opened.number(), expected); !why.empty()) refuse(why);
  std::string bytes = read_bytes(opened, max_file_bytes, file.string());
  if (!bytes.starts_with(signature)) refuse(bytes.empty() ? "is empty" : "is not an HDF5 file");

  if (bytes.size() > trailer_size &&
      std::string_view(bytes).substr(bytes.size() - trailer_size).starts_with(trailer_start)) {
    if (!is_sealed(bytes)) refuse("is damaged: its contents do not match its checksum");
    bytes.resize(bytes.size() - trailer_size);
    return bytes;
  }
  if (const std::string why = why_no_file(bytes, bytes.size(), expected); !why.empty()) refuse(why);
  return bytes;
}

}  // namespace kedge::hdf5
