// The verbs of the program: each reads its arguments, calls the library, prints, and returns an exit code.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdint>
#include <functional>
#include <limits>
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

/// The value of an option as a whole number in [low, high]. @throws InputError "--seed = x, but must be ..."
std::int64_t whole_number(const char* option, const std::string& text, std::int64_t low,
                          std::int64_t high = std::numeric_limits<std::int64_t>::max());

/// `--threads`: "" stands for as many as the machine has. @throws InputError
int thread_count(const std::string& text);

/// `text` as one word of a shell command.
std::string shell_word(const std::string& text);

}  // namespace kedge::cli
