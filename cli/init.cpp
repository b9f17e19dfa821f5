// kedge init
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/directory.h"
#include "kedge/tasks/starter.h"
#include "kedge/tasks/task_file.h"
#include "progress.h"
#include "signals.h"
#include "verbs.h"

namespace kedge::cli {

namespace fs = std::filesystem;

namespace {

/// The folders of a path that are not there yet, the innermost first.
std::vector<fs::path> missing_folders(fs::path folder) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (; !folder.empty() && !fs::exists(fs::symlink_status(folder, error)); folder = folder.parent_path())
    missing.push_back(folder);
  return missing;
}

/// Writes the task and reads it again. What is there already is never replaced, and nothing but what was written here is
/// removed: whatever happens to the folder meanwhile.
void write_task(const fs::path& file, const std::string& text, const fs::path& model, const std::stop_token& stop) {
  const std::string name = file.filename().string();
  const std::vector<fs::path> made = missing_folders(file.parent_path());
  std::error_code error;
  try {
    fs::create_directories(file.parent_path(), error);
    if (error) throw InputError(fmt::format("{}: cannot be created: {}", file.parent_path().string(), error.message()));
    const Directory folder(file.parent_path());
    const struct stat written = create_file(folder, name, text);
    try {
      static_cast<void>(load_task(file, {}, stop));
    } catch (const InputError& e) {
      folder.remove(name, written);
      throw InputError(fmt::format("{}: a first task for it is refused: {}", model.string(), e.what()));
    } catch (...) {
      folder.remove(name, written);
      throw;
    }
  } catch (...) {
    for (const fs::path& empty : made) fs::remove(empty, error);  // not if something is in it
    throw;
  }
}

}  // namespace

std::function<int()> add_init(CLI::App& app) {
  struct Arguments {
    std::string model, out;
  };
  auto a = std::make_shared<Arguments>();
  app.add_option("model", a->model, "a MuJoCo model (MJCF)")->type_name("MODEL")->required();
  app.add_option("--out", a->out, "folder of the task (default: one beside the model, with its name and _task)")
      ->type_name("DIR");
  return [a] {
    const SignalStop signals;
    const WaitNotice notice(reading_text(a->model));
    const fs::path model = a->model;
    const fs::path folder =
        a->out.empty() ? model.parent_path() / fmt::format("{}_task", model.stem().string()) : fs::path(a->out);
    const fs::path file = folder / "task.toml";
    std::error_code error;
    if (fs::exists(fs::symlink_status(file, error)))
      throw InputError(fmt::format("{}: is there already; choose another folder with --out", file.string()));
    const std::string text = starter_task(model, folder, signals.token());
    write_task(file, text, model, signals.token());
    const std::string word = shell_word(folder.string());
    fmt::print(
        "written: {0}/task.toml\nnext:\n  kedge validate {0}    # what it says, and which algorithm fits\n"
        "  kedge train {0} --algorithm ilqr    # the quickest first motion\n  kedge train {0}\n",
        word);
    return kDone;
  };
}

}  // namespace kedge::cli
