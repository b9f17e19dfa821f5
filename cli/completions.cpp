#include <fmt/format.h>

#include <optional>
#include <utility>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/export/export.h"
#include "kedge/study/figure_file.h"
#include "kedge/study/tune.h"
#include "kedge/tasks/bundled.h"
#include "words.h"

namespace kedge::cli {

namespace {

/// Candidates for a word.
struct Candidates {
  std::vector<std::pair<std::string, std::string>> words;  ///< with their meanings
  bool files = false, folders = false;
};

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

const CLI::Option* find_option(const CLI::App& verb, const std::string& name) {
  for (const CLI::Option* option : verb.get_options())
    for (const std::string& known : names_of(*option))
      if (known == name) return option;
  return nullptr;
}

/// The algorithm that --set is about; nullopt: the verb has none, or there is no such algorithm.
std::optional<std::string> algorithm_of(const CLI::App& verb, const std::vector<std::string>& words) {
  const CLI::Option* option = find_option(verb, "--algorithm");
  if (!option) return std::nullopt;
  std::string name = option->get_default_str();
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--algorithm" && i + 1 < words.size()) name = words[i + 1];
    if (words[i].starts_with("--algorithm=")) name = words[i].substr(words[i].find('=') + 1);
  }
  for (const Algorithm& algorithm : algorithms())
    if (algorithm.name == name) return name;
  return std::nullopt;
}

/// The options of an algorithm as --set takes them, or the values of one that is named already.
Candidates settings(const std::string& algorithm, const std::string& begun) {
  Candidates found;
  for (const Option& option : find_algorithm(algorithm).options()) {
    if (begun.find('=') == std::string::npos)
      found.words.emplace_back(option.name + "=", option.meaning);
    else if (begun.starts_with(option.name + "="))
      for (const std::string& value :
           std::holds_alternative<bool>(option.value) ? std::vector<std::string>{"true", "false"} : option.names)
        found.words.emplace_back(option.name + "=" + value, option.meaning);
  }
  return found;
}

/// The values of a kind that the help names: bundled tasks and files for TASK. None for numbers and names.
Candidates values_of(const std::string& kind) {
  Candidates found;
  if (kind == "TASK") {
    for (const BundledTask& task : bundled_tasks()) found.words.emplace_back(task.name, "bundled task");
  } else if (kind == "ALGORITHM") {
    for (const Algorithm& algorithm : algorithms()) found.words.emplace_back(algorithm.name, algorithm.summary);
  } else if (kind == "FIGURE") {
    for (const auto& file : bundled_figures()) found.words.emplace_back(file.stem().string(), "bundled figure");
  } else if (kind == "FORMAT") {
    for (const ExportFormat& format : export_formats()) found.words.emplace_back(format.name, format.summary);
  } else if (kind == "AXIS") {
    found.words = {{"rollouts", ""}, {"seconds", ""}};
  } else if (kind == "I/N") {
    found.words = {{"slurm", "this task of a job array or step"}, {"mpi", "this rank"}};
  }
  found.folders = kind == "DIR";
  for (const char* of_paths : {"FILE", "POLICY", "MODEL", "PREFIX", "TASK", "FIGURE", "RUN"})
    found.files = found.files || kind.find(of_paths) != std::string::npos;
  return found;
}

Candidates values_of(const CLI::App& verb, const CLI::Option& option, const std::vector<std::string>& before,
                     const std::string& begun) {
  if (option.get_type_name() != "KEY=VALUE") {
    Candidates found = values_of(option.get_type_name());
    if (verb.get_name() == "tune" && option.get_type_name() == "ALGORITHM")
      std::erase_if(found.words, [](const auto& word) { return !has_search_space(word.first); });
    return found;
  }
  const auto algorithm = algorithm_of(verb, before);
  return algorithm ? settings(*algorithm, begun) : Candidates{};
}

Candidates of_verb(const CLI::App& verb, const std::vector<std::string>& before, const std::string& last) {
  if (last.starts_with("--") && last.find('=') != std::string::npos) {  // --algorithm=mo
    const std::string name = last.substr(0, last.find('=')), begun = last.substr(last.find('=') + 1);
    const CLI::Option* option = find_option(verb, name);
    if (!option || !takes_value(*option)) return {};
    Candidates found = values_of(verb, *option, before, begun);
    for (auto& [word, meaning] : found.words) word = name + "=" + word;
    found.files = found.folders = false;  // no shell has paths behind a name
    return found;
  }
  if (const CLI::Option* option = find_option(verb, before.back()); option && takes_value(*option))
    return values_of(verb, *option, before, last);
  Candidates found;
  for (const CLI::Option* option : verb.get_options()) {
    if (option->get_positional() && !last.starts_with("-")) found = values_of(option->get_type_name());
    if (last.starts_with("-"))
      for (const std::string& name : names_of(*option)) found.words.emplace_back(name, option->get_description());
  }
  return found;
}

}  // namespace

std::string completions(const CLI::App& kedge, std::vector<std::string> words) {
  if (words.empty()) words.emplace_back();
  const std::string last = words.back();
  words.pop_back();
  Candidates found;
  if (words.empty()) {
    for (const CLI::App* verb : kedge.get_subcommands({}))
      found.words.emplace_back(verb->get_name(), verb->get_description());
    for (const CLI::Option* option : kedge.get_options())
      for (const std::string& name : names_of(*option)) found.words.emplace_back(name, option->get_description());
  } else {
    for (const CLI::App* verb : kedge.get_subcommands({}))
      if (verb->get_name() == words.front()) found = of_verb(*verb, words, last);
  }
  std::string text;
  for (const auto& [word, meaning] : found.words)
    if (word.starts_with(last)) text += fmt::format("{}\t{}\n", word, meaning);
  if (found.folders) text += ":folders\n";
  if (found.files) text += ":files\n";
  return text;
}

}  // namespace kedge::cli
