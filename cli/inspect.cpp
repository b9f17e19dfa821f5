// kedge list, kedge validate
#include <fmt/format.h>

#include <algorithm>
#include <map>
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

/// A line, and below it what the numbers say.
std::string verdict_text(const Verdict& v) {
  if (!v.refusal.empty()) return fmt::format("    {:<14} refused: {}\n", v.algorithm, v.refusal);
  std::string text = fmt::format(
      "    {:<14} ready: an iteration simulates {:.0f} steps, takes about {} and {}\n", v.algorithm, v.needs.steps,
      v.seconds < 1 ? fmt::format("{:.1g} s", v.seconds) : duration_text(v.seconds), memory_text(v.needs.bytes));
  for (const std::string& note : v.needs.notes) text += fmt::format("    {:<14}   {}\n", "", note);
  for (const std::string& proposal : v.needs.proposals) text += fmt::format("    {:<14}   try {}\n", "", proposal);
  return text;
}

/// What --set changes: the task, or an algorithm.
struct Changes {
  std::vector<Override> task;
  std::map<std::string, std::vector<Assignment>> options;  ///< by algorithm
};

/// @param set "KEY=VALUE" or "task.KEY=VALUE" of the task, "ALGORITHM.OPTION=VALUE"
Changes changes(const std::vector<std::string>& set) {
  Changes all;
  for (const std::string& text : set) {
    const Assignment assignment = parse_assignment(text);
    const std::string& key = assignment.key;
    const std::string first = key.substr(0, key.find('.'));
    if (first != key && std::ranges::find(algorithms(), first, &Algorithm::name) != algorithms().end())
      all.options[first].push_back({key.substr(first.size() + 1), assignment.value});
    else
      all.task.emplace_back(first == "task" ? key.substr(5) : key, assignment.value);
  }
  return all;
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
  add_set(app, a->set, "change the task, --set actions.limit=10, or an option, --set moto.epsilon=0.1");
  return [a] {
    Changes set = changes(a->set);
    const std::filesystem::path file = find_task(a->task);
    std::vector<Options> options;  // of each algorithm
    for (const Algorithm& algorithm : algorithms()) {
      options.push_back(options_beside(algorithm, file));
      for (const auto& [key, value] : set.options[algorithm.name]) assign_option(options.back(), key, value);
      algorithm.check(options.back());
    }
    const TaskFile task = [&] {
      const WaitNotice notice(reading_text(file.string()));
      return load_task(file, set.task);
    }();
    for (const std::string& warning : task.warnings) print_warning(warning);
    fmt::print("{}", task_text(task.task));
    for (const std::string& law : task.joint_limits) fmt::print("  joint limit  {}\n", law);
    if (task.task.demonstration)
      fmt::print("  shown        {} steps by {}\n", task.task.demonstration->steps(), task.demonstration_text);
    fmt::print("  files        {}\n", file.string());
    for (const std::string& used : task.files) fmt::print("               {}\n", used);
    say("  algorithms   with their defaults, the option files beside the task, and what was set\n");
    const double per_step = seconds_per_step(task.task);
    const Candidate candidate{file, task, set.task, all_cores()};
    for (std::size_t i = 0; i < options.size(); ++i)
      say(verdict_text(verdict(algorithms()[i], options[i], candidate, per_step)));
    fmt::print("ok\n");
    return kDone;
  };
}

}  // namespace kedge::cli
