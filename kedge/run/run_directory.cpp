#include "kedge/run/run_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/path_error.h"
#include "kedge/files/event_file.h"
#include "kedge/files/metrics_file.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr int most_policies = 16;  ///< in policies/, but for the best
constexpr std::uint64_t max_text_bytes = 1u << 30;
constexpr std::chrono::seconds sync_interval{1};

std::string reason(int error) { return std::generic_category().message(error); }

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string read_if_exists(const FileName& file) {
  return exists(file) ? read_file(file, max_text_bytes) : std::string();
}

/// Deletes the temporary files that a killed process left in a folder and the folders in it.
void remove_temporaries_below(const Directory& folder, const std::string& start) {
  remove_temporaries(folder, start);
  for (const std::string& name : folder.names())
    if (const auto info = folder.status(name); info && S_ISDIR(info->st_mode))
      if (const auto next = folder.folder(name)) remove_temporaries_below(*next, start);
}

struct flock whole_file(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// The name of a kept policy in the run, "policies/00040.h5", and back; -1: it is none.
std::string kept_name(int iterations) { return fmt::format("{}/{}", kPoliciesFolder, policy_name(iterations)); }

int kept_number(const std::string& name) {
  const std::string start = fmt::format("{}/", kPoliciesFolder);
  return name.starts_with(start) ? policy_number(name.substr(start.size())) : -1;
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

/// What a lock file holds: a temporary_start() and the end of the line, or the beginning of that if its writer was killed.
bool is_lock_text(std::string_view text) {
  constexpr std::string_view pattern = ".kedge-xxxxxxxx-xxxxxxxxxxxxxxxx-\n";
  const auto fits = [](char c, char expected) {
    return expected == 'x' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == expected;
  };
  return text.size() <= pattern.size() && std::equal(text.begin(), text.end(), pattern.begin(), fits);
}

}  // namespace

// ---- lock

// Locks of the open file description: like flock, but they can be asked for without being taken, and they work between
// machines on network file systems.
DirectoryLock::DirectoryLock(const Directory& directory) : path_(directory.path_of(kLockFile)) {
  file_ = FileDescriptor(
      ::openat(directory.descriptor(), kLockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  if (file_.number() < 0) fail_by_path(fmt::format("{}: cannot be written", path_), errno);
  struct stat info = {};
  if (::fstat(file_.number(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink > 1)
    throw InputError(fmt::format("{}: is not a lock file of kedge", path_));
  struct flock lock = whole_file(F_WRLCK);
  if (::fcntl(file_.number(), F_OFD_SETLK, &lock) != 0) {
    const int error = errno;
    if (error == EAGAIN || error == EACCES)
      throw InputError(fmt::format("{}: is being written by another process", directory.path().string()));
    throw SystemError(fmt::format("{}: cannot be locked: {}", path_, reason(error)));
  }
  try {
    previous_ = read_bytes(file_, temporary_start().size() + 1, path_);
  } catch (const InputError&) {  // longer
    throw InputError(fmt::format("{}: is not a lock file of kedge", path_));
  }
  if (!is_lock_text(previous_)) throw InputError(fmt::format("{}: is not a lock file of kedge", path_));
  if (!previous_.ends_with('\n')) previous_.clear();
  if (!previous_.empty()) previous_.pop_back();
}

void DirectoryLock::sign() const {
  const std::string text = temporary_start() + '\n';
  for (std::size_t at = 0; at < text.size();) {  // what stops a short write, the next one says
    const ssize_t written = ::pwrite(file_.number(), text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      throw SystemError(fmt::format("{}: cannot be written: {}", path_, reason(written < 0 ? errno : ENOSPC)));
    at += static_cast<std::size_t>(written);
  }
}

bool DirectoryLock::held(const fs::path& directory) {
  try {
    const FileDescriptor file = open_regular_file(directory / kLockFile, Links::refuse);
    struct flock lock = whole_file(F_RDLCK);
    return ::fcntl(file.number(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  } catch (const InputError&) {
    return false;
  }
}

// ---- run

namespace {

/// Nobody's work is in it: at most what a process left that was killed while it created the run.
bool is_free(const Directory& directory) {
  for (const std::string& name : directory.names())
    if (name != kLockFile && name != WrittenFiles::file_name && !name.starts_with(".kedge-")) return false;
  return true;
}

}  // namespace

RunDirectory RunDirectory::create(const fs::path& path, const std::string& run_toml_text, bool force) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    throw InputError(fmt::format("{}: exists and is not a directory", path.string()));
  fs::create_directories(path, error);
  if (error) fail_by_path(fmt::format("{}: cannot be created", path.string()), error.value());
  const Directory directory(path);
  const auto check = [&]() -> std::vector<std::string> {
    if (force) return require_replaceable(directory);
    if (!is_free(directory))
      throw InputError(fmt::format("{}: is not empty; choose another directory, or --force to replace the run in it",
                                   path.string()));
    require_plain_files(directory, Use::write);
    return {};
  };
  check();  // before a lock file is put there
  RunDirectory run(directory);
  run.remove_leftovers();
  run.left_ = check();
  run.take_over();
  if (force) delete_run(directory);
  run.write_run_toml(run_toml_text, {});
  return run;
}

RunDirectory RunDirectory::open(const fs::path& path) {
  RunDirectory run(open_run_directory(path, Use::write));
  run.run_toml_ = read_file(run.directory_ / kRunToml, max_text_bytes);
  return run;
}

void RunDirectory::take_over() {
  if (std::exchange(taken_over_, true)) return;
  remove_leftovers();
  lock_.sign();
}

/// Deletes the temporary files of the process that had the directory before.
void RunDirectory::remove_leftovers() const {
  if (lock_.previous().empty()) return;
  remove_temporaries(directory_, lock_.previous());
  if (const auto policies = directory_.folder(kPoliciesFolder)) remove_temporaries(*policies, lock_.previous());
  if (const auto task = directory_.folder(kTaskFolder)) remove_temporaries_below(*task, lock_.previous());
}

void RunDirectory::require_own_run_toml() const {
  if (!WrittenFiles::read(directory_).owns(directory_, kRunToml))
    throw InputError(fmt::format("{}: is not as kedge wrote it and is not replaced", directory_.path_of(kRunToml)));
}

void RunDirectory::replace_run_toml(const std::string& text) {
  WrittenFiles others = WrittenFiles::read(directory_);
  others.forget(kRunToml);
  take_over();
  write_run_toml(text, std::move(others));
  written_ = saved_ = WrittenFiles::read(directory_);
}

/// @param others  what is on the list of written files afterwards, besides run.toml
void RunDirectory::write_run_toml(const std::string& text, WrittenFiles others) {
  WrittenFiles both = WrittenFiles::read(directory_);  // the old one and the new one, while this replaces that
  both.add(kRunToml, text);
  both.save(directory_, Durability::power);
  write_file(directory_ / kRunToml, text, Durability::power);
  others.add(kRunToml, text);
  others.save(directory_, Durability::power);
  run_toml_ = text;
}

void RunDirectory::discard() && {
  delete_run(directory_);
  for (const char* name : {kRunToml, WrittenFiles::file_name, kLockFile})
    if (const auto info = directory_.status(name); info && S_ISREG(info->st_mode)) directory_.remove(name, *info);
  std::error_code error;
  fs::remove(path(), error);  // not if something else is in it
}

bool RunDirectory::began() const { return exists(directory_ / kCheckpointFile); }

void RunDirectory::begin(const RunIdentity& identity, const PolicyInfo& info, const Snapshot& state,
                         bool record_updates) {
  if (began()) throw InputError(fmt::format("{}: has begun already", path().string()));
  if (!read_if_exists(directory_ / kMetricsFile).empty())
    throw InputError(
        fmt::format("{}: missing, but the run has completed iterations", directory_.path_of(kCheckpointFile)));
  written_ = saved_ = WrittenFiles::read(directory_);
  require_free_policies(0);
  take_over();
  info_ = info;
  header_ = {};
  header_.identity = identity;
  header_.iteration = state.loop.iteration;
  header_.record_updates = record_updates;
  open_appended("", 0);
  if (record_updates) {
    updates_.emplace(directory_ / kUpdatesFile);
    updates_->save(Durability::power);
  }
  sync_appended();
  policy_ = policy_bytes(state.policy, info_);
  write_file(directory_ / kPolicyFile, policy_, Durability::power);
  save_checkpoint(directory_ / kCheckpointFile, header_, state.fields, Durability::power);
  synced_ = std::chrono::steady_clock::now();
}

Checkpoint RunDirectory::resume(const RunIdentity& identity, const PolicyInfo& info,
                                const std::function<void(const Fields&)>& check) {
  Checkpoint checkpoint = load_checkpoint(directory_ / kCheckpointFile);
  require_same_run(checkpoint.header.identity, identity, directory_.path_of(kCheckpointFile));
  if (check) check(checkpoint.state);
  const int iterations = checkpoint.header.iteration;
  written_ = saved_ = WrittenFiles::read(directory_);
  require_free_policies(iterations);
  info_ = info;
  header_ = checkpoint.header;
  if (header_.record_updates) updates_.emplace(directory_ / kUpdatesFile, iterations);
  take_over();
  open_appended(header_.metrics, iterations);
  // A process that was killed before it wrote the checkpoint may have written the next policy.
  policy_ = policy_bytes(policy_in(checkpoint.state), info_);
  write_file(directory_ / kPolicyFile, policy_, Durability::process);
  const MetricsTable table = read_metrics(directory_ / kMetricsFile);
  if (const int mean = table.column("return_mean"); mean >= 0)
    for (std::size_t i = 0; i < table.rows.size(); ++i) note_return(static_cast<int>(i), table.rows[i][mean]);
  tidy_policies(iterations);
  if (written_ != saved_) written_.save(directory_, Durability::process);
  saved_ = written_;
  return checkpoint;
}

void RunDirectory::note_return(int iteration, double mean) {
  if (std::isnan(mean) || (best_ >= 0 && mean <= best_return_)) return;
  best_ = iteration;
  best_return_ = mean;
}

/// @throws InputError if a name that the run will use in policies/ belongs to somebody else
void RunDirectory::require_free_policies(int iterations) const {
  const auto folder = directory_.folder(kPoliciesFolder);
  if (!folder) return;
  for (const std::string& name : folder->names())
    if (const int number = policy_number(name); number >= iterations && !written_.owns(directory_, kept_name(number)))
      throw InputError(
          fmt::format("{}: is there already, but the run did not write it; move it away", folder->path_of(name)));
}

/// Deletes the run's own files in policies/ that are not kept after so many iterations; see kept_policies.
void RunDirectory::tidy_policies(int iterations) {
  for (const std::string& name : written_.names()) {
    const int number = kept_number(name);
    if (number < 0 || (number < iterations && (number == best_ || is_nth(number, iterations - 1)))) continue;
    written_.remove(directory_, name);
    written_.forget(name);
  }
}

/// Keeps the policy that made the rollouts of an iteration.
void RunDirectory::keep_policy(int number, Durability durability) {
  const FileName file = directory_.make_folder(kPoliciesFolder) / policy_name(number);
  written_.add(kept_name(number), policy_);
  if (exists(file)) {  // from a commit that failed afterwards
    if (written_.owns(directory_, kept_name(number))) return;
    written_.forget(kept_name(number));
    throw SystemError(fmt::format("{}: is there already, but the run did not write it", file.string()));
  }
  written_.save(directory_, durability);
  saved_ = written_;
  write_file(file, policy_, durability);
}

/// Opens the files that grow, cut to what belongs to the completed iterations. Only metrics.csv must be whole: it is
/// what runs are compared by, and it can be restored.
void RunDirectory::open_appended(const std::string& metrics, int iterations) {
  const FileName timings = directory_ / kTimingsFile, warnings = directory_ / kWarningsFile,
                 events = directory_ / kEventsFile;
  if (!read_if_exists(directory_ / kMetricsFile).starts_with(metrics))
    write_file(directory_ / kMetricsFile, metrics, Durability::process);
  metrics_ = AppendFile(directory_ / kMetricsFile, metrics.size());
  timings_ = AppendFile(timings, iterations == 0 ? 0 : csv_prefix(read_if_exists(timings), iterations));
  warnings_ = AppendFile(warnings, csv_prefix(read_if_exists(warnings), iterations));
  events_ = AppendFile(events, event_prefix(read_if_exists(events), iterations));
  if (events_.length() == 0) events_.append(event_file_start(wall_time()));
}

void RunDirectory::sync_appended() {
  metrics_.sync();
  timings_.sync();
  warnings_.sync();
  events_.sync();
}

void RunDirectory::commit(const Iteration& iteration, const Snapshot& state, const UpdateRecord* record) try {
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
  header.iteration = state.loop.iteration;
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
    write_file(directory_ / kStepsFile, steps_csv(iteration.number, iteration.steps), Durability::process);
    if (durability == Durability::power) sync_appended();
    if (updates_ && record != nullptr) updates_->append(*record, durability);
    if (best_ == iteration.number || is_nth(iteration.number, iteration.number))
      keep_policy(iteration.number, durability);
    write_file(directory_ / kPolicyFile, policy, durability);
    save_checkpoint(directory_ / kCheckpointFile, header, state.fields, durability);
  } catch (...) {
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
} catch (const InputError& error) {
  throw SystemError(error.what());  // it was in order when the run was opened: somebody changes the directory
}

void RunDirectory::finish(Stop stop, const std::string& message, const Snapshot& state) {
  CheckpointHeader header = header_;
  header.iteration = state.loop.iteration;
  if (stop != Stop::cancelled) {
    header.stop = stop;
    header.message = message;
  }
  sync_appended();
  if (updates_) updates_->save(Durability::power);
  if (written_ != saved_) written_.save(directory_, Durability::power);
  saved_ = written_;
  save_policy(directory_ / kPolicyFile, state.policy, info_, Durability::power);
  save_checkpoint(directory_ / kCheckpointFile, header, state.fields, Durability::power);
  header_ = std::move(header);
}

// ---- policies

std::vector<KeptPolicy> kept_policies(const fs::path& path) {
  const Directory run = open_run_directory(path);
  const FileName metrics = run / kMetricsFile;
  const int iterations = exists(metrics) ? static_cast<int>(read_metrics(metrics).rows.size()) : 0;
  std::vector<KeptPolicy> kept;
  const WrittenFiles written = WrittenFiles::read(run);
  for (const std::string& name : written.names()) {
    const int number = kept_number(name);
    const auto file = number >= 0 && number < iterations ? find_file(run, name) : std::nullopt;
    if (!file || !exists(*file)) continue;
    if (!written.has(run, name))
      throw InputError(fmt::format("{}: is not as kedge wrote it; remove it, or move it away", file->string()));
    kept.push_back({number, *file});
  }
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.iterations < b.iterations; });
  kept.push_back({iterations, run / kPolicyFile});
  return kept;
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
  const Directory run(path);
  if (!run.status(kRunToml))
    throw InputError(fmt::format("{}: is not a run directory: it has no {}", path.string(), kRunToml));
  const bool training = DirectoryLock::held(path);
  RunStatus status;
  status.state = training ? RunState::training : RunState::interrupted;
  try {
    require_plain_files(run, Use::read);
    if (!exists(run / kCheckpointFile)) {
      if (!training && !read_if_exists(run / kMetricsFile).empty())
        throw InputError(
            fmt::format("{}: missing, but the run has completed iterations", run.path_of(kCheckpointFile)));
      return status;
    }
    const Checkpoint checkpoint = load_checkpoint(run / kCheckpointFile);
    status.iterations = checkpoint.header.iteration;
    if (training) return status;
    if (checkpoint.header.stop == Stop::max_iterations || checkpoint.header.stop == Stop::converged)
      status.state = RunState::finished;
    status.converged = checkpoint.header.stop == Stop::converged;
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
