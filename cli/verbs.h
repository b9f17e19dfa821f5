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

#include "kedge/files/directory.h"
#include "kedge/study/shard.h"

namespace kedge::cli {

enum ExitCode : int { kDone = 0, kUserError = 2, kFailure = 3, kInterrupted = 130 };

/// A verb: its name, the text of its help, and the function that adds it to the parser. `add` returns the function to
/// call after parsing, if the verb was given.
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
std::function<int()> add_export(CLI::App& app);
std::function<int()> add_compare(CLI::App& app);
std::function<int()> add_reproduce(CLI::App& app);
std::function<int()> add_sweep(CLI::App& app);
std::function<int()> add_tune(CLI::App& app);
std::function<int()> add_view(CLI::App& app);

/// Declares an option that takes a whole number in [low, high]; `value` as it is now is the default that the help
/// shows. Parsing throws InputError "--frames = x, but must be a whole number in [1, 64]" for anything else.
void add_whole_number(CLI::App& app, const std::string& name, int& value, int low, int high,
                      const std::string& meaning);

/// Declares such an option without a default: `value` is nullopt where the option is not given.
void add_whole_number(CLI::App& app, const std::string& name, std::optional<int>& value, int low, int high,
                      const std::string& meaning);

// Options and arguments of several verbs. Each of these functions declares one.

/// Declares --seed N.
void add_seed(CLI::App& app, std::uint64_t& seed);
/// Returns the number of threads of the machine.
int all_cores();

/// Declares --threads N; the default is all_cores().
void add_threads(CLI::App& app, int& threads);
/// Declares --deterministic, and --noise, which shows the noise of a policy whose noise is not meant.
void add_noise(CLI::App& app, bool& deterministic, bool& noise);
/// Declares --set KEY=VALUE, any number of times.
void add_set(CLI::App& app, std::vector<std::string>& set,
             const std::string& meaning = "change the task, e.g. --set task.actions.limit=10");
/// Declares --shard I/N|slurm|mpi.
/// @param what  what is shared: "runs"
void add_shard(CLI::App& app, std::string& shard, const std::string& what);
/// Returns the share that --shard names, from this process's environment if it says so; without it, all. @throws InputError
Shard shard_of(const std::string& shard);
/// Declares the argument TASK.
void add_task(CLI::App& app, std::string& task);
/// Declares the argument POLICY_OR_RUN.
void add_subject(CLI::App& app, std::string& source);
/// Declares --task TASK, which replaces the run's own task.
void add_other_task(CLI::App& app, std::string& task);

/// Checks, before work starts, that a named output can be written and is none of the files that kedge keeps in a run.
/// @throws InputError
void require_output(const std::string& output);
/// Checks several outputs of one command: also that no two are the same.
/// @throws InputError
void require_outputs(const std::vector<std::string>& outputs);
/// Checks also that it is not the file that is read for it.
/// @throws InputError
void require_output(const std::string& output, const FileName& input);

/// Returns `text` as one word of a shell command.
std::string shell_word(const std::string& text);

}  // namespace kedge::cli
