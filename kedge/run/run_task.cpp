#include "kedge/run/run_task.h"

#include <toml++/toml.h>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/toml_value.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

const char* const kTaskFile = "task.toml";
const char* const kCopy = "task";    // folder of the copy in a run directory
const char* const kModel = "model";  // folder of the model in the copy

/// Runs file operations; what the system refuses is a SystemError.
template <class F>
void on_disk(const F& operations) {
  try {
    operations();
  } catch (const fs::filesystem_error& e) {
    const fs::path& path = e.path2().empty() ? e.path1() : e.path2();
    throw SystemError(fmt::format("{}: cannot be written: {}", path.string(), e.code().message()));
  }
}

}  // namespace

void copy_task(const TaskFile& task, const fs::path& directory) {
  const fs::path copy = directory / kCopy;
  const std::vector<fs::path> relative = relative_files(task);
  on_disk([&] {
    fs::remove_all(copy);
    for (std::size_t i = 0; i < relative.size(); ++i) {
      const fs::path target = copy / kModel / relative[i];
      fs::create_directories(target.parent_path());
      if (i < task.model_files->size())
        write_file(target, (*task.model_files)[i].bytes, Durability::process);  // what was checked, whatever is there now
      else
        fs::copy_file(task.files[i], target);
    }
  });
  toml::table resolved = toml::parse(task.resolved_toml);
  const auto copied = [&](const std::string& file) {
    return (fs::path(kModel) / fs::path(file).lexically_relative(common_folder(task))).generic_string();
  };
  resolved.insert_or_assign("model", copied(task.model_path));
  if (resolved.contains("model_folder")) resolved.insert_or_assign("model_folder", kModel);
  if (!task.demonstration_path.empty())
    resolved["demonstration"].as_table()->insert_or_assign("file", copied(task.demonstration_path));
  write_file(copy / kTaskFile,
             "# The task of this run with every default written out; kedge refuses the run if it is changed.\n" +
                 write_toml(resolved),
             Durability::power);
}

TaskFile load_run_task(const fs::path& directory, const RunFile& run, const std::stop_token& stop) {
  const fs::path file = directory / kCopy / kTaskFile;
  TaskFile task = load_task(file, {}, stop);
  if (task.digest != run.task_digest)
    throw InputError(fmt::format("{}: the run's copy of its task was changed: digest {}, but the run began with {}",
                                 file.parent_path().string(), task.digest, run.task_digest));
  return task;
}

}  // namespace kedge
