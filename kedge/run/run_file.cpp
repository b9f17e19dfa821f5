#include "kedge/run/run_file.h"

#include <fmt/format.h>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/files/checksum.h"
#include "kedge/files/toml_value.h"

namespace kedge {

namespace {

constexpr std::int64_t kFormat = 1;

std::string quoted(const std::string& value) { return value_text(OptionValue{value}); }

std::string text(const Value& table, const char* key) { return table.require(key).text(); }

/// A text that may have several lines: paths and settings of the task are what the user likes.
std::string any_text(const Value& value) {
  const auto found = value.node().value_exact<std::string>();
  if (!found) value.fail(fmt::format("must be a text in quotes, but is {}", value.describe()));
  return *found;
}

}  // namespace

std::string run_file_text(const RunFile& run) {
  std::string overrides;
  for (const std::string& o : run.task_overrides) overrides += (overrides.empty() ? "" : ", ") + quoted(o);
  const std::string from =
      run.from.empty() ? "" : fmt::format("from = {}\nfrom_digest = {}\n", quoted(run.from), quoted(run.from_digest));
  std::string text = fmt::format(
      "# A run of kedge, in full. `kedge resume` on this directory continues it. To repeat it from the start:\n"
      "#   kedge train task --algorithm {} --seed {} --config run.toml{} --out NEW\n"
      "format = {}\n"
      "algorithm = {}\n"
      "seed = {}\n"
      "record_updates = {}\n{}\n"
      "[task]\n"
      "name = {}\n"
      "source = {}  # the run reads its own copy: task/task.toml\n"
      "overrides = [{}]\n"
      "digest = {}\n\n"
      "[options]\n",
      run.algorithm, run.seed, run.from.empty() ? "" : " --from ...", kFormat, quoted(run.algorithm), run.seed,
      run.record_updates, from, quoted(run.task), quoted(run.task_source.generic_string()), overrides,
      quoted(run.task_digest));
  for (const Option& option : run.options)
    if (!run.younger.contains(option.name)) text += fmt::format("{} = {}\n", option.name, value_text(option.value));
  const Versions& v = run.versions;
  text += fmt::format("\n[versions]\nkedge = {}\ncommit = {}\nmujoco = {}\neigen = {}\ncompiler = {}\nbuild = {}\n",
                      quoted(v.kedge), quoted(v.commit), quoted(v.mujoco), quoted(v.eigen), quoted(v.compiler),
                      quoted(v.build));
  return text;
}

RunFile read_run_file(const std::filesystem::path& directory) {
  const FileName file = Directory(directory) / "run.toml";
  const std::string path = file.string();
  const toml::table document = read_toml(file);
  const Value root(document, "", path);
  root.allow({"format", "algorithm", "seed", "record_updates", "from", "from_digest", "task", "options", "versions"});

  const Value format = root.require("format");
  if (format.node().value_exact<std::int64_t>() != kFormat)
    format.fail(fmt::format("must be {}, which this kedge reads, but is {}", kFormat, format.describe()));
  RunFile run;
  run.algorithm = text(root, "algorithm");
  const Value seed = root.require("seed");
  const auto seed_number = seed.node().value_exact<std::int64_t>();
  if (!seed_number || *seed_number < 0)
    seed.fail(fmt::format("must be a whole number >= 0, but is {}", seed.describe()));
  run.seed = static_cast<std::uint64_t>(*seed_number);
  const Value record = root.require("record_updates");
  const auto record_value = record.node().value_exact<bool>();
  if (!record_value) record.fail(fmt::format("must be true or false, but is {}", record.describe()));
  run.record_updates = *record_value;

  if (const auto from = root.find("from")) {
    run.from = any_text(*from);
    run.from_digest = text(root, "from_digest");
  }

  const Value task = root.require("task");
  task.allow({"name", "source", "overrides", "digest"});
  run.task = text(task, "name");
  run.task_source = any_text(task.require("source"));
  for (const Value& o : task.require("overrides").elements()) run.task_overrides.push_back(any_text(o));
  run.task_digest = text(task, "digest");

  try {
    run.options = find_algorithm(run.algorithm).options();
  } catch (const InputError& error) {
    root.require("algorithm").fail(error.what());
  }
  const Value options = root.require("options");
  set_options(run.options, options);
  for (const Option& option : run.options)
    if (!options.find(option.name)) run.younger.insert(option.name);

  const Value v = root.require("versions");
  run.versions = {.kedge = text(v, "kedge"),
                  .commit = text(v, "commit"),
                  .mujoco = text(v, "mujoco"),
                  .eigen = text(v, "eigen"),
                  .compiler = text(v, "compiler"),
                  .build = text(v, "build")};
  return run;
}

std::string options_digest(const RunFile& run) {
  std::string text = run.algorithm;
  if (!run.from_digest.empty()) text += fmt::format("\nfrom {}", run.from_digest);
  for (const Option& option : run.options)
    if (option.name != "iterations" && !run.younger.contains(option.name))
      text += fmt::format("\n{} = {}", option.name, value_text(option.value));
  return digest(text);
}

}  // namespace kedge
