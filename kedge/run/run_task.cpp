#include "kedge/run/run_task.h"

#include <fmt/format.h>

#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/run/run_files.h"
#include "kedge/run/written_files.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

const char* const kTaskFile = "task.toml";
const char* const kModel = "model";  // folder of the model in the copy
constexpr std::uint64_t kLargestFile = 1u << 30;

/// One file of the copy.
struct CopiedFile {
  std::string name;  ///< in the run: "task/model/arm.xml"
  std::string bytes;
};

/// The task's file, for which the copies of the model and the recording are the task's.
std::string copied_text(const TaskFile& task) {
  const auto copied = [&](const std::string& file) {
    return (fs::path(kModel) / fs::path(file).lexically_relative(common_folder(task))).generic_string();
  };
  return "# The task of this run with every default written out; kedge refuses the run if it is changed.\n" +
         resolved_text(task, {copied(task.model_path), kModel, copied(task.demonstration_path)});
}

std::vector<CopiedFile> copied_files(const TaskFile& task) {
  std::vector<CopiedFile> files;
  const std::vector<fs::path> relative = relative_files(task);
  for (std::size_t i = 0; i < relative.size(); ++i)
    files.push_back({fmt::format("{}/{}/{}", kTaskFolder, kModel, relative[i].generic_string()),
                     i < task.model_files->size()
                         ? (*task.model_files)[i].bytes  // what was checked, whatever is there now
                         : read_file(task.files[i], kLargestFile)});
  files.push_back({fmt::format("{}/{}", kTaskFolder, kTaskFile), copied_text(task)});
  return files;
}

/// Names a file in a run whose folders are made if they are not there.
FileName in_made_folders(const Directory& run, const std::string& name) {
  Directory folder = run;
  const fs::path path = name;
  for (const fs::path& part : path.parent_path()) folder = folder.make_folder(part.string());
  return folder / path.filename().string();
}

}  // namespace

void copy_task(const TaskFile& task, const Directory& run) {
  const std::vector<CopiedFile> files = copied_files(task);
  WrittenFiles written = WrittenFiles::read(run);
  std::vector<const CopiedFile*> missing;
  for (const CopiedFile& file : files) {
    written.add(file.name, file.bytes);
    const auto there = find_file(run, file.name);
    if (!there || !exists(*there))
      missing.push_back(&file);
    else if (read_file(*there, kLargestFile) != file.bytes)
      throw InputError(
          fmt::format("{}: is there already, but is not what kedge writes; move it away", there->string()));
  }
  written.save(run, Durability::power);
  for (const CopiedFile* file : missing) write_file(in_made_folders(run, file->name), file->bytes, Durability::power);
}

TaskFile load_run_task(const fs::path& directory, const RunFile& run, const std::stop_token& stop) {
  require_plain_files(Directory(directory), Use::read);
  const fs::path file = directory / kTaskFolder / kTaskFile;
  TaskFile task = load_task(file, {}, stop);
  if (task.digest != run.task_digest)
    throw InputError(fmt::format("{}: the run's copy of its task was changed: digest {}, but the run began with {}",
                                 file.parent_path().string(), task.digest, run.task_digest));
  return task;
}

}  // namespace kedge
