// Mutated figure and sweep files: each is read, or refused by InputError with one line. Never a crash, a hang, another
// exception, or a line break. KEDGE_FUZZ_SECONDS and KEDGE_FUZZ_SEED change how much of which sequence is tried.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/study/figure_file.h"
#include "kedge/study/sweep.h"
#include "tests/support/example_run.h"
#include "tests/support/fuzz.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

const test::Pieces& pieces() {
  static const test::Pieces all = [] {
    test::Pieces pieces{
        test::toml_values(),
        {"kedge",   "title",   "task",     "algorithm", "set",   "seeds",          "first_seed", "x",      "paths",
         "quick",   "panel",   "panels",   "run",       "claim", "label",          "text",       "source", "kind",
         "than",    "measure", "rollouts", "threshold", "share", "search",         "rank",       "method", "samples",
         "options", "seed",    "low",      "high",      "scale", "search.options", "a.b",        "\"\""}};
    for (const char* value :
         {"\"better\"", "\"similar\"", "\"succeeds\"", "\"fails\"", "\"final_return\"", "\"return_at\"",
          "\"rollouts_to\"", "\"grid\"", "\"random\"", "10000", "{ low = 1, high = 2 }",
          "{ low = 1, high = 2, scale = \"log\" }", "{ low = -1, high = 1e308, scale = \"whole\" }", "[\"a=1\"]"})
      pieces.values.emplace_back(value);
    return pieces;
  }();
  return all;
}

/// Reads mutations of the files of a folder. @return how many of how many were read
template <class Read>
std::pair<std::uint32_t, std::uint32_t> try_all(const fs::path& originals, const Read& read) {
  const example::Folder folder;
  std::vector<std::string> seeds;
  for (const auto& entry : fs::directory_iterator(originals))
    if (entry.path().extension() == ".toml") seeds.push_back(example::bytes_of(entry.path()));
  std::ranges::sort(seeds);
  const fs::path file = folder / "figure.toml";
  std::uint32_t whole = 0;
  const std::uint32_t cases = test::fuzz(1000, pieces(), [&](test::Mutator& mutator, std::uint32_t number) {
    const std::string text = mutator.mutate(seeds[number % seeds.size()]);
    example::write_bytes(file, text);
    try {
      read(file);
      ++whole;
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(test::is_one_line(message)) << message << "\n" << text;
      EXPECT_TRUE(message.starts_with(file.string() + ":")) << message << "\n" << text;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << "\n" << text;
    }
  });
  EXPECT_GT(whole, 0U);
  EXPECT_LT(whole, cases);
  return {whole, cases};
}

TEST(FigureFuzz, IsReadOrRefusedInOneLine) {
  const auto [whole, cases] = try_all(test::source_dir() + "/experiments", [](const fs::path& file) {
    for (const FigureRun& run : read_figure(file).runs) EXPECT_FALSE(run.label.empty());
  });
  std::cout << cases << " figure files, " << whole << " of them read\n";
}

TEST(SweepFuzz, IsReadOrRefusedInOneLine) {
  const auto [whole, cases] = try_all(test::source_dir() + "/experiments/tuning", [](const fs::path& file) {
    EXPECT_LE(read_sweep(file).figure.runs.size(), 10000U);
  });
  std::cout << cases << " sweep files, " << whole << " of them read\n";
}

}  // namespace
}  // namespace kedge
