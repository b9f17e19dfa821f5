// Mutated task files, 500 or as many as fit into a few seconds: each loads, or is refused by InputError with one line. Never a
// crash, another exception, or a line break. The sequence is fixed; KEDGE_FUZZ_SECONDS and KEDGE_FUZZ_SEED change how
// much of which sequence is tried.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/tasks/task_file.h"
#include "task_texts.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

class Mutator {
 public:
  explicit Mutator(Stream noise) : noise_(noise) {}

  std::string mutate(std::string text) {
    for (std::size_t n = 1 + below(4); n > 0; --n) text = once(std::move(text));
    return text;
  }

  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(noise_.bits() % n); }

 private:
  std::string once(std::string text) {
    static const std::vector<std::string> values = {"0",
                                                    "-1",
                                                    "1e308",
                                                    "-1e-308",
                                                    "nan",
                                                    "inf",
                                                    "-inf",
                                                    "9223372036854775807",
                                                    "-9223372036854775808",
                                                    "1.5",
                                                    "true",
                                                    "\"\"",
                                                    "\"all\"",
                                                    "\"final\"",
                                                    "\"last 3\"",
                                                    "\"last 99999999999999999999\"",
                                                    "\"0..\"",
                                                    "\"..\"",
                                                    "\"5..2\"",
                                                    "[]",
                                                    "[[]]",
                                                    "[[[1]]]",
                                                    "{}",
                                                    "{ hinge = 1 }",
                                                    "[1, 2]",
                                                    "[1, 2, 3, 4, 5]",
                                                    "[nan]",
                                                    "[\"qpos\"]",
                                                    "\"qpos:\"",
                                                    "\"qpos:hinge\"",
                                                    "\"sensor:tip\"",
                                                    "\"sensor:\"",
                                                    "\"act\"",
                                                    "\"ctrl\"",
                                                    "1979-05-27",
                                                    "\"arm.xml\"",
                                                    "\"../arm.xml\"",
                                                    "\".\"",
                                                    "\"task.toml\"",
                                                    "\"\\u0000\"",
                                                    "\"\\n\"",
                                                    "'''\n\n'''",
                                                    "0x7f",
                                                    "1_000",
                                                    "\"smooth\"",
                                                    "\"absolute\"",
                                                    "[ [ 1 ], 2, \"x\" ]",
                                                    "{ a = { b = { c = 1 } } }"};
    static const std::vector<std::string> keys = {
        "kedge",   "name",      "summary",   "model",       "horizon",     "control_step", "substeps",
        "actions", "actuators", "limit",     "observation", "parts",       "start",        "distribution",
        "qpos",    "qvel",      "act",       "qpos_spread", "qvel_spread", "act_spread",   "cost",
        "of",      "matrix",    "target",    "weight",      "norm",        "width",        "steps",
        "success", "text",      "statistic", "below",       "x",           "\"\"",         "a.b"};
    std::vector<std::string> lines = split(text);
    if (lines.empty()) lines.emplace_back();
    std::string& line = lines[below(lines.size())];
    switch (below(11)) {
      case 0: {  // another value
        if (const std::size_t equals = line.find('='); equals != std::string::npos)
          line = line.substr(0, equals + 1) + " " + values[below(values.size())];
        break;
      }
      case 1: {  // another key
        if (const std::size_t equals = line.find('='); equals != std::string::npos)
          line = keys[below(keys.size())] + " " + line.substr(equals);
        break;
      }
      case 2:  // another section
        if (line.starts_with("["))
          line = (below(2) ? "[[" + keys[below(keys.size())] + "]]" : "[" + keys[below(keys.size())] + "]");
        break;
      case 3: line.clear(); break;
      case 4:
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(below(lines.size())), lines[below(lines.size())]);
        break;
      case 5: std::swap(lines[below(lines.size())], lines[below(lines.size())]); break;
      case 6: lines.push_back(keys[below(keys.size())] + " = " + values[below(values.size())]); break;
      case 7: lines.resize(below(lines.size() + 1)); break;
      case 8: {  // bytes
        for (std::size_t n = 1 + below(3); n > 0 && !line.empty(); --n)
          line[below(line.size())] = static_cast<char>(noise_.bits());
        break;
      }
      case 9:  // a piece of a line
        if (!line.empty()) line.erase(below(line.size()), 1 + below(6));
        break;
      case 10:  // a token in the middle of a line
        line.insert(below(line.size() + 1), values[below(values.size())]);
        break;
    }
    std::string joined;
    for (const std::string& each : lines) joined += each + "\n";
    return joined;
  }

  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  Stream noise_;
};

double environment(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atof(text) : otherwise;
}

std::string read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(TaskFileFuzz, LoadsOrRefusesInOneLine) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(environment("KEDGE_FUZZ_SECONDS", 3.0));
  const auto seed = static_cast<std::uint64_t>(environment("KEDGE_FUZZ_SEED", 0.0));

  const TemporaryFolder folder;
  folder.write("arm.xml", kModel);
  folder.write("double_link.xml", read(test::source_dir() + "/tasks/double_link/double_link.xml"));
  const std::vector<std::string> seeds = {kTask, read(test::source_dir() + "/tasks/double_link/task.toml")};
  const std::vector<Override> overrides = {
      {"actions.limit", "3"}, {"cost.0.steps", "last 2"}, {"start.qpos.hinge", "1"}, {"horizon", "7"}};

  std::uint32_t cases = 0;
  int loaded = 0;
  std::set<std::string> complaints;                                        // without the numbers
  for (; (cases < 500 || Clock::now() < end) && !HasFailure(); ++cases) {  // some even where that takes longer
    Mutator mutator(Stream(seed, 0, cases, 0));
    const std::string text = mutator.mutate(seeds[cases % seeds.size()]);
    const std::string path = folder.write("task.toml", text);
    std::vector<Override> some;
    if (mutator.below(4) == 0)
      some.push_back({overrides[mutator.below(overrides.size())].first,
                      mutator.mutate(overrides[mutator.below(overrides.size())].second)});
    try {
      const TaskFile file = load_task(path, some);
      // What loads is a whole task: it can be written out, loaded again, and simulated.
      EXPECT_EQ(load_task(folder.write("resolved.toml", resolved_text(file))).digest, file.digest) << text;
      ++loaded;
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.find_first_of("\n\r"), std::string::npos) << message << "\n" << text;
      EXPECT_TRUE(message.starts_with(path + ":") || message.starts_with("--set task.")) << message << "\n" << text;
      const std::size_t place = message.find(": ");
      std::string kind;
      for (const char c : message.substr(place == std::string::npos ? 0 : place))
        if (c < '0' || c > '9') kind += c;
      complaints.insert(kind);
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\n" << text;
    }
  }
  std::cout << cases << " files, " << loaded << " of them loaded, " << complaints.size() << " different complaints\n";
  EXPECT_GT(loaded, 0);
  EXPECT_GT(complaints.size(), 10u);
}

}  // namespace
}  // namespace kedge
