// Reading HDF5 in a process of its own: a question goes to it through a socket, bytes come back.
#include <fcntl.h>
#include <fmt/ranges.h>
#include <hdf5.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <new>
#include <numeric>
#include <system_error>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"

namespace kedge::hdf5 {

namespace {

constexpr Index max_entries = Index{1} << 27;  // 1 GiB of doubles
constexpr Index max_attribute = 100'000;       // entries
constexpr std::size_t max_text = 1u << 20;

// What the process may use: many times what a file of kedge needs.
constexpr rlim_t seconds = 2, bytes_a_second = 32u << 20;  // of processor time: 2, and more for a large file
constexpr rlim_t memory = rlim_t{3} << 30;                 // besides what it begins with and three times the file
constexpr int patience = 600'000;                          // milliseconds without an answer, on a busy machine
constexpr int out_of_memory = 3;                           // its exit code

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // sanitizers reserve more address space than there is memory
#else
constexpr bool sanitized = false;
#endif

/// What is asked about a name in a group.
enum class Question : char { has, has_attribute, names, is_group, texts, natural, reals, shape, doubles, ints, bytes };

// ---- messages: numbers and texts, one behind the other

template <class Number>
void put(std::string& message, Number value) {
  message.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& message, std::string_view text) {
  put(message, static_cast<std::uint64_t>(text.size()));
  message += text;
}

/// An answer that ends too soon, or is too long: the process that gave it is out of order.
struct Garbled {};

template <class Number>
Number take(std::string_view& message) {
  Number value;
  if (message.size() < sizeof value) throw Garbled();
  std::memcpy(&value, message.data(), sizeof value);
  message.remove_prefix(sizeof value);
  return value;
}

std::string_view take_text(std::string_view& message) {
  const auto size = take<std::uint64_t>(message);
  if (size > message.size()) throw Garbled();
  const std::string_view text = message.substr(0, size);
  message.remove_prefix(size);
  return text;
}

std::vector<std::string> take_texts(std::string_view message) {
  std::vector<std::string> texts;
  while (!message.empty()) texts.emplace_back(take_text(message));
  return texts;
}

Shape take_shape(std::string_view& message) {
  Shape shape(take<std::uint8_t>(message));
  for (Index& n : shape) n = take<Index>(message);
  return shape;
}

template <class Number>
std::vector<Number> take_numbers(std::string_view message) {
  if (message.size() % sizeof(Number) != 0) throw Garbled();
  std::vector<Number> values(message.size() / sizeof(Number));
  if (!values.empty()) std::memcpy(values.data(), message.data(), message.size());
  return values;
}

Index entries(const Shape& shape) { return std::accumulate(shape.begin(), shape.end(), Index{1}, std::multiplies<>()); }

// ---- in the process that reads

/// A group of the file, and what is asked about it. Everything that does not fit is an InputError without the file's name.
class Group {
 public:
  Group(hid_t file, const std::string& prefix)
      : group_(H5Gopen2(file, ("/" + prefix).c_str(), H5P_DEFAULT), H5Gclose), prefix_(prefix) {
    if (group_.id() < 0) throw InputError(fmt::format("is damaged: it has no group /{}", prefix));
  }

  std::string answer(Question question, const std::string& name) const {
    switch (question) {
      case Question::has: return has(name) ? "y" : "";
      case Question::has_attribute: return has_attribute(name) ? "y" : "";
      case Question::names: return names();
      case Question::is_group: return is_group(name) ? "y" : "";
      case Question::texts: return texts(name);
      case Question::natural: return natural(name);
      case Question::reals: return reals(name);
      case Question::shape: return shape_and_nothing(name);
      case Question::doubles: return dataset(name, H5T_NATIVE_DOUBLE, sizeof(double));
      case Question::ints: return dataset(name, H5T_NATIVE_INT, sizeof(int));
      case Question::bytes: return dataset(name, H5T_NATIVE_UINT8, 1);
    }
    return "";
  }

 private:
  [[nodiscard]] std::string attribute_label(const std::string& name) const {
    return fmt::format("attribute {}{}", prefix_, name);
  }
  [[nodiscard]] std::string dataset_label(const std::string& name) const {
    return fmt::format("dataset {}{}", prefix_, name);
  }

  [[nodiscard]] bool has(const std::string& name) const {
    return H5Lexists(group_.id(), name.c_str(), H5P_DEFAULT) > 0 &&
           H5Oexists_by_name(group_.id(), name.c_str(), H5P_DEFAULT) > 0;
  }

  [[nodiscard]] bool has_attribute(const std::string& name) const { return H5Aexists(group_.id(), name.c_str()) > 0; }

  [[nodiscard]] bool is_group(const std::string& name) const {
    return has(name) && Handle(H5Gopen2(group_.id(), name.c_str(), H5P_DEFAULT), H5Gclose).id() >= 0;
  }

  [[nodiscard]] std::string names() const {
    std::string all;
    const auto add = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
      put_text(*static_cast<std::string*>(data), name);
      return 0;
    };
    if (H5Literate(group_.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &all) < 0)
      throw InputError("is damaged: a group cannot be read");
    return all;
  }

  [[nodiscard]] Handle open_attribute(const std::string& name) const {
    const hid_t id = has_attribute(name) ? H5Aopen(group_.id(), name.c_str(), H5P_DEFAULT) : -1;
    if (id < 0) throw InputError(fmt::format("{}: missing", attribute_label(name)));
    return {id, H5Aclose};
  }

  static Shape shape_of(hid_t space) {
    const int rank = H5Sget_simple_extent_ndims(space);
    std::vector<hsize_t> dims(static_cast<std::size_t>(std::max(rank, 0)));
    if (rank > 0) H5Sget_simple_extent_dims(space, dims.data(), nullptr);
    Shape shape;
    // A size beyond every limit stays beyond it.
    for (const hsize_t n : dims) shape.push_back(static_cast<Index>(std::min<hsize_t>(n, max_entries + 1)));
    return shape;
  }

  static bool too_large(const Shape& shape) {
    Index count = 1;
    for (const Index n : shape) {
      if (n == 0) return false;
      if (count > max_entries / n) return true;
      count *= n;
    }
    return false;
  }

  static bool is_number(hid_t type) { return H5Tget_class(type) == H5T_FLOAT || H5Tget_class(type) == H5T_INTEGER; }

  [[nodiscard]] std::string texts(const std::string& name) const {
    const std::string label = attribute_label(name);
    const Handle attribute = open_attribute(name);
    const Handle type(H5Aget_type(attribute.id()), H5Tclose);
    const Handle space(H5Aget_space(attribute.id()), H5Sclose);
    const Shape shape = shape_of(space.id());
    if (H5Tget_class(type.id()) != H5T_STRING || shape.size() > 1 || entries(shape) > max_attribute)
      throw InputError(fmt::format("{}: found other than text, expected text", label));
    const auto count = static_cast<std::size_t>(entries(shape));
    std::string result;
    if (count == 0) return result;

    if (H5Tis_variable_str(type.id()) > 0) {
      std::vector<char*> all(count, nullptr);
      // Read as it is stored: HDF5 does not convert between ASCII and UTF-8, of which ASCII is a part.
      if (H5Aread(attribute.id(), type.id(), all.data()) < 0)
        throw InputError(fmt::format("{}: cannot be read", label));
      for (const char* text : all) put_text(result, text != nullptr ? std::string_view(text) : std::string_view());
      H5Dvlen_reclaim(type.id(), space.id(), H5P_DEFAULT, all.data());
      return result;
    }
    const std::size_t width = H5Tget_size(type.id());
    if (width == 0 || width > max_text / count) throw InputError(fmt::format("{}: is too long", label));
    std::string all(width * count, '\0');
    if (H5Aread(attribute.id(), type.id(), all.data()) < 0) throw InputError(fmt::format("{}: cannot be read", label));
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view text(all.data() + i * width, width);
      put_text(result, text.substr(0, std::min(text.find('\0'), width)));  // padded with zeros
    }
    return result;
  }

  [[nodiscard]] std::string natural(const std::string& name) const {
    const Handle attribute = open_attribute(name);
    const Handle type(H5Aget_type(attribute.id()), H5Tclose);
    const Handle space(H5Aget_space(attribute.id()), H5Sclose);
    std::uint64_t value = 0;
    if (H5Tget_class(type.id()) != H5T_INTEGER || H5Sget_simple_extent_type(space.id()) != H5S_SCALAR ||
        H5Aread(attribute.id(), H5T_NATIVE_UINT64, &value) < 0)
      throw InputError(fmt::format("{}: found something else, expected a whole number", attribute_label(name)));
    std::string result;
    put(result, value);
    return result;
  }

  [[nodiscard]] std::string reals(const std::string& name) const {
    const Handle attribute = open_attribute(name);
    const Handle type(H5Aget_type(attribute.id()), H5Tclose);
    const Handle space(H5Aget_space(attribute.id()), H5Sclose);
    const Shape shape = shape_of(space.id());
    if (!is_number(type.id()) || shape.size() > 1 || entries(shape) > max_attribute)
      throw InputError(fmt::format("{}: found something else, expected numbers", attribute_label(name)));
    std::string values(static_cast<std::size_t>(entries(shape)) * sizeof(double), '\0');
    if (!values.empty() && H5Aread(attribute.id(), H5T_NATIVE_DOUBLE, values.data()) < 0)
      throw InputError(fmt::format("{}: cannot be read", attribute_label(name)));
    return values;
  }

  [[nodiscard]] Handle open_dataset(const std::string& name) const {
    if (!has(name)) throw InputError(fmt::format("{}: missing", dataset_label(name)));
    const hid_t id = H5Dopen2(group_.id(), name.c_str(), H5P_DEFAULT);
    if (id < 0)
      throw InputError(fmt::format("{}: found something else of this name, expected a dataset", dataset_label(name)));
    return {id, H5Dclose};
  }

  [[nodiscard]] Shape shape(const std::string& name, hid_t set) const {
    const Handle type(H5Dget_type(set), H5Tclose);
    const Handle space(H5Dget_space(set), H5Sclose);
    if (!is_number(type.id()))
      throw InputError(fmt::format("{}: found something else, expected numbers", dataset_label(name)));
    Shape shape = shape_of(space.id());
    if (H5Sget_simple_extent_type(space.id()) == H5S_NULL)
      throw InputError(fmt::format("{}: is empty", dataset_label(name)));
    if (too_large(shape))
      throw InputError(
          fmt::format("{}: found {}, expected at most {} entries", dataset_label(name), to_string(shape), max_entries));
    return shape;
  }

  static std::string shape_message(const Shape& shape) {
    std::string message;
    put(message, static_cast<std::uint8_t>(shape.size()));  // HDF5 has at most 32
    for (const Index n : shape) put(message, n);
    return message;
  }

  [[nodiscard]] std::string shape_and_nothing(const std::string& name) const {
    const Handle set = open_dataset(name);
    return shape_message(shape(name, set.id()));
  }

  [[nodiscard]] std::string dataset(const std::string& name, hid_t memory_type, std::size_t size) const {
    const Handle set = open_dataset(name);
    const Shape found = shape(name, set.id());
    std::string message = shape_message(found);
    const std::size_t begin = message.size(), count = static_cast<std::size_t>(entries(found));
    message.resize(begin + count * size);
    if (count > 0 && H5Dread(set.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, message.data() + begin) < 0)
      throw InputError(fmt::format("{}: cannot be read", dataset_label(name)));
    return message;
  }

  Handle group_;
  std::string prefix_;
};

bool read_all(int socket, char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(socket, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// "+" and the answer, or "-" and what is wrong, with its length before it.
bool reply(int socket, char kind, std::string_view text) {
  std::string head(1, kind);
  put(head, static_cast<std::uint64_t>(text.size()));
  return send_all(socket, head) && send_all(socket, text);
}

/// Gives up every open file but the socket, and the right to open one: an HDF5 file can name others.
void close_all_but(int socket) {
  const auto last = static_cast<unsigned>(socket);
  if (::close_range(0, last - 1, 0) != 0 || ::close_range(last + 1, ~0U, 0) != 0)
    for (int other = 0; other < 65536; ++other)
      if (other != socket) ::close(other);
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_NOFILE, &none);
}

void lower(__rlimit_resource resource, rlim_t limit) {
  rlimit now = {};
  if (::getrlimit(resource, &now) != 0) return;
  now.rlim_cur = std::min(limit, now.rlim_cur);
  now.rlim_max = std::min(limit + 1, now.rlim_max);
  ::setrlimit(resource, &now);
}

/// Answers until nobody asks any more.
void serve(int socket, std::string_view image) {
  const Handle file(open_image(image, false), H5Fclose);
  if (file.id() < 0) {
    reply(socket, '-', "is damaged: HDF5 does not accept it");
    return;
  }
  if (!reply(socket, '+', "")) return;
  for (;;) {
    std::uint64_t size = 0;
    if (!read_all(socket, reinterpret_cast<char*>(&size), sizeof size)) return;
    std::string asked(size, '\0');
    if (!read_all(socket, asked.data(), size)) return;
    std::string_view rest = asked;
    const auto question = static_cast<Question>(take<char>(rest));
    const std::string prefix(take_text(rest)), name(take_text(rest));
    try {
      if (!reply(socket, '+', Group(file.id(), prefix).answer(question, name))) return;
    } catch (const InputError& error) {
      if (!reply(socket, '-', error.what())) return;
    }
  }
}

/// The life of the process. @param space bytes of memory that it may have
[[noreturn]] void live(int socket, std::string_view image, rlim_t space, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  close_all_but(socket);
  ::prctl(PR_SET_DUMPABLE, 0);  // no core file
  lower(RLIMIT_CPU, seconds + image.size() / bytes_a_second);
  lower(RLIMIT_FSIZE, 0);
  if (!sanitized) lower(RLIMIT_AS, space);
  try {
    serve(socket, image);
  } catch (const std::bad_alloc&) {
    ::_exit(out_of_memory);
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

/// Bytes of address space of this process; 0 if the system does not say it.
rlim_t address_space() {
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  std::array<char, 32> text = {};
  const ssize_t n = ::read(file, text.data(), text.size() - 1);
  ::close(file);
  return n > 0 ? std::strtoull(text.data(), nullptr, 10) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

[[noreturn]] void cannot_start(const std::string& file, int error) {
  throw SystemError(
      fmt::format("{}: no process can be started to read it: {}", file, std::generic_category().message(error)));
}

}  // namespace

// ---- in the process that asks

/// The other process, its socket, and what became of it.
class ReadingProcess {
 public:
  ReadingProcess(std::string_view image, std::string file) : file_(std::move(file)) {
    const std::scoped_lock lock(one_at_a_time());
    if (H5open() < 0) throw SystemError("HDF5 cannot be started: out of memory?");  // once, not in each process
    const rlim_t begin = address_space(), space = begin == 0 ? RLIM_INFINITY - 1 : begin + 3 * image.size() + memory;
    std::array<int, 2> ends = {};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) cannot_start(file_, errno);
    socket_ = FileDescriptor(ends[0]);
    const FileDescriptor other(ends[1]);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ == 0) live(other.number(), image, space, parent);
    if (process_ < 0) cannot_start(file_, errno);
  }
  ~ReadingProcess() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ReadingProcess(const ReadingProcess&) = delete;
  ReadingProcess& operator=(const ReadingProcess&) = delete;

  std::string ask(Question question, const std::string& prefix, const std::string& name) {
    std::string body;
    put(body, question);
    put_text(body, prefix);
    put_text(body, name);
    std::string message;
    put_text(message, body);
    if (!send_all(socket_.number(), message)) give_up();
    return answer();
  }

  /// Waits for an answer. @throws InputError with what is wrong in it
  std::string answer() {
    std::string head(1 + sizeof(std::uint64_t), '\0');
    receive(head);
    std::string_view rest = head;
    const char kind = take<char>(rest);
    const auto size = take<std::uint64_t>(rest);
    if ((kind != '+' && kind != '-') || size > (max_entries + 64) * sizeof(double)) give_up();
    std::string text(size, '\0');
    receive(text);
    if (kind == '-') throw InputError(fmt::format("{}: {}", file_, text));
    return text;
  }

  /// @throws InputError that says how the process ended
  [[noreturn]] void give_up() {
    const int status = await_end();
    std::string why = "HDF5 cannot read it";
    if (late_ || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
      why = "reading it takes too long";
    else if (WIFEXITED(status) && WEXITSTATUS(status) == out_of_memory)
      why = "reading it needs too much memory";
    else if (WIFSIGNALED(status))
      why += fmt::format(" (signal {})", WTERMSIG(status));
    throw InputError(fmt::format("{}: is damaged or altered: {}", file_, why));
  }

 private:
  void receive(std::string& bytes) {
    for (std::size_t filled = 0; filled < bytes.size();) {
      pollfd ready = {socket_.number(), POLLIN, 0};
      const int n = ::poll(&ready, 1, patience);
      if (n < 0 && errno == EINTR) continue;
      late_ = n == 0;
      const ssize_t got = n <= 0 ? -1 : ::read(socket_.number(), bytes.data() + filled, bytes.size() - filled);
      if (got < 0 && n > 0 && errno == EINTR) continue;
      if (got <= 0) give_up();
      filled += static_cast<std::size_t>(got);
    }
  }

  /// Lets a process that does not answer end by itself, so that it says how, but not for long. @return its status
  int await_end() {
    int status = 0;
    ::shutdown(socket_.number(), SHUT_RDWR);
    for (int i = 0; ::waitpid(process_, &status, WNOHANG) == 0; ++i) {
      if (late_ || i == 1000) ::kill(process_, SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    process_ = -1;
    return status;
  }

  std::string file_;  ///< for messages
  FileDescriptor socket_;
  pid_t process_ = -1;
  bool late_ = false;
};

Reader::Reader(std::string_view image, std::string file)
    : file_name_(std::move(file)), process_(std::make_shared<ReadingProcess>(image, file_name_)) {
  process_->answer();
}

GroupReader Reader::root() const { return {process_, file_name_, ""}; }

void GroupReader::fail(const std::string& what) const { throw InputError(fmt::format("{}: {}", file_, what)); }

namespace {

/// Unpacks an answer; one that makes no sense is as bad as none.
template <class Unpack>
auto unpacked(ReadingProcess& process, const std::string& message, const Unpack& unpack) {
  try {
    return unpack(std::string_view(message));
  } catch (const Garbled&) {
    process.give_up();
  }
}

/// The numbers of a dataset that must have this shape.
template <class Number>
std::vector<Number> numbers(const GroupReader& group, ReadingProcess& process, const std::string& message,
                            const std::string& label, const Shape& expected) {
  return unpacked(process, message, [&](std::string_view rest) {
    if (const Shape found = take_shape(rest); found != expected)
      group.fail(fmt::format("dataset {}: found {}, expected {}", label, to_string(found), to_string(expected)));
    std::vector<Number> values = take_numbers<Number>(rest);
    if (static_cast<Index>(values.size()) != entries(expected)) throw Garbled();
    return values;
  });
}

}  // namespace

bool GroupReader::has(const std::string& name) const { return !process_->ask(Question::has, prefix_, name).empty(); }

bool GroupReader::has_attribute(const std::string& name) const {
  return !process_->ask(Question::has_attribute, prefix_, name).empty();
}

std::vector<std::string> GroupReader::names() const {
  return unpacked(*process_, process_->ask(Question::names, prefix_, ""), take_texts);
}

GroupReader GroupReader::group(const std::string& name) const {
  if (process_->ask(Question::is_group, prefix_, name).empty()) fail(fmt::format("group {}{}: missing", prefix_, name));
  return {process_, file_, prefix_ + name + "/"};
}

std::vector<std::string> GroupReader::texts(const std::string& name) const {
  return unpacked(*process_, process_->ask(Question::texts, prefix_, name), take_texts);
}

std::string GroupReader::text(const std::string& name) const {
  const std::vector<std::string> all = texts(name);
  if (all.size() != 1) fail(fmt::format("attribute {}{}: found {} texts, expected one", prefix_, name, all.size()));
  return all.front();
}

std::vector<double> GroupReader::reals(const std::string& name) const {
  return unpacked(*process_, process_->ask(Question::reals, prefix_, name), take_numbers<double>);
}

double GroupReader::real(const std::string& name) const {
  const std::vector<double> values = reals(name);
  if (values.size() != 1)
    fail(fmt::format("attribute {}{}: found {} numbers, expected one", prefix_, name, values.size()));
  return values.front();
}

std::uint64_t GroupReader::natural(const std::string& name) const {
  return unpacked(*process_, process_->ask(Question::natural, prefix_, name),
                  [](std::string_view rest) { return take<std::uint64_t>(rest); });
}

Shape GroupReader::shape(const std::string& name) const {
  return unpacked(*process_, process_->ask(Question::shape, prefix_, name),
                  [](std::string_view rest) { return take_shape(rest); });
}

std::vector<double> GroupReader::any_doubles(const std::string& name, const Shape& expected) const {
  return numbers<double>(*this, *process_, process_->ask(Question::doubles, prefix_, name), prefix_ + name, expected);
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
  fail(fmt::format("dataset {}{}: found {} at {}, expected finite numbers", prefix_, name, *bad, to_string(at)));
}

std::vector<int> GroupReader::ints(const std::string& name, const Shape& expected) const {
  return numbers<int>(*this, *process_, process_->ask(Question::ints, prefix_, name), prefix_ + name, expected);
}

std::string GroupReader::bytes(const std::string& name) const {
  return unpacked(*process_, process_->ask(Question::bytes, prefix_, name), [&](std::string_view rest) {
    const Shape found = take_shape(rest);
    if (found.size() != 1) fail(fmt::format("dataset {}{}: found {}, expected text", prefix_, name, to_string(found)));
    return std::string(rest);
  });
}

}  // namespace kedge::hdf5
