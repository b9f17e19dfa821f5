// kedge list, kedge validate
#include <fmt/format.h>

#include <memory>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/core/memory.h"
#include "kedge/files/policy_file.h"
#include "kedge/run/option_text.h"
#include "kedge/run/verdict.h"
#include "kedge/tasks/bundled.h"
#include "print.h"
#include "progress.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

/// Returns a text as the entry of a Markdown table.
std::string table_entry(const std::string& text) {
  std::string entry;
  for (const char c : text) entry += c == '|' ? std::string("\\|") : std::string(1, c);
  return entry;
}

/// Prints the table of options in docs/algorithms (scripts/option_tables.sh).
void print_option_table(const Algorithm& algorithm) {
  fmt::print("| option | default | unit | allowed | meaning | paper |\n|---|---|---|---|---|---|\n");
  for (const Option& option : algorithm.options())
    fmt::print("| `{}` | `{}` | {} | {} | {} | {} |\n", option.name, value_text(option.value), option.unit,
               allowed_text(option), table_entry(option.meaning), table_entry(option.source));
}

void print_options(const Algorithm& algorithm) {
  fmt::print("options of {}, for {}.toml beside a task and for --set:\n", algorithm.name, algorithm.name);
  for (const Option& option : algorithm.options())
    fmt::print("\n  {} = {}    # {}{}{}\n      {}{}\n", option.name, value_text(option.value), allowed_text(option),
               option.unit.empty() ? "" : ", ", option.unit, option.meaning,
               option.source.empty() ? "" : fmt::format(" ({})", option.source));
}

void print_all() {
  fmt::print("tasks:\n");
  for (const BundledTask& bundled : bundled_tasks()) {
    // A broken task does not hide the others.
    try {
      fmt::print("  {:<20} {}\n", bundled.name, load_task(bundled.file).task.summary);
    } catch (const InputError& e) {
      fmt::print("  {:<20} cannot be used: {}\n", bundled.name, e.what());
    }
  }
  fmt::print("\nalgorithms (kedge list --options NAME):\n");
  for (const Algorithm& algorithm : algorithms()) fmt::print("  {:<20} {}\n", algorithm.name, algorithm.summary);
  fmt::print("\npolicies:\n");
  for (const PolicyKind& policy : policy_kinds()) fmt::print("  {:<20} {}\n", policy.name, policy.summary);
}

/// A line for each algorithm, and below it what the numbers say.
std::string verdicts_text(const std::vector<Verdict>& all) {
  std::string text = "  algorithms   with their defaults and the option files beside the task\n";
  for (const Verdict& v : all) {
    if (!v.refusal.empty()) {
      text += fmt::format("    {:<14} refused: {}\n", v.algorithm, v.refusal);
      continue;
    }
    text += fmt::format("    {:<14} ready: an iteration simulates {:.0f} steps, takes about {} and {}\n", v.algorithm,
                        v.needs.steps, v.seconds < 1 ? fmt::format("{:.1g} s", v.seconds) : duration_text(v.seconds),
                        memory_text(v.needs.bytes));
    for (const std::string& note : v.needs.notes) text += fmt::format("    {:<14}   {}\n", "", note);
    for (const std::string& proposal : v.needs.proposals) text += fmt::format("    {:<14}   try {}\n", "", proposal);
  }
  return text;
}

}  // namespace

std::function<int()> add_list(CLI::App& app) {
  struct Arguments {
    std::string algorithm;
    bool markdown = false;
  };
  auto a = std::make_shared<Arguments>();
  auto* options = app.add_option("--options", a->algorithm, "the options of this algorithm")->type_name("ALGORITHM");
  app.add_flag("--markdown", a->markdown, "the options as a Markdown table")->needs(options);
  return [a] {
    if (a->algorithm.empty())
      print_all();
    else if (a->markdown)
      print_option_table(find_algorithm(a->algorithm));
    else
      print_options(find_algorithm(a->algorithm));
    return kDone;
  };
}

std::function<int()> add_validate(CLI::App& app) {
  struct Arguments {
    std::string task;
    std::vector<std::string> set;
  };
  auto a = std::make_shared<Arguments>();
  add_task(app, a->task);
  add_set(app, a->set);
  return [a] {
    std::vector<Override> overrides;
    for (const std::string& text : a->set) {
      const Assignment set = parse_assignment(text);
      overrides.emplace_back(set.key.starts_with("task.") ? set.key.substr(5) : set.key, set.value);
    }
    const std::filesystem::path file = find_task(a->task);
    const TaskFile task = [&] {
      const WaitNotice notice(reading_text(file.string()));
      return load_task(file, overrides);
    }();
    const std::vector<Verdict> all = verdicts(file, task, overrides, all_cores());
    for (const std::string& warning : task.warnings) print_warning(warning);
    fmt::print("{}", task_text(task.task));
    for (const std::string& law : task.joint_limits) fmt::print("  joint limit  {}\n", law);
    if (task.task.demonstration)
      fmt::print("  shown        {} steps by {}\n", task.task.demonstration->steps(), task.demonstration_text);
    fmt::print("  files        {}\n", file.string());
    for (const std::string& used : task.files) fmt::print("               {}\n", used);
    fmt::print("{}ok\n", verdicts_text(all));
    return kDone;
  };
}

}  // namespace kedge::cli
