#include "kedge/tasks/bundled.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>
#include <system_error>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

const char* const kTaskFile = "task.toml";

}  // namespace

std::vector<fs::path> resource_folders(const char* variable, const char* name) {
  std::vector<fs::path> folders;
  if (const char* value = std::getenv(variable)) {
    std::istringstream list(value);
    for (std::string folder; std::getline(list, folder, ':');)
      if (!folder.empty()) folders.emplace_back(folder);
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "share" / "kedge" / name);
  folders.push_back(fs::path(KEDGE_SOURCE_DIR) / name);
  return folders;
}

std::vector<BundledTask> bundled_tasks() {
  std::map<std::string, fs::path> found;
  for (const fs::path& folder : resource_folders("KEDGE_TASKS", "tasks")) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      const fs::path file = entry->path() / kTaskFile;
      std::error_code ignored;
      if (fs::exists(file, ignored)) found.emplace(entry->path().filename().string(), file);
    }
  }
  std::vector<BundledTask> tasks;
  for (const auto& [name, file] : found) tasks.push_back({name, file});
  return tasks;
}

fs::path find_task(const std::string& name_or_path) {
  std::vector<std::string> names;
  for (const BundledTask& task : bundled_tasks()) {
    if (task.name == name_or_path) return task.file;
    names.push_back(task.name);
  }
  const fs::path path = name_or_path;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (fs::exists(path / kTaskFile, error)) return path / kTaskFile;
    throw InputError(fmt::format("{}: is a folder without a {}", one_line(name_or_path), kTaskFile));
  }
  if (fs::exists(path, error)) return path;
  const bool is_path = name_or_path.find('/') != std::string::npos || path.extension() == ".toml";
  if (is_path) throw InputError(fmt::format("{}: there is no such task file", one_line(name_or_path)));
  throw InputError(fmt::format("unknown task '{}'{}; or give the path of a task file", one_line(name_or_path),
                               hint(name_or_path, names)));
}

fs::path common_folder(const TaskFile& task) {
  fs::path common = fs::path(task.files.front()).parent_path();
  for (const std::string& file : task.files) {
    const fs::path folder = fs::path(file).parent_path();
    fs::path shared;
    for (auto a = common.begin(), b = folder.begin(); a != common.end() && b != folder.end() && *a == *b; ++a, ++b)
      shared /= *a;
    common = shared;
  }
  return common;
}

std::vector<fs::path> relative_files(const TaskFile& task) {
  const fs::path common = common_folder(task);
  std::vector<fs::path> relative;
  for (const std::string& file : task.files) relative.push_back(fs::path(file).lexically_relative(common));
  return relative;
}

}  // namespace kedge
