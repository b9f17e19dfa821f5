#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <new>
#include <string>

#include "kedge/core/errors.h"
#include "kedge/core/path_error.h"
#include "kedge/core/text.h"
#include "kedge/math/vectors.h"
#include "kedge/run/option_text.h"
#include "kedge/run/version.h"
#include "print.h"
#include "verbs.h"
#include "words.h"

namespace kedge::cli {

namespace {

std::string version_text() {
  const Versions v = versions();
  return fmt::format("kedge {} ({}, MuJoCo {}, Eigen {}, {}, {})", v.kedge, v.commit, v.mujoco, v.eigen, v.compiler,
                     v.build);
}

constexpr const char* kExamples = R"(
Examples:
  kedge list                            what there is
  kedge train double_link --seed 1      learn a swing-up; prints what to do next
  kedge train my_robot/task.toml        your own MuJoCo model: docs/tasks.md
  kedge evaluate runs/double_link-moto-s1
  kedge compare runs/*
`kedge VERB --help` says more. Exit codes: 0 done, 2 wrong use, 3 failure, 130 interrupted.
)";

/// "TASK is missing": CLI11 names the option that is not given, people know what it stands for.
std::string missing(const CLI::App& verb, const CLI::ParseError& error) {
  const std::string text = error.what();
  for (const CLI::Option* option : verb.get_options())
    if (option->get_required() && text.starts_with(option->get_name())) return option->get_type_name() + " is missing";
  return text;
}

/// An option that no verb knows, or an argument too many.
std::string unexpected(const CLI::App& verb, const std::string& word) {
  if (!word.starts_with("-")) return fmt::format("unexpected argument '{}'", word);
  std::vector<std::string> known;
  for (const CLI::Option* option : verb.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  const std::string name = word.substr(0, word.find('='));
  return fmt::format("unknown option '{}'{}", name, hint(name, known));
}

/// For tests and measurements: the kind of vectors that KEDGE_VECTORS names instead of the widest (docs/notation.md).
void choose_vectors() {
  const char* kind = std::getenv("KEDGE_VECTORS");
  if (kind == nullptr) return;
  try {
    use_vectors(kind);
  } catch (const InputError& e) {
    throw InputError(fmt::format("KEDGE_VECTORS: {}", e.what()));
  }
}

int run(int argc, char** argv) {
  choose_vectors();
  CLI::App app{"kedge: trajectory-centric policy search. Learns feedback controllers for simulated robots."};
  app.footer(kExamples);
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);

  std::map<const CLI::App*, std::function<int()>> actions;
  std::vector<std::string> names;
  for (const Verb& verb : verbs()) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    sub->footer(verb.examples);
    sub->allow_extras();
    actions[sub] = verb.add(*sub);
    names.emplace_back(verb.name);
  }

  // What CLI11 would say of a first word that is not a verb does not help.
  if (argc < 2) throw InputError("no verb; try 'kedge --help'");
  const std::string first = argv[1];
  if (first.starts_with("-") && first != "--help" && first != "-h" && first != "--version")
    throw InputError(fmt::format("{}; try 'kedge --help'", unexpected(app, first)));
  if (first == "__complete") {  // for the scripts in cli/completion
    fmt::print("{}", completions(app, {argv + 2, argv + argc}));
    return kDone;
  }
  if (first == "__manual") {  // for the build
    fmt::print("{}", manual_page(app, versions().kedge));
    return kDone;
  }
  if (!first.starts_with("-") && std::find(names.begin(), names.end(), first) == names.end())
    throw InputError(fmt::format("unknown verb '{}'{}; try 'kedge --help'", first, hint(first, names)));

  const CLI::App* verb = nullptr;
  try {
    app.parse(argc, argv);
    verb = app.get_subcommands().front();
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    const auto chosen = app.get_subcommands();
    if (chosen.empty()) throw InputError(fmt::format("{}; try 'kedge --help'", e.what()));
    const CLI::App& given = *chosen.front();
    throw InputError(fmt::format("{}; try 'kedge {} --help'", missing(given, e), given.get_name()));
  }
  if (const auto extras = verb->remaining(); !extras.empty())
    throw InputError(fmt::format("{}; try 'kedge {} --help'", unexpected(*verb, extras.front()), verb->get_name()));
  for (const CLI::Option* option : verb->get_options())
    for (const std::string& value : option->results())
      if (value.empty())
        throw InputError(
            fmt::format("{}: the value is empty; try 'kedge {} --help'", option->get_name(), verb->get_name()));
  return actions.at(verb)();
}

/// Every failure is one line.
int fail(int code, const std::string& message) {
  std::fflush(stdout);
  print_error(message);
  return code;
}

/// Opens what is closed of standard input, output and error. The next file would get that number, and what is printed would go
/// into it. Nothing can be read from it or written to it but errors, which vanish.
void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    [[maybe_unused]] const int lowest_free = ::open("/dev/null", stream == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
  }
}

/// What became of an exception, as an exit code and a line.
int fail_by(const std::exception_ptr& exception) {
  try {
    if (exception) std::rethrow_exception(exception);
    return fail(kFailure, "the program ended without a reason");
  } catch (const InputError& e) {
    return fail(kUserError, e.what());
  } catch (const SystemError& e) {
    return fail(kFailure, e.what());
  } catch (const Cancelled& e) {
    return fail(kInterrupted, e.what());
  } catch (const std::filesystem::filesystem_error& e) {
    return fail(is_wrong_path(e.code().value()) ? kUserError : kFailure,
                fmt::format("{}: {}", one_line(e.path1().string()), e.code().message()));
  } catch (const std::bad_alloc&) {
    return fail(kFailure, "out of memory");
  } catch (const std::exception& e) {
    return fail(kFailure, e.what());
  } catch (...) {
    return fail(kFailure, "an unknown exception");
  }
}

/// True for a pipe or socket whose reader has gone, as `head` goes when it has seen enough: that is no failure.
bool nobody_reads(int descriptor) {
  pollfd state{descriptor, POLLOUT, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

}  // namespace

}  // namespace kedge::cli

int main(int argc, char** argv) {
  using namespace kedge::cli;
  open_standard_streams();
  // A file that may not grow, and a pipe that nobody reads any more, are errors of the write, as a full disk is.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGUSR1, SIG_IGN);  // kedge uses it within itself (signals.cpp): from outside it says nothing
  // Where nobody can catch an exception, for instance in a thread of a library, it is the end, but not without a word.
  std::set_terminate([] {
    static std::atomic_flag said;
    if (said.test_and_set()) ::pause();  // another thread says it and ends the program
    ::_exit(fail_by(std::current_exception()));
  });
  std::signal(SIGCHLD, SIG_DFL);  // whoever ignores it is not told how the programs ended that it started
  try {
    const int code = run(argc, argv);
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    return written || nobody_reads(STDOUT_FILENO) ? code : fail(kFailure, "standard output cannot be written");
  } catch (...) {
    return fail_by(std::current_exception());
  }
}
