#include "verbs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/files/atomic_file.h"
#include "kedge/run/run_files.h"
#include "signals.h"

namespace kedge::cli {

namespace {

/// A verb without a state to save: a signal ends it at once. The others say themselves how they end.
template <std::function<int()> (*add)(CLI::App&)>
std::function<int()> leaving(CLI::App& app) {
  return [action = add(app)] {
    SignalStop signals;
    signals.leave_at_once("interrupted");
    return action();
  };
}

}  // namespace

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> table{
      {"list", "shows tasks, algorithms and policies, or the options of one algorithm",
       "\nExamples:\n  kedge list\n  kedge list --options moto\n", leaving<add_list>},
      {"validate", "checks a task file and its model, and shows what was understood",
       "\nExamples:\n  kedge validate double_link\n  kedge validate my_robot/task.toml --set actions.limit=10\n",
       leaving<add_validate>},
      {"init", "writes a first task for your own model",
       "\nExamples:\n  kedge init my_robot.xml\n  kedge init models/arm.xml --out arm\n", add_init},
      {"train", "learns a policy",
       "\nA later source of options wins: defaults, <algorithm>.toml beside the task, --config, --set, --iterations.\n"
       "Ctrl-C saves the state; `kedge resume` goes on with the same numbers as if nothing had happened.\n"
       "\nExamples:\n  kedge train double_link --seed 1\n  kedge train double_link --set epsilon=0.1 --set reuse=none\n"
       "  kedge train double_link --set task.actions.limit=10 --out runs/weak\n",
       add_train},
      {"resume", "continues an interrupted run, or a finished one with more iterations",
       "\nExamples:\n  kedge resume runs/double_link-moto-s1\n  kedge resume runs/double_link-moto-s1 --iterations "
       "200\n",
       add_resume},
      {"evaluate", "runs a learned policy and summarises its returns",
       "\nExamples:\n  kedge evaluate runs/double_link-moto-s1 --deterministic\n"
       "  kedge evaluate policy.h5 --task double_link --rollouts 1000 --json\n",
       leaving<add_evaluate>},
      {"demonstrate", "runs a task's hand-made controller, or plays its recording, and writes the trajectory",
       "\nExamples:\n  kedge demonstrate walker -o walk.h5\n"
       "  kedge demonstrate walker --set task.demonstration.gait=high_step -o high.h5\n",
       leaving<add_demonstrate>},
      {"replay", "shows how learned policies move the robot: a page for the browser, a film strip, a video",
       "\nPictures and videos show the first rollout of the last policy that is chosen. None of it needs a display.\n"
       "\nExamples:\n  kedge replay runs/double_link-moto-s1 -o page.html\n"
       "  kedge replay runs/double_link-moto-s1 -o page.html --iterations first,best,last --play\n"
       "  kedge replay runs/double_link-moto-s1 --deterministic --png strip.png --mp4 swing-up.mp4\n",
       leaving<add_replay>},
      {"export", "writes a learned policy as a C header, an ONNX model, JSON or a file of Python",
       "\nThe controller is the mean of the policy, without exploration noise, within the limits of the actions.\n"
       "\nExamples:\n  kedge export runs/double_link-moto-s1 --format c -o double_link.h\n"
       "  kedge export policy.h5 --format onnx -o policy.onnx\n",
       leaving<add_export>},
      {"compare", "shows learning curves and statistics over runs; runs that differ only in their seed form a group",
       "\nExamples:\n  kedge compare runs/*\n  kedge compare runs/* --csv curves.csv --svg curves.svg\n"
       "  kedge compare runs/* --html comparison.html\n",
       leaving<add_compare>},
      {"view", "shows runs in the browser, also while they train",
       "\nThe page is served on this machine only. It reads the runs and writes nothing.\n"
       "\nExamples:\n  kedge view runs/double_link-moto-s1 --open\n  kedge view runs/*\n",
       add_view},
      {"reproduce", "a figure of a paper: its runs, its curves, verdicts on its claims",
       "\nRuns that are there are kept, interrupted ones go on: the same command again continues.\n"
       "\nExamples:\n  kedge reproduce --list\n  kedge reproduce moto-fig1c --quick\n"
       "  kedge reproduce moto-fig1c --seeds 15 --jobs 2\n",
       add_reproduce},
      {"sweep", "tunes options: a declared grid or random search, ranked",
       "\nRuns that are there are kept: the same command again continues.\n"
       "\nExamples:\n  kedge sweep experiments/tuning/double_link-moto.toml --jobs 2\n",
       add_sweep},
      {"tune", "searches the few options of an algorithm that matter, and writes an option file",
       "\nThe bad ones are stopped early. Runs that are there are kept: the same command again continues.\n"
       "\nExamples:\n  kedge tune my_robot --budget 20\n  kedge tune my_robot --algorithm gps --trials 16 --jobs 4\n",
       add_tune},
  };
  return table;
}

namespace {

/// @throws InputError "--seed = x, but must be ..."
std::int64_t whole_number(const std::string& option, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, value);
  if (failed == std::errc{} && rest == end && value >= low && value <= high) return value;
  double number = 0.0;  // 10.0 is a whole number
  const auto [after, not_a_number] = std::from_chars(text.data(), end, number);
  if (not_a_number == std::errc{} && after == end && number == std::round(number) && std::abs(number) < 1e15 &&
      number >= static_cast<double>(low) && number <= static_cast<double>(high))
    return static_cast<std::int64_t>(number);
  const std::string rule = high == std::numeric_limits<std::int64_t>::max() ? fmt::format(">= {}", low)
                                                                            : fmt::format("in [{}, {}]", low, high);
  throw InputError(fmt::format("{} = {}, but must be a whole number {}", option, text, rule));
}

/// CLI11's own conversions say less of what is wrong.
CLI::Option* add_number(CLI::App& app, const std::string& name, std::int64_t low, std::int64_t high,
                        const std::string& meaning, const std::function<void(std::int64_t)>& set) {
  const auto read = [=](const std::string& text) { set(whole_number(name, text, low, high)); };
  return app.add_option_function<std::string>(name, read, meaning)->type_name("N");
}

}  // namespace

void add_whole_number(CLI::App& app, const std::string& name, int& value, int low, int high,
                      const std::string& meaning) {
  add_number(app, name, low, high, meaning, [&value](std::int64_t number) {
    value = static_cast<int>(number);
  })->default_str(std::to_string(value));
}

void add_whole_number(CLI::App& app, const std::string& name, std::optional<int>& value, int low, int high,
                      const std::string& meaning) {
  add_number(app, name, low, high, meaning, [&value](std::int64_t number) { value = static_cast<int>(number); });
}

void add_seed(CLI::App& app, std::uint64_t& seed) {
  constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();  // of TOML
  add_number(app, "--seed", 0, largest, "of all random numbers", [&seed](std::int64_t number) {
    seed = static_cast<std::uint64_t>(number);
  })->default_str(std::to_string(seed));
}

int all_cores() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

void add_threads(CLI::App& app, int& threads) {
  threads = all_cores();
  add_number(app, "--threads", 1, 1024, "worker threads; the results do not depend on it (default: all cores)",
             [&threads](std::int64_t number) {
               threads = static_cast<int>(number);
               require_threads(threads);
             });
}

void add_noise(CLI::App& app, bool& deterministic, bool& noise) {
  CLI::Option* without =
      app.add_flag("--deterministic", deterministic, "the mean action, without exploration noise (default of ilqr)");
  app.add_flag("--noise", noise, "with the noise of the policy, also where it is a by-product (ilqr)")
      ->excludes(without);
}

void add_set(CLI::App& app, std::vector<std::string>& set, const std::string& meaning) {
  app.add_option("--set", set, meaning)->type_name("KEY=VALUE")->allow_extra_args(false);
}

void add_shard(CLI::App& app, std::string& shard, const std::string& what) {
  app.add_option("--shard", shard,
                 fmt::format("do only these {}, and write no result: I/N, the I-th of N shares, or slurm or mpi, which "
                             "take both from the environment of a task of a job array, of srun, or of mpirun",
                             what))
      ->type_name("I/N");
}

Shard shard_of(const std::string& shard) { return shard.empty() ? Shard{} : read_shard(shard, std::getenv); }

void add_task(CLI::App& app, std::string& task) {
  app.add_option("task", task, "name of a bundled task, or path of a task file or its folder")
      ->type_name("TASK")
      ->required();
}

void add_subject(CLI::App& app, std::string& source) {
  app.add_option("policy_or_run", source, "a run's directory, or a policy file")
      ->type_name("DIR|POLICY.h5")
      ->required();
}

void add_other_task(CLI::App& app, std::string& task) {
  app.add_option("--task", task, "task to run on (default: the run's own)")->type_name("TASK");
}

namespace {

/// True of the files that kedge itself keeps in the directory of a run, wherever a link leads.
bool is_of_run(const std::filesystem::path& output) {
  namespace fs = std::filesystem;
  std::error_code error, missing;
  const fs::path whole = fs::weakly_canonical(output, error);
  for (fs::path inner = whole; !error && inner != inner.parent_path(); inner = inner.parent_path())
    if (fs::is_regular_file(inner.parent_path() / kRunToml, missing)) return is_run_name(inner.filename().string());
  return false;
}

}  // namespace

void require_output(const std::string& output) {
  if (is_of_run(output)) throw InputError(fmt::format("{}: is a file of a run; choose another output", output));
  require_writable(output);
}

void require_outputs(const std::vector<std::string>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    require_output(outputs[i]);
    for (std::size_t j = 0; j < i; ++j)
      if (std::filesystem::absolute(outputs[i]).lexically_normal() ==
          std::filesystem::absolute(outputs[j]).lexically_normal())
        throw InputError(fmt::format("{}: is the name of two outputs", outputs[i]));
  }
}

void require_output(const std::string& output, const FileName& input) {
  require_output(output);
  std::error_code other;
  if (std::filesystem::equivalent(output, input.path(), other))
    throw InputError(fmt::format("{}: is what is read; choose another output", output));
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+,:@%";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace kedge::cli
