#include "kedge/run/run_files.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <set>

#include "kedge/core/errors.h"
#include "kedge/files/event_file.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/metrics_file.h"
#include "kedge/run/written_files.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

/// What changes with every iteration, in the order in which it is deleted: without a checkpoint a run has not begun.
constexpr std::array data_files = {kCheckpointFile, kPolicyFile, kUpdatesFile, kMetricsFile,
                                   kTimingsFile,    kEventsFile, kStepsFile,   kWarningsFile};
constexpr std::array other_files = {kRunToml, WrittenFiles::file_name, kLockFile};

constexpr int deepest_folder = 32;
constexpr std::size_t most_entries = 10'000;  ///< in a folder of a run and the folders in it
constexpr mode_t may_write = 0222;
constexpr std::uint64_t max_bytes = 1ull << 32;

void require_plain(const Directory& folder, const std::string& name, Use use) {
  const auto info = folder.status(name);
  if (!info) return;
  const auto refuse = [&](const std::string& why) {
    throw InputError(fmt::format("{}: {}", folder.path_of(name), why));
  };
  if (!S_ISREG(info->st_mode)) refuse(fmt::format("is {}, but must be a regular file", kind_of_file(info->st_mode)));
  if (use == Use::read) return;
  if (info->st_nlink > 1) refuse("is a hard link to another file, which would change with it");
  if ((info->st_mode & may_write) == 0) refuse("is write-protected");
}

/// The names of the files below a folder of the run, "task/model/arm.xml". @throws InputError if one is not a regular file
/// @param entries  how many were looked at
void add_files_below(const Directory& folder, const std::string& prefix, int depth, std::size_t& entries,
                     std::vector<std::string>& names) {
  if (depth == deepest_folder)
    throw InputError(fmt::format("{}: is more than {} folders deep", folder.path().string(), deepest_folder));
  for (const std::string& name : folder.names()) {
    if (++entries > most_entries)
      throw InputError(fmt::format("{}: has more than {} files and folders", folder.path().string(), most_entries));
    const auto info = folder.status(name);
    if (info && S_ISDIR(info->st_mode)) {
      if (const auto next = folder.folder(name)) add_files_below(*next, prefix + name + '/', depth + 1, entries, names);
      continue;
    }
    require_plain(folder, name, Use::read);
    names.push_back(prefix + name);
  }
}

std::vector<std::string> files_below(const Directory& run, const char* name) {
  std::vector<std::string> names;
  std::size_t entries = 0;
  if (const auto folder = run.folder(name)) add_files_below(*folder, fmt::format("{}/", name), 0, entries, names);
  return names;
}

/// The folders of listed files, "task/model" before "task".
std::set<std::string, std::greater<>> folders_of(const WrittenFiles& written) {
  std::set<std::string, std::greater<>> folders;
  for (const std::string& name : written.names())
    for (std::size_t end = name.find('/'); end != std::string::npos; end = name.find('/', end + 1))
      folders.insert(name.substr(0, end));
  return folders;
}

/// Is it what kedge writes under this name? An empty file is nobody's work.
bool is_data(const FileName& file) {
  const std::string& name = file.name();
  const std::string bytes = read_file(file, max_bytes);
  if (bytes.empty()) return true;
  if (name.ends_with(".h5")) return hdf5::is_sealed(bytes);
  if (name == kEventsFile) return event_prefix(bytes, std::numeric_limits<std::int64_t>::max()) > 0;
  try {
    if (name == kWarningsFile)
      static_cast<void>(read_warnings(file));
    else
      static_cast<void>(name == kStepsFile ? read_steps(file) : read_metrics(file));
    return bytes.find('\n') != std::string::npos;
  } catch (const InputError&) {
    return false;
  }
}

[[noreturn]] void refuse(const std::string& path, const char* what) {
  throw InputError(fmt::format("{}: {}: --force does not replace it; move it away", path, what));
}

}  // namespace

Directory open_run_directory(const fs::path& path, Use use) {
  Directory run(path);
  if (!run.status(kRunToml))
    throw InputError(fmt::format("{}: is not a run directory: it has no {}", path.string(), kRunToml));
  require_plain_files(run, use);
  return run;
}

void require_plain_files(const Directory& run, Use use) {
  for (const char* name : other_files) require_plain(run, name, use);
  for (const char* name : data_files) require_plain(run, name, use);
  static_cast<void>(files_below(run, kTaskFolder));
  if (const auto policies = run.folder(kPoliciesFolder))
    for (const std::string& name : policies->names())
      if (policy_number(name) >= 0) require_plain(*policies, name, Use::read);
}

bool is_run_name(const std::string& name) {
  return std::ranges::find(data_files, name) != data_files.end() ||
         std::ranges::find(other_files, name) != other_files.end() || name == kTaskFolder || name == kPoliciesFolder;
}

int policy_number(const std::string& name) {
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && number >= 0 && name == policy_name(number) ? number : -1;
}

std::string policy_name(int iterations) { return fmt::format("{:05}.h5", iterations); }

std::vector<std::string> require_replaceable(const Directory& run) {
  require_plain_files(run, Use::write);
  const WrittenFiles written = WrittenFiles::read(run);
  const bool is_run = run.status(kRunToml).has_value();
  constexpr const char *foreign = "is there already, but not from a run", *changed = "is not as kedge wrote it";
  if (is_run && !written.owns(run, kRunToml)) refuse(run.path_of(kRunToml), changed);
  for (const char* name : {kTaskFolder, kPoliciesFolder})
    if (!is_run && run.status(name)) refuse(run.path_of(name), foreign);
  for (const char* name : data_files)
    if (const auto info = run.status(name); info && !(is_run && is_data(run / name)))
      refuse(run.path_of(name), is_run ? changed : foreign);
  for (const std::string& name : files_below(run, kTaskFolder))
    if (!written.owns(run, name)) refuse(run.path_of(name), changed);
  for (const std::string& name : written.names())  // a folder may be where a file was
    if (const auto file = find_file(run, name)) require_plain(*file->folder(), file->name(), Use::read);

  std::vector<std::string> left;
  if (const auto policies = run.folder(kPoliciesFolder))
    for (const std::string& name : policies->names()) {
      const std::string path = fmt::format("{}/{}", kPoliciesFolder, name);
      if (written.owns(run, path)) continue;
      if (policy_number(name) >= 0) refuse(run.path_of(path), changed);
      left.push_back(path);
    }
  const auto is_ours = [](const std::string& name) {
    return std::ranges::find(data_files, name) != data_files.end() ||
           std::ranges::find(other_files, name) != other_files.end() || name == kTaskFolder || name == kPoliciesFolder;
  };
  for (const std::string& name : run.names())
    if (!is_ours(name)) left.push_back(name);
  return left;
}

void delete_run(const Directory& run) {
  const WrittenFiles written = WrittenFiles::read(run);
  for (const char* name : data_files)
    if (const auto info = run.status(name);
        info && S_ISREG(info->st_mode) && info->st_nlink == 1 && is_data(run / name))
      run.remove(name, *info);
  for (const std::string& name : written.names())
    if (name != kRunToml) written.remove(run, name);
  for (const std::string& name : folders_of(written))
    if (const auto folder = find_file(run, name)) folder->folder()->remove_empty_folder(folder->name());
}

}  // namespace kedge
