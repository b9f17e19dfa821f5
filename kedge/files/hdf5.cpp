#include "kedge/files/hdf5.h"

#include <fmt/ranges.h>
#include <hdf5.h>

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

constexpr Index max_entries = Index{1} << 27;  // 1 GiB of doubles
constexpr std::uint64_t max_file_bytes = 1ull << 32;
constexpr std::size_t max_text = 1u << 20;

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

/// Opens an image. @return an identifier < 0 if HDF5 does not accept it
hid_t open_image(std::string_view image, unsigned mode) {
  const Handle access = memory_driver();
  // HDF5 copies the bytes; the parameter is not const by oversight.
  check(H5Pset_file_image(access.id(), const_cast<char*>(image.data()), image.size()), "a property list");
  return H5Fopen(new_name().c_str(), mode, access.id());
}

Shape shape_of(hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> dims(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank > 0) H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  Shape shape;
  // A size beyond every limit stays beyond it.
  for (const hsize_t n : dims) shape.push_back(static_cast<Index>(std::min<hsize_t>(n, max_entries + 1)));
  return shape;
}

bool too_large(const Shape& shape) {
  Index count = 1;
  for (const Index n : shape) {
    if (n == 0) return false;
    if (count > max_entries / n) return true;
    count *= n;
  }
  return false;
}

bool is_number(hid_t type) { return H5Tget_class(type) == H5T_FLOAT || H5Tget_class(type) == H5T_INTEGER; }

}  // namespace

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

Writer::Writer(std::string_view image) : file_(own(open_image(image, H5F_ACC_RDWR), H5Fclose, "a file in memory")) {}

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

// ---- reading

Reader::Reader(std::string_view image, std::string file) : file_name_(std::move(file)) {
  const hid_t id = open_image(image, H5F_ACC_RDONLY);
  if (id < 0) throw InputError(fmt::format("{}: is damaged: HDF5 does not accept it", file_name_));
  file_ = Handle(id, H5Fclose);
}

GroupReader Reader::root() const {
  const hid_t id = H5Gopen2(file_.id(), "/", H5P_DEFAULT);
  if (id < 0) throw InputError(fmt::format("{}: is damaged: it has no root group", file_name_));
  return {Handle(id, H5Gclose), file_name_, ""};
}

void GroupReader::fail(const std::string& what) const { throw InputError(fmt::format("{}: {}", file_, what)); }

std::string GroupReader::label(const char* kind, const std::string& name) const {
  return fmt::format("{} {}{}", kind, prefix_, name);
}

bool GroupReader::has(const std::string& name) const {
  return H5Lexists(group_.id(), name.c_str(), H5P_DEFAULT) > 0 &&
         H5Oexists_by_name(group_.id(), name.c_str(), H5P_DEFAULT) > 0;
}

bool GroupReader::has_attribute(const std::string& name) const { return H5Aexists(group_.id(), name.c_str()) > 0; }

std::vector<std::string> GroupReader::names() const {
  std::vector<std::string> result;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  if (H5Literate(group_.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &result) < 0)
    fail("is damaged: a group cannot be read");
  return result;
}

GroupReader GroupReader::group(const std::string& name) const {
  const hid_t id = has(name) ? H5Gopen2(group_.id(), name.c_str(), H5P_DEFAULT) : -1;
  if (id < 0) fail(fmt::format("{}: missing", label("group", name)));
  return {Handle(id, H5Gclose), file_, prefix_ + name + "/"};
}

Handle GroupReader::open_attribute(const std::string& name) const {
  const hid_t id = has_attribute(name) ? H5Aopen(group_.id(), name.c_str(), H5P_DEFAULT) : -1;
  if (id < 0) fail(fmt::format("{}: missing", label("attribute", name)));
  return {id, H5Aclose};
}

std::vector<std::string> GroupReader::texts(const std::string& name) const {
  const Handle attribute = open_attribute(name);
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Handle space(H5Aget_space(attribute.id()), H5Sclose);
  const Shape shape = shape_of(space.id());
  if (H5Tget_class(type.id()) != H5T_STRING || shape.size() > 1 || entries(shape) > 100'000)
    fail(fmt::format("{}: found other than text, expected text", label("attribute", name)));
  const auto count = static_cast<std::size_t>(entries(shape));
  std::vector<std::string> result;
  if (count == 0) return result;

  if (H5Tis_variable_str(type.id()) > 0) {
    std::vector<char*> texts(count, nullptr);
    // Read as it is stored: HDF5 does not convert between ASCII and UTF-8, of which ASCII is a part.
    if (H5Aread(attribute.id(), type.id(), texts.data()) < 0)
      fail(fmt::format("{}: cannot be read", label("attribute", name)));
    for (const char* text : texts) result.emplace_back(text != nullptr ? text : "");
    H5Dvlen_reclaim(type.id(), space.id(), H5P_DEFAULT, texts.data());
  } else {
    const std::size_t width = H5Tget_size(type.id());
    if (width == 0 || width > max_text / count) fail(fmt::format("{}: is too long", label("attribute", name)));
    std::string all(width * count, '\0');
    if (H5Aread(attribute.id(), type.id(), all.data()) < 0)
      fail(fmt::format("{}: cannot be read", label("attribute", name)));
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view text(all.data() + i * width, width);
      result.emplace_back(text.substr(0, std::min(text.find('\0'), width)));  // padded with zeros
    }
  }
  return result;
}

std::string GroupReader::text(const std::string& name) const {
  const std::vector<std::string> all = texts(name);
  if (all.size() != 1) fail(fmt::format("{}: found {} texts, expected one", label("attribute", name), all.size()));
  return all.front();
}

std::vector<double> GroupReader::reals(const std::string& name) const {
  const Handle attribute = open_attribute(name);
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Handle space(H5Aget_space(attribute.id()), H5Sclose);
  const Shape shape = shape_of(space.id());
  if (!is_number(type.id()) || shape.size() > 1 || entries(shape) > 100'000)
    fail(fmt::format("{}: found something else, expected numbers", label("attribute", name)));
  std::vector<double> values(static_cast<std::size_t>(entries(shape)));
  if (!values.empty() && H5Aread(attribute.id(), H5T_NATIVE_DOUBLE, values.data()) < 0)
    fail(fmt::format("{}: cannot be read", label("attribute", name)));
  return values;
}

double GroupReader::real(const std::string& name) const {
  const std::vector<double> values = reals(name);
  if (values.size() != 1)
    fail(fmt::format("{}: found {} numbers, expected one", label("attribute", name), values.size()));
  return values.front();
}

std::uint64_t GroupReader::natural(const std::string& name) const {
  const Handle attribute = open_attribute(name);
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Handle space(H5Aget_space(attribute.id()), H5Sclose);
  std::uint64_t value = 0;
  if (H5Tget_class(type.id()) != H5T_INTEGER || !shape_of(space.id()).empty() ||
      H5Aread(attribute.id(), H5T_NATIVE_UINT64, &value) < 0)
    fail(fmt::format("{}: found something else, expected a whole number", label("attribute", name)));
  return value;
}

Handle GroupReader::open_dataset(const std::string& name) const {
  if (!has(name)) fail(fmt::format("{}: missing", label("dataset", name)));
  const hid_t id = H5Dopen2(group_.id(), name.c_str(), H5P_DEFAULT);
  if (id < 0) fail(fmt::format("{}: found something else of this name, expected a dataset", label("dataset", name)));
  return {id, H5Dclose};
}

Shape GroupReader::shape(const std::string& name) const {
  const Handle set = open_dataset(name);
  const Handle type(H5Dget_type(set.id()), H5Tclose);
  const Handle space(H5Dget_space(set.id()), H5Sclose);
  if (!is_number(type.id())) fail(fmt::format("{}: found something else, expected numbers", label("dataset", name)));
  Shape shape = shape_of(space.id());
  if (H5Sget_simple_extent_type(space.id()) == H5S_NULL) fail(fmt::format("{}: is empty", label("dataset", name)));
  if (too_large(shape))
    fail(fmt::format("{}: found {}, expected at most {} entries", label("dataset", name), to_string(shape),
                     max_entries));
  return shape;
}

Handle GroupReader::open_expected(const std::string& name, const Shape& expected) const {
  if (const Shape found = shape(name); found != expected)
    fail(fmt::format("{}: found {}, expected {}", label("dataset", name), to_string(found), to_string(expected)));
  return open_dataset(name);
}

std::vector<double> GroupReader::any_doubles(const std::string& name, const Shape& expected) const {
  const Handle set = open_expected(name, expected);
  std::vector<double> values(static_cast<std::size_t>(entries(expected)));
  if (!values.empty() && H5Dread(set.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail(fmt::format("{}: cannot be read", label("dataset", name)));
  return values;
}

std::vector<double> GroupReader::doubles(const std::string& name, const Shape& expected) const {
  std::vector<double> values = any_doubles(name, expected);
  const auto bad = std::find_if(values.begin(), values.end(), [](double x) { return !std::isfinite(x); });
  if (bad == values.end()) return values;
  Shape at = expected;  // index of the first bad entry
  Index rest = bad - values.begin();
  for (std::size_t i = at.size(); i-- > 0;) {
    at[i] = rest % expected[i];
    rest /= expected[i];
  }
  fail(fmt::format("{}: found {} at {}, expected finite numbers", label("dataset", name), *bad, to_string(at)));
}

std::vector<int> GroupReader::ints(const std::string& name, const Shape& expected) const {
  const Handle set = open_expected(name, expected);
  std::vector<int> values(static_cast<std::size_t>(entries(expected)));
  if (!values.empty() && H5Dread(set.id(), H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail(fmt::format("{}: cannot be read", label("dataset", name)));
  return values;
}

std::string GroupReader::bytes(const std::string& name) const {
  const Shape found = shape(name);
  if (found.size() != 1) fail(fmt::format("{}: found {}, expected text", label("dataset", name), to_string(found)));
  const Handle set = open_dataset(name);
  std::string text(static_cast<std::size_t>(found[0]), '\0');
  if (!text.empty() && H5Dread(set.id(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) < 0)
    fail(fmt::format("{}: cannot be read", label("dataset", name)));
  return text;
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
  if (!bytes.starts_with(signature) || bytes.size() < 52) return std::nullopt;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const unsigned version = byte(8);
  if (version <= 1 && byte(13) == 8) return little_endian(bytes, version == 0 ? 40 : 44);
  if (version <= 3 && byte(9) == 8) return little_endian(bytes, 28);
  return std::nullopt;
}

}  // namespace

std::string seal(std::string image) { return image += trailer(image); }

std::string read_sealed(const std::filesystem::path& path, Trailer expected) {
  std::string bytes = read_file(path, max_file_bytes);
  const auto refuse = [&](const std::string& what) { throw InputError(fmt::format("{}: {}", path.string(), what)); };
  if (!bytes.starts_with(signature)) refuse(bytes.empty() ? "is empty" : "is not an HDF5 file");

  if (bytes.size() > trailer_size &&
      std::string_view(bytes).substr(bytes.size() - trailer_size).starts_with(trailer_start)) {
    const std::string found = bytes.substr(bytes.size() - trailer_size);
    bytes.resize(bytes.size() - trailer_size);
    if (found != trailer(bytes)) refuse("is damaged: its contents do not match its checksum");
    return bytes;
  }
  if (expected == Trailer::required)
    refuse("is damaged: it is truncated, or was changed by another program (no checksum at its end)");
  const auto length = stated_length(bytes);
  if (!length || *length != bytes.size())
    refuse(fmt::format("is damaged: it is truncated or altered ({} bytes, but it gives its length as {})", bytes.size(),
                       length ? fmt::format("{}", *length) : "something else"));
  return bytes;
}

}  // namespace kedge::hdf5
