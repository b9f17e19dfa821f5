#include "kedge/mujoco/load_model.h"

#include <fcntl.h>
#include <mujoco/mujoco.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/regular_file.h"
#include "kedge/mujoco/guard.h"

namespace kedge {

namespace {

/// Files that MuJoCo reads from memory. It finds them by the last part of their path, whatever its case.
class VirtualFiles {
 public:
  VirtualFiles() = default;
  VirtualFiles(const VirtualFiles&) = delete;
  VirtualFiles& operator=(const VirtualFiles&) = delete;

#if mjVERSION_HEADER >= 313
  ~VirtualFiles() { mj_deleteVFS(vfs_.get()); }
  /// @return false if MuJoCo has no memory for it
  [[nodiscard]] bool add(const std::string& path, std::string_view bytes) {
    const int size = static_cast<int>(bytes.size());
    int result = -1;
    return size == 0 ||  // MuJoCo accepts no empty files
           (call_mujoco([&] { result = mj_addBufferVFS(vfs_.get(), key(path).c_str(), bytes.data(), size); }) &&
            result == 0);
  }
#else
  /// The bytes must outlive this object. @return false if there is no room for it
  [[nodiscard]] bool add(const std::string& path, std::string_view bytes) {
    const std::string name = key(path);
    if (vfs_->nfile >= mjMAXVFS - 1 || name.size() >= mjMAXVFSNAME) return false;
    std::strcpy(vfs_->filename[vfs_->nfile], name.c_str());
    vfs_->filedata[vfs_->nfile] = const_cast<char*>(bytes.data());  // MuJoCo does not write to it
    vfs_->filesize[vfs_->nfile] = static_cast<int>(bytes.size());
    ++vfs_->nfile;
    return true;
  }
#endif

  [[nodiscard]] const mjVFS* get() const { return vfs_.get(); }

 private:
  static std::string key(const std::string& path) {
    std::string name = path.substr(path.find_last_of("/\\") + 1);
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return name;
  }
  static std::unique_ptr<mjVFS> make() {
    auto vfs =
        std::make_unique_for_overwrite<mjVFS>();  // up to 3.1 it has 2 MB, and only the files in it are looked at
#if mjVERSION_HEADER >= 313
    mj_defaultVFS(vfs.get());
#else
    vfs->nfile = 0;
#endif
    return vfs;
  }

  std::unique_ptr<mjVFS> vfs_ = make();
};

/// What the child reports: three fields and the warnings, of each 8 bytes for the size, then the bytes.
struct Report {
  std::string refusal;  ///< of kedge: a limit; empty: none
  std::string error;    ///< of MuJoCo; empty: it compiled the model
  std::string model;    ///< in MuJoCo's binary format
  std::vector<std::string> warnings;
};
constexpr std::size_t kFields = 3;

// ---- in the child ----------------------------------------------------------------------------------------------------

bool child_ran_out_of_memory = false;

void* allocate(std::size_t size) {
  void* memory = std::aligned_alloc(64, (size + 63) / 64 * 64);
  child_ran_out_of_memory |= memory == nullptr;
  return memory;
}

void fail_allocation() {
  child_ran_out_of_memory = true;
  throw std::bad_alloc();
}

/// Bytes of address space of this process; 0 if the system does not say.
std::uint64_t address_space() {
  unsigned long long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%llu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// Lowers a limit of this process. @return what it is now
template <class Resource>
rlim_t limit(Resource resource, rlim_t value) {
  rlimit old = {};
  ::getrlimit(resource, &old);
  const rlim_t lower = std::min({value, old.rlim_cur, old.rlim_max});
  const rlimit both = {lower, lower};
  ::setrlimit(resource, &both);
  return lower;
}

/// Closes all files but this one and the standard ones, which lead nowhere from now on.
void close_all_but(int kept) {
  if (const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0)
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, standard);
  const auto first = static_cast<unsigned>(STDERR_FILENO + 1), k = static_cast<unsigned>(kept);
  if ((k == first || ::close_range(first, k - 1, 0) == 0) && ::close_range(k + 1, ~0U, 0) == 0) return;
  for (int number = STDERR_FILENO + 1; number < 65536; ++number)  // before Linux 5.9
    if (number != kept) ::close(number);
}

/// From here on the process ends with its parent, prints nothing, leaves no core file and takes no more memory.
/// @param out  the only file that stays open, > 2
/// @return bytes that it may take: the limit, or what the parent's own limit leaves of it
std::uint64_t confine(pid_t parent, int out, const LoadLimits& limits) {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);  // the parent obeys signals, and ends the child
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  close_all_but(out);
  mju_user_malloc = allocate;
  std::set_new_handler(fail_allocation);
  const std::uint64_t now = address_space();
  ::prctl(PR_SET_DUMPABLE, 0);
  return now == 0 ? limits.memory : std::max<rlim_t>(limit(RLIMIT_AS, now + limits.memory), now) - now;
}

/// Compiles the model and makes one step with it. @return the model, or null and the error
mjModel* compile(const ModelFiles& files, Report& report) {
  const std::string& path = files.files.front().path;
  char message[1000] = "";
  mjModel* model = nullptr;
  std::optional<VirtualFiles> in_memory;
  if (files.distinct_names) {
    in_memory.emplace();
    for (const ModelFile& file : files.files)
      if (!in_memory->add(file.path, file.bytes)) throw std::bad_alloc();
    limit(RLIMIT_NOFILE, 0);  // nothing can be opened any more
  }
  mujoco_guard().warnings = &report.warnings;
  const bool returned = call_mujoco([&] {
    model = mj_loadXML(path.c_str(), in_memory ? in_memory->get() : nullptr, message, static_cast<int>(sizeof message));
  });
  mujoco_guard().warnings = nullptr;
  if (!returned || !model) {
    report.error = !returned ? mujoco_guard().error : message[0] ? message : "it cannot be compiled";
    return nullptr;
  }
  if (message[0]) report.warnings.emplace_back(message);
  mjData* data = nullptr;
  if (!call_mujoco([&] { data = mj_makeData(model); }) || !data) {
    child_ran_out_of_memory = true;
    return nullptr;
  }
  (void)call_mujoco([&] { mj_step(model, data); });  // that it ends is enough
  return model;
}

void compile_and_report(const ModelFiles& files, std::uint64_t memory, Report& report) {
  try {
    if (const mjModel* model = compile(files, report)) {
      const auto size = static_cast<std::int64_t>(mj_sizeModel(model));
      if (size <= 0 || size > std::int64_t{1} << 30) {
        report.refusal = "is larger than 1 GB when it is compiled, the limit";
        return;
      }
      report.model.resize(static_cast<std::size_t>(size));
      if (!call_mujoco([&] { mj_saveModel(model, nullptr, report.model.data(), static_cast<int>(size)); }))
        report.error = mujoco_guard().error;
    }
  } catch (const std::bad_alloc&) {
    child_ran_out_of_memory = true;
  } catch (const std::exception& e) {
    report.error = e.what();
  }
  child_ran_out_of_memory |= report.error.find("Could not allocate memory") != std::string::npos;  // in its own words
  if (child_ran_out_of_memory && report.model.empty())
    report.refusal = fmt::format("needs more than {} MB of memory, the limit", memory >> 20);
}

void write_all(int to, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(to, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);  // nobody reads
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
}

void write_field(int to, const std::string& field) {
  const std::uint64_t size = field.size();
  write_all(to, reinterpret_cast<const char*>(&size), sizeof size);
  write_all(to, field.data(), field.size());
}

[[noreturn]] void be_the_child(int to, pid_t parent, const ModelFiles& files, const LoadLimits& limits) {
  const int out = to > STDERR_FILENO ? to : ::fcntl(to, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  Report report;
  compile_and_report(files, confine(parent, out, limits), report);
  for (const std::string* field : {&report.refusal, &report.error, &report.model}) write_field(out, *field);
  for (const std::string& warning : report.warnings) write_field(out, warning);
  ::_exit(0);
}

// ---- in the parent ---------------------------------------------------------------------------------------------------

/// A process that ends, at the latest, with this object.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  ~Child() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Returns the processor time that it has taken, s; 0 if the system does not say.
  [[nodiscard]] double processor_time() const {
    clockid_t clock = {};
    timespec taken = {};
    if (::clock_getcpuclockid(id_, &clock) != 0 || ::clock_gettime(clock, &taken) != 0) return 0;
    return static_cast<double>(taken.tv_sec) + 1e-9 * static_cast<double>(taken.tv_nsec);
  }

  /// Waits for its end. @return as of waitpid
  int wait() {
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) continue;
    id_ = -1;
    return status;
  }

 private:
  pid_t id_;
};

/// Reads what the child writes, until it ends. Its processor time is limited, not the time on the clock, so that a busy
/// machine refuses no model; a child that only waits is given up too.
/// @throws InputError if that takes too long, Cancelled
std::string receive(int from, const Child& child, double seconds, const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  constexpr auto tick = std::chrono::milliseconds(50);  // how often the stop token is looked at
  constexpr double patience = 20;                       // how much slower a busy machine may be
  const auto end = Clock::now() + std::chrono::duration<double>(patience * seconds);
  std::string bytes;
  std::vector<char> chunk(std::size_t{1} << 16);
  for (;;) {
    if (stop.stop_requested()) throw Cancelled("interrupted while a model was compiled");
    if (child.processor_time() >= seconds || Clock::now() >= end)
      throw InputError(fmt::format("takes more than {} s to compile, the limit", seconds));
    pollfd readable = {from, POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(tick.count())) <= 0) continue;
    const ssize_t n = ::read(from, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return bytes;
    bytes.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

/// The fields of a report; nothing if it is not complete.
std::vector<std::string_view> fields_of(std::string_view bytes) {
  std::vector<std::string_view> fields;
  while (!bytes.empty()) {
    std::uint64_t size = 0;
    if (bytes.size() < sizeof size) return {};
    std::memcpy(&size, bytes.data(), sizeof size);
    bytes.remove_prefix(sizeof size);
    if (bytes.size() < size) return {};
    fields.push_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return fields;
}

/// Starts the child. @return the end of the pipe from which its report comes
std::pair<std::unique_ptr<Child>, FileDescriptor> start_child(const ModelFiles& files, const LoadLimits& limits) {
  static std::mutex
      starting;  // no other child inherits the end that is written to: its closing is the end of the report
  const std::lock_guard lock(starting);
  const auto check = [](int result) {
    if (result < 0)
      throw SystemError(fmt::format("the process that compiles models cannot be started: {}",
                                    std::generic_category().message(errno)));
  };
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC));
  FileDescriptor from(ends[0]);
  const FileDescriptor to(ends[1]);
  const pid_t parent = ::getpid(), id = ::fork();
  check(id);
  if (id == 0) be_the_child(to.number(), parent, files, limits);
  return {std::make_unique<Child>(id), std::move(from)};
}

/// Lets a child compile the model. @return its report, complete
std::string compile_in_child(const ModelFiles& files, const LoadLimits& limits, const std::stop_token& stop) {
  const auto [child, from] = start_child(files, limits);
  std::string report = receive(from.number(), *child, limits.seconds, stop);
  const int status = child->wait();
  // Some versions end like that where they get no memory, for example if they need it in a thread of their own.
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
    throw InputError(
        fmt::format("makes MuJoCo abort; it may need more than {} MB of memory, the limit", limits.memory >> 20));
  if (WIFSIGNALED(status)) throw InputError(fmt::format("makes MuJoCo crash (signal {})", WTERMSIG(status)));
  if (fields_of(report).size() < kFields) throw InputError("makes MuJoCo end its process");
  return report;
}

/// @return null if there is no memory
mjModel* read_binary(std::string_view bytes) {
  mjModel* model = nullptr;
  VirtualFiles file;
  if (!file.add("model.mjb", bytes) || !call_mujoco([&] { model = mj_loadModel("model.mjb", file.get()); }))
    return nullptr;
  return model;
}

}  // namespace

LoadedModel load_model(const ModelFiles& files, const LoadLimits& limits, const std::stop_token& stop) {
  install_mujoco_handlers();
  const std::string report = compile_in_child(files, limits, stop);
  const std::vector<std::string_view> fields = fields_of(report);
  if (!fields[0].empty()) throw InputError(std::string(fields[0]));
  LoadedModel loaded;
  loaded.error = fields[1];
  loaded.warnings.assign(fields.begin() + kFields, fields.end());
  if (!loaded.error.empty()) return loaded;
  loaded.model.reset(read_binary(fields[2]), mj_deleteModel);
  if (!loaded.model) throw SystemError("MuJoCo cannot allocate the memory of a model");
  return loaded;
}

LoadedModel load_mujoco_model(const std::string& path) {
  LoadedModel loaded;
  try {
    return load_model(read_model_files(path));
  } catch (const InputError& e) {
    loaded.error = e.what();
  }
  return loaded;
}

}  // namespace kedge
