// The verbs of the program: each reads its arguments, calls the library, prints, and returns an exit code.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kedge::cli {

enum ExitCode : int { kDone = 0, kUserError = 2, kFailure = 3, kInterrupted = 130 };

/// A verb: its name, what its help says, and how it is added to the parser. The function that `add` returns is called
/// after parsing, if the verb was given.
struct Verb {
  const char* name;
  const char* summary;
  const char* examples;  ///< end of its help
  std::function<int()> (*add)(CLI::App&);
};
const std::vector<Verb>& verbs();

std::function<int()> add_init(CLI::App& app);
std::function<int()> add_list(CLI::App& app);
std::function<int()> add_validate(CLI::App& app);
std::function<int()> add_train(CLI::App& app);
std::function<int()> add_resume(CLI::App& app);
std::function<int()> add_evaluate(CLI::App& app);
std::function<int()> add_demonstrate(CLI::App& app);
std::function<int()> add_replay(CLI::App& app);
std::function<int()> add_compare(CLI::App& app);
std::function<int()> add_reproduce(CLI::App& app);
std::function<int()> add_sweep(CLI::App& app);
std::function<int()> add_view(CLI::App& app);

/// Declares an option that takes a whole number in [low, high]; `value` as it is now is the default that the help shows.
/// Parsing throws InputError "--frames = x, but must be a whole number in [1, 64]" for anything else.
void add_whole_number(CLI::App& app, const std::string& name, int& value, int low, int high,
                      const std::string& meaning);

/// The same without a default: nullopt where it is not given.
void add_whole_number(CLI::App& app, const std::string& name, std::optional<int>& value, int low, int high,
                      const std::string& meaning);

// Options and arguments of several verbs.

/// --seed N
void add_seed(CLI::App& app, std::uint64_t& seed);
/// Returns how many threads the machine has.
int all_cores();

/// --threads N. `threads` is all_cores() where it is not given.
void add_threads(CLI::App& app, int& threads);
/// --deterministic, and --noise, which shows the noise of a policy whose noise is not meant.
void add_noise(CLI::App& app, bool& deterministic, bool& noise);
/// --set KEY=VALUE, any number of times.
void add_set(CLI::App& app, std::vector<std::string>& set,
             const std::string& meaning = "change the task, e.g. --set task.actions.limit=10");
/// TASK, the argument.
void add_task(CLI::App& app, std::string& task);
/// --task TASK, where the run has one of its own.
void add_other_task(CLI::App& app, std::string& task);

/// Returns `text` as one word of a shell command.
std::string shell_word(const std::string& text);

}  // namespace kedge::cli
