#include "kedge/run/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/files/event_file.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/metrics_file.h"

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
constexpr const char* policies_folder = "policies";
constexpr int most_policies = 16;  ///< in it, but for the best
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

fs::path policy_path(const fs::path& run, int iterations) {
  return run / policies_folder / fmt::format("{:05}.h5", iterations);
}

/// The number in the name of a file of policies/; -1: it is none.
int policy_number(const fs::path& file) {
  const std::string name = file.stem().string();
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return file.extension() == ".h5" && error == std::errc() && end == name.data() + name.size() ? number : -1;
}

/// Is policy n kept for its number, once the iterations 0 ... last have been completed?
bool is_nth(int n, int last) {
  int stride = 1;
  while (last / stride >= most_policies) stride *= 2;
  return n % stride == 0;
}

/// NaN if the algorithm does not report it.
double return_mean(std::span<const Metric> metrics) {
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [](const Metric& m) { return m.first == "return_mean"; });
  return found == metrics.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw SystemError(fmt::format("{}: cannot be created: {}", folder.string(), reason(error)));
}

bool is_whole(const fs::path& file) {
  try {
    hdf5::read_sealed(file, hdf5::Trailer::required);
    return true;
  } catch (const InputError&) {  // loss of power may have cut it
    return false;
  }
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
  const int descriptor = ::open((directory / lock_file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
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
  if (was_run)  // else folders of these names are not ours
    for (const char* folder : {task_folder, policies_folder}) remove_tree(path / folder);
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
  policy_ = policy_bytes(state.policy, info_);
  write_file(path_ / policy_file, policy_, Durability::power);
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
  policy_ = policy_bytes(checkpoint.state.policy, info_);
  write_file(path_ / policy_file, policy_, Durability::process);
  const MetricsTable table = read_metrics(path_ / metrics_file);
  if (const int mean = table.column("return_mean"); mean >= 0)
    for (std::size_t i = 0; i < table.rows.size(); ++i) note_return(static_cast<int>(i), table.rows[i][mean]);
  tidy_policies(iterations);
  for (const KeptPolicy& kept : kept_policies(path_))
    if (!is_whole(kept.file)) remove_tree(kept.file);
  return checkpoint;
}

void RunDirectory::note_return(int iteration, double mean) {
  if (std::isnan(mean) || (best_ >= 0 && mean <= best_return_)) return;
  best_ = iteration;
  best_return_ = mean;
}

/// Leaves in policies/ what is kept after so many iterations; see kept_policies.
void RunDirectory::tidy_policies(int iterations) const {
  if (!fs::exists(path_ / policies_folder)) return;
  for (const fs::path& file : entries(path_ / policies_folder)) {
    const int number = policy_number(file);
    if (number < 0 || number >= iterations || (number != best_ && !is_nth(number, iterations - 1))) remove_tree(file);
  }
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

  const int best_before = best_;
  const double best_return_before = best_return_;
  note_return(iteration.number, return_mean(iteration.metrics));
  const std::string policy = policy_bytes(state.policy, info_);

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
    if (best_ == iteration.number || is_nth(iteration.number, iteration.number)) {
      make_folder(path_ / policies_folder);
      write_file(policy_path(path_, iteration.number), policy_, durability);
    }
    write_file(path_ / policy_file, policy, durability);
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
    best_ = best_before;
    best_return_ = best_return_before;
    throw;
  }
  header_ = std::move(header);
  policy_ = policy;
  tidy_policies(iteration.number + 1);
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

// ---- policies

std::vector<KeptPolicy> kept_policies(const fs::path& run) {
  std::vector<KeptPolicy> kept;
  const int iterations =
      fs::exists(run / metrics_file) ? static_cast<int>(read_metrics(run / metrics_file).rows.size()) : 0;
  if (fs::exists(run / policies_folder))
    for (const fs::path& file : entries(run / policies_folder))
      if (const int number = policy_number(file); number >= 0 && number < iterations) kept.push_back({number, file});
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.iterations < b.iterations; });
  kept.push_back({iterations, run / policy_file});
  return kept;
}

// ---- status

void require_run(const fs::path& path) {
  std::error_code error;
  const auto type_of = [&](const fs::path& file) {
    const fs::file_type type = fs::status(file, error).type();
    if (type == fs::file_type::none)
      throw InputError(fmt::format("{}: cannot be read: {}", file.string(), reason(error)));
    return type;
  };
  const fs::file_type type = type_of(path);
  if (type == fs::file_type::not_found) throw InputError(fmt::format("{}: no such directory", path.string()));
  if (type != fs::file_type::directory) throw InputError(fmt::format("{}: is not a directory", path.string()));
  if (type_of(path / run_toml_file) == fs::file_type::not_found)
    throw InputError(fmt::format("{}: is not a run directory: it has no {}", path.string(), run_toml_file));
}

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
