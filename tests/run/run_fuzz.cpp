// Mutated option files and files of runs: each is read, or refused by InputError with one line. Never a crash, a hang,
// another exception, or a line break. KEDGE_FUZZ_SECONDS and KEDGE_FUZZ_SEED change how much of which sequence is tried.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/event_file.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/metrics_file.h"
#include "kedge/files/toml_value.h"
#include "kedge/run/option_text.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/run_file.h"
#include "kedge/run/version.h"
#include "tests/support/example_run.h"
#include "tests/support/fuzz.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::bytes_of;
using example::Folder;
using example::write_bytes;
using test::Mutator;

std::string options_text(const Options& options) {
  std::string text;
  for (const Option& option : options) text += fmt::format("{} = {}\n", option.name, value_text(option.value));
  return text;
}

/// Calls `read`. @return true if nothing was refused
template <class Read>
bool reads(const std::string& start, const std::string& text, const Read& read) {
  try {
    read();
    return true;
  } catch (const InputError& error) {
    const std::string message = error.what();
    EXPECT_TRUE(test::is_one_line(message)) << message << "\n" << text;
    EXPECT_TRUE(message.starts_with(start) || message.starts_with("--set ")) << message << "\n" << text;
    EXPECT_LT(message.size(), 4096U) << text;
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what() << "\n" << text;
  }
  return false;
}

TEST(OptionFuzz, AreReadAsTheyAreWrittenOrRefusedInOneLine) {
  const Folder folder;
  test::Pieces pieces{test::toml_values(), {"options", "x", "\"\"", "a.b", "options.iterations"}};
  std::vector<std::string> seeds;
  for (const Algorithm& algorithm : algorithms()) {
    seeds.push_back(options_text(algorithm.options()));
    for (const Option& option : algorithm.options()) {
      pieces.keys.push_back(option.name);
      for (const std::string& name : option.names) pieces.values.push_back(fmt::format("\"{}\"", name));
    }
  }
  int whole = 0;
  const std::uint32_t cases = test::fuzz(2000, pieces, [&](Mutator& mutator, std::uint32_t number) {
    const std::size_t which = number % seeds.size();
    const Algorithm& algorithm = algorithms()[which];
    std::string text = mutator.mutate(seeds[which]);
    if (mutator.below(4) == 0) text.insert(0, "[options]\n");
    const fs::path file = folder / "options.toml";
    write_bytes(file, text);
    Options options = algorithm.options();
    const bool read = reads(file.string() + ":", text, [&] { read_options(options, file); });
    if (!read) return;
    try {
      algorithm.check(options);
    } catch (const InputError& error) {
      EXPECT_TRUE(test::is_one_line(error.what())) << text;
    }
    ++whole;
    write_bytes(file, options_text(options));
    Options again = algorithm.options();
    read_options(again, file);
    for (std::size_t i = 0; i < options.size(); ++i) EXPECT_EQ(again[i].value, options[i].value) << text;
    reads("--set", text, [&] {
      const Option& option = options[mutator.below(options.size())];
      assign_option(again, option.name, mutator.mutate(value_text(option.value)));
    });
  });
  std::cout << cases << " option files, " << whole << " of them read\n";
  EXPECT_GT(whole, 0);
  EXPECT_LT(whole, static_cast<int>(cases));
}

/// A run with every file that a run can have, and nothing that is not small.
void write_run(const fs::path& run) {
  example::train(run, 2);
  RunFile file;
  file.algorithm = "moto";
  file.task = "invented";
  file.task_source = "/somewhere/task.toml";
  file.task_digest = "0123456789abcdef";
  file.task_overrides = {"horizon=3"};
  file.options = find_algorithm("moto").options();
  file.versions = versions();
  write_bytes(run / "run.toml", run_file_text(file));
}

TEST(RunFuzz, TextsAreReadOrRefusedInOneLine) {
  const Folder folder;
  const fs::path run = folder / "run";
  write_run(run);
  const test::Pieces pieces{
      test::toml_values(), {"format", "algorithm", "seed", "task", "name", "digest", "options", "versions", "epsilon"}};
  const std::vector<std::string> names{"run.toml",     "metrics.csv", "timings.csv", "steps.csv",
                                       "warnings.csv", "written.csv", ".lock",       "events.out.tfevents.0.kedge"};
  std::vector<std::string> seeds;
  for (const std::string& name : names) seeds.push_back(bytes_of(run / name));
  const auto read = [&](const std::string& name) {
    const FileName file = Directory(run) / name;
    if (name == "run.toml") static_cast<void>(run_file_text(read_run_file(run)));
    if (name == "metrics.csv" || name == "timings.csv") static_cast<void>(read_metrics(file));
    if (name == "steps.csv") static_cast<void>(read_steps(file));
    if (name == "warnings.csv") static_cast<void>(read_warnings(file));
    if (name == "written.csv") static_cast<void>(kept_policies(run));
    if (name == ".lock") static_cast<void>(DirectoryLock(Directory(run)));
    const std::string bytes = bytes_of(run / name);
    EXPECT_LE(csv_prefix(bytes, 1), bytes.size());
    EXPECT_LE(event_prefix(bytes, 1), bytes.size());
  };
  std::uint32_t whole = 0;
  const std::uint32_t cases = test::fuzz(2000, pieces, [&](Mutator& mutator, std::uint32_t number) {
    const std::size_t which = number % names.size();
    const bool lines = which < 6 && mutator.below(2) == 0;
    const std::string text = lines ? mutator.mutate(seeds[which]) : mutator.mutate_bytes(seeds[which]);
    write_bytes(run / names[which], text);
    whole += reads(run.string() + "/", names[which] + "\n" + text, [&] { read(names[which]); });
    write_bytes(run / names[which], seeds[which]);
  });
  std::cout << cases << " files of runs, " << whole << " of them read\n";
  EXPECT_GT(whole, 0U);
  EXPECT_LT(whole, cases);
}

TEST(RunFuzz, DirectoriesAreContinuedOrRefusedInOneLine) {
  const Folder folder;
  const fs::path original = folder / "original", run = folder / "run";
  write_run(original);
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(original))
    if (entry.is_regular_file()) names.push_back(entry.path().lexically_relative(original).string());
  std::ranges::sort(names);
  const test::Pieces pieces{test::toml_values(), {"seed", "format"}};
  std::uint32_t whole = 0;
  const std::uint32_t cases = test::fuzz(200, pieces, [&](Mutator& mutator, std::uint32_t) {
    fs::remove_all(run);
    fs::copy(original, run, fs::copy_options::recursive);
    std::string changed;
    for (std::size_t n = 1 + mutator.below(3); n > 0; --n) {
      const std::string& name = mutator.one_of(names);
      changed += name + " ";
      std::string bytes = mutator.mutate_bytes(bytes_of(run / name));
      const bool seal = name.ends_with(".h5") && hdf5::is_sealed(bytes_of(run / name)) && mutator.below(2) == 0;
      if (seal) bytes = hdf5::seal(bytes.substr(0, bytes.rfind("\nkedge length ")));
      write_bytes(run / name, bytes);
    }
    // Whatever a file of somebody's is in the place of kedge's own stops a training: SystemError.
    try {
      whole += reads(run.string(), changed, [&] {
        static_cast<void>(run_status(run));
        example::train(run, 3);
      });
    } catch (const SystemError& error) {
      EXPECT_TRUE(test::is_one_line(error.what())) << changed;
    }
  });
  std::cout << cases << " runs, " << whole << " of them continued\n";
  EXPECT_GT(whole, 0U);
  EXPECT_LT(whole, cases);
}

}  // namespace
}  // namespace kedge
