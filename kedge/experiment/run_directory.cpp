#include "kedge/experiment/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <system_error>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/experiment/event_file.h"
#include "kedge/experiment/metrics_file.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr const char* run_toml_file = "run.toml";
constexpr const char* metrics_file = "metrics.csv";
constexpr const char* timings_file = "timings.csv";
constexpr const char* events_file = "events.out.tfevents.0.kedge";
constexpr const char* steps_file = "steps.csv";
constexpr const char* warnings_file = "warnings.csv";
constexpr const char* updates_file = "updates.h5";
constexpr const char* policy_file = "policy.h5";
constexpr const char* checkpoint_file = "checkpoint.h5";
constexpr const char* task_folder = "task";  ///< copy of the task (tasks.h)
constexpr const char* lock_file = ".lock";
/// In the order in which --force deletes them: without run.toml it is no run any more.
constexpr std::array written_files = {run_toml_file, checkpoint_file, policy_file, updates_file, metrics_file,
                                      timings_file,  events_file,     steps_file,  warnings_file};

constexpr std::uint64_t max_text_bytes = 1u << 30;
constexpr std::chrono::seconds sync_interval{1};

std::string reason(const std::error_code& error) { return error.message(); }

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// A temporary file of `write_file` that a killed process left.
bool is_leftover(const std::string& name) {
  if (!name.ends_with(".tmp")) return false;
  for (const char* file : written_files)
    if (name.starts_with(fmt::format(".{}.", file))) return true;
  return false;
}

std::vector<fs::path> entries(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> all;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    all.push_back(it->path());
  if (error) throw SystemError(fmt::format("{}: cannot be read: {}", directory.string(), reason(error)));
  return all;
}

void remove_tree(const fs::path& file) {
  std::error_code error;
  fs::remove_all(file, error);
  if (error) throw SystemError(fmt::format("{}: cannot be removed: {}", file.string(), reason(error)));
}

void remove_leftovers(const fs::path& directory) {
  for (const fs::path& file : entries(directory))
    if (is_leftover(file.filename().string())) remove_tree(file);
}

/// Nobody's work is in it: at most what a process left that was killed while it created the run.
bool is_free(const fs::path& directory) {
  for (const fs::path& file : entries(directory))
    if (file.filename() != lock_file && !is_leftover(file.filename().string())) return false;
  return true;
}

std::string read_if_exists(const fs::path& file) {
  return fs::exists(file) ? read_file(file, max_text_bytes) : std::string();
}

struct flock whole_file(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

void require_run(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw InputError(fmt::format("{}: no such directory", path.string()));
  if (!fs::is_directory(path, error)) throw InputError(fmt::format("{}: is not a directory", path.string()));
  if (!fs::exists(path / run_toml_file, error))
    throw InputError(fmt::format("{}: is not the directory of a run: it has no {}", path.string(), run_toml_file));
}

/// The same times with fewer digits: microseconds say all.
std::vector<Metric> rounded(std::vector<Metric> seconds) {
  for (auto& [name, value] : seconds) value = std::round(value * 1e6) / 1e6;
  return seconds;
}

/// The common scalars but the number of the iteration, which is the step.
std::span<const Metric> scalars(const Iteration& iteration) {
  const std::span<const Metric> all = iteration.metrics;
  return !all.empty() && all.front().first == "iteration" ? all.subspan(1) : all;
}

}  // namespace

// ---- lock

// Locks of the open file description: like flock, but they can be asked for without being taken, and they work between
// machines on network file systems.
DirectoryLock::DirectoryLock(const fs::path& directory) {
  const fs::path file = directory / lock_file;
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0)
    throw SystemError(
        fmt::format("{}: cannot be written: {}", file.string(), reason({errno, std::generic_category()})));
  struct flock lock = whole_file(F_WRLCK);
  if (::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0) return;
  const int error = errno;
  ::close(descriptor_);
  if (error == EAGAIN || error == EACCES)
    throw InputError(fmt::format("{}: is being written by another process", directory.string()));
  throw SystemError(fmt::format("{}: cannot be locked: {}", file.string(), reason({error, std::generic_category()})));
}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool DirectoryLock::held(const fs::path& directory) {
  const int descriptor = ::open((directory / lock_file).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  struct flock lock = whole_file(F_RDLCK);
  const bool held = ::fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(descriptor);
  return held;
}

// ---- run

RunDirectory RunDirectory::create(const fs::path& path, const std::string& run_toml_text, bool force) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    throw InputError(fmt::format("{}: exists and is not a directory", path.string()));
  fs::create_directories(path, error);
  if (error) throw SystemError(fmt::format("{}: cannot be created: {}", path.string(), reason(error)));
  const auto refuse_taken = [&] {
    if (!force && !is_free(path))
      throw InputError(fmt::format("{}: is not empty; choose another directory, or --force to replace the run in it",
                                   path.string()));
  };
  refuse_taken();  // before a lock file is put there
  RunDirectory run(path, DirectoryLock(path));
  refuse_taken();
  const bool was_run = fs::exists(path / run_toml_file);
  for (const char* file : written_files) remove_tree(path / file);
  remove_leftovers(path);
  if (was_run) remove_tree(path / task_folder);  // else a folder of this name is not ours
  write_file(path / run_toml_file, run_toml_text, Durability::power);
  run.run_toml_ = run_toml_text;
  return run;
}

RunDirectory RunDirectory::open(const fs::path& path) {
  require_run(path);
  RunDirectory run(path, DirectoryLock(path));
  run.run_toml_ = read_file(path / run_toml_file, max_text_bytes);
  remove_leftovers(path);
  return run;
}

bool RunDirectory::began() const { return fs::exists(path_ / checkpoint_file); }

void RunDirectory::begin(const RunIdentity& identity, const PolicyInfo& info, const TrainingState& state,
                         bool record_updates) {
  if (began()) throw InputError(fmt::format("{}: has begun already", path_.string()));
  if (!read_if_exists(path_ / metrics_file).empty())
    throw InputError(
        fmt::format("{}: missing, but the run has completed iterations", (path_ / checkpoint_file).string()));
  info_ = info;
  header_ = {};
  header_.identity = identity;
  header_.record_updates = record_updates;
  open_appended("", 0);
  if (record_updates) {
    updates_.emplace(path_ / updates_file);
    updates_->save(Durability::power);
  }
  sync_appended();
  save_policy(path_ / policy_file, state.policy, info_, Durability::power);
  save_checkpoint(path_ / checkpoint_file, header_, state, Durability::power);
  synced_ = std::chrono::steady_clock::now();
}

Checkpoint RunDirectory::resume(const RunIdentity& identity, const PolicyInfo& info) {
  Checkpoint checkpoint = load_checkpoint(path_ / checkpoint_file);
  require_same_run(checkpoint.header.identity, identity, path_ / checkpoint_file);
  const int iterations = checkpoint.state.iteration;
  info_ = info;
  header_ = checkpoint.header;
  if (header_.record_updates) updates_.emplace(path_ / updates_file, iterations);
  open_appended(header_.metrics, iterations);
  // A process that was killed before it wrote the checkpoint may have written the next policy.
  save_policy(path_ / policy_file, checkpoint.state.policy, info_, Durability::process);
  return checkpoint;
}

/// Opens the files that grow, cut to what belongs to the completed iterations. Only metrics.csv must be whole: it is
/// what runs are compared by, and it can be restored.
void RunDirectory::open_appended(const std::string& metrics, int iterations) {
  if (!read_if_exists(path_ / metrics_file).starts_with(metrics))
    write_file(path_ / metrics_file, metrics, Durability::process);
  metrics_ = AppendFile(path_ / metrics_file, metrics.size());
  timings_ = AppendFile(path_ / timings_file,
                        iterations == 0 ? 0 : csv_prefix(read_if_exists(path_ / timings_file), iterations));
  warnings_ = AppendFile(path_ / warnings_file, csv_prefix(read_if_exists(path_ / warnings_file), iterations));
  events_ = AppendFile(path_ / events_file, event_prefix(read_if_exists(path_ / events_file), iterations));
  if (events_.length() == 0) events_.append(event_file_start(wall_time()));
}

void RunDirectory::sync_appended() {
  metrics_.sync();
  timings_.sync();
  warnings_.sync();
  events_.sync();
}

void RunDirectory::commit(const Iteration& iteration, const TrainingState& state, const UpdateRecord* record) {
  const auto now = std::chrono::steady_clock::now();
  const Durability durability = now - synced_ >= sync_interval ? Durability::power : Durability::process;
  const std::vector<Metric> seconds = rounded(iteration.seconds);
  const std::string row =
      (metrics_.length() == 0 ? csv_header(iteration.metrics) : "") + csv_row(iteration.number, iteration.metrics);
  const std::string time_row = (timings_.length() == 0 ? csv_header(seconds) : "") + csv_row(iteration.number, seconds);
  std::string warnings;
  for (const std::string& warning : iteration.warnings) warnings += warning_row(iteration.number, warning);
  if (!warnings.empty() && warnings_.length() == 0) warnings.insert(0, warnings_header);

  CheckpointHeader header = header_;
  header.stop.reset();
  header.message.clear();
  header.metrics += row;

  const auto before = std::array{metrics_.length(), timings_.length(), events_.length(), warnings_.length()};
  const int updates_before = updates_ ? updates_->iterations() : 0;
  try {
    metrics_.append(row);
    timings_.append(time_row);
    if (!warnings.empty()) warnings_.append(warnings);
    events_.append(scalar_event(iteration.number, wall_time(), scalars(iteration)));
    write_file(path_ / steps_file, steps_csv(iteration.number, iteration.steps), Durability::process);
    if (durability == Durability::power) sync_appended();
    if (updates_ && record != nullptr) updates_->append(*record, durability);
    save_policy(path_ / policy_file, state.policy, info_, durability);
    save_checkpoint(path_ / checkpoint_file, header, state, durability);
  } catch (const SystemError&) {
    // Back to the iteration before: cutting needs no space. Whatever fails here is put right by `resume`.
    try {
      metrics_.truncate(before[0]);
      timings_.truncate(before[1]);
      events_.truncate(before[2]);
      warnings_.truncate(before[3]);
    } catch (const SystemError&) {
    }
    if (updates_ && updates_->iterations() > updates_before) updates_->take_back();
    throw;
  }
  header_ = std::move(header);
  if (durability == Durability::power) synced_ = now;
}

void RunDirectory::finish(Stop stop, const std::string& message, const TrainingState& state) {
  CheckpointHeader header = header_;
  if (stop != Stop::cancelled) {
    header.stop = stop;
    header.message = message;
  }
  sync_appended();
  if (updates_) updates_->save(Durability::power);
  save_policy(path_ / policy_file, state.policy, info_, Durability::power);
  save_checkpoint(path_ / checkpoint_file, header, state, Durability::power);
  header_ = std::move(header);
}

// ---- status

const char* to_string(RunState state) {
  switch (state) {
    case RunState::training: return "training";
    case RunState::interrupted: return "interrupted";
    case RunState::finished: return "finished";
    case RunState::failed: return "failed";
    case RunState::damaged: return "damaged";
  }
  return "";
}

RunStatus run_status(const fs::path& path) {
  require_run(path);
  const bool training = DirectoryLock::held(path);
  RunStatus status;
  status.state = training ? RunState::training : RunState::interrupted;
  if (!fs::exists(path / checkpoint_file)) {
    if (!training && !read_if_exists(path / metrics_file).empty()) {
      status.state = RunState::damaged;
      status.detail =
          fmt::format("{}: missing, but the run has completed iterations", (path / checkpoint_file).string());
    }
    return status;
  }
  try {
    const Checkpoint checkpoint = load_checkpoint(path / checkpoint_file);
    status.iterations = checkpoint.state.iteration;
    if (training) return status;
    if (checkpoint.header.stop == Stop::max_iterations || checkpoint.header.stop == Stop::converged)
      status.state = RunState::finished;
    if (checkpoint.header.stop == Stop::numerical_failure) {
      status.state = RunState::failed;
      status.detail = checkpoint.header.message;
    }
  } catch (const InputError& error) {
    status.state = RunState::damaged;
    status.detail = error.what();
  }
  return status;
}

}  // namespace kedge
