// Mutated task files, 500 or as many as fit into a few seconds: each loads, or is refused by InputError with one line. Never a
// crash, another exception, or a line break. The sequence is fixed; KEDGE_FUZZ_SECONDS and KEDGE_FUZZ_SEED change how
// much of which sequence is tried.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/mujoco/load_model.h"
#include "kedge/tasks/task_file.h"
#include "kedge/tasks/task_sections.h"
#include "task_texts.h"
#include "tests/support/fuzz.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

const test::Pieces& pieces() {
  static const test::Pieces all = [] {
    test::Pieces pieces{
        test::toml_values(),
        {"kedge",   "name",      "summary",   "model",       "horizon",     "control_step", "substeps",
         "actions", "actuators", "limit",     "observation", "parts",       "start",        "distribution",
         "qpos",    "qvel",      "act",       "qpos_spread", "qvel_spread", "act_spread",   "cost",
         "of",      "matrix",    "target",    "weight",      "norm",        "width",        "steps",
         "success", "text",      "statistic", "below",       "x",           "\"\"",         "a.b"}};
    for (const char* value : {"\"all\"",        "\"final\"",     "\"last 3\"",     "\"last 99999999999999999999\"",
                              "\"0..\"",        "\"..\"",        "\"5..2\"",       "{ hinge = 1 }",
                              "[\"qpos\"]",     "\"qpos:\"",     "\"qpos:hinge\"", "\"sensor:tip\"",
                              "\"sensor:\"",    "\"act\"",       "\"ctrl\"",       "\"arm.xml\"",
                              "\"../arm.xml\"", "\"task.toml\"", "\"smooth\"",     "\"absolute\""})
      pieces.values.emplace_back(value);
    return pieces;
  }();
  return all;
}

std::string read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// What was refused, without the numbers and without the place.
std::string kind_of(const std::string& message) {
  const std::size_t place = message.find(": ");
  std::string kind;
  for (const char c : message.substr(place == std::string::npos ? 0 : place))
    if (c < '0' || c > '9') kind += c;
  return kind;
}

TEST(TaskFileFuzz, LoadsOrRefusesInOneLine) {
  const TemporaryFolder folder;
  folder.write("arm.xml", kModel);
  folder.write("double_link.xml", read(test::source_dir() + "/tasks/double_link/double_link.xml"));
  const std::vector<std::string> seeds = {kTask, read(test::source_dir() + "/tasks/double_link/task.toml")};
  const std::vector<Override> overrides = {
      {"actions.limit", "3"}, {"cost.0.steps", "last 2"}, {"start.qpos.hinge", "1"}, {"horizon", "7"}};

  int loaded = 0;
  std::set<std::string> complaints;
  const std::uint32_t cases = test::fuzz(500, pieces(), [&](test::Mutator& mutator, std::uint32_t number) {
    const std::string text = mutator.mutate(seeds[number % seeds.size()]);
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
      EXPECT_TRUE(test::is_one_line(message)) << message << "\n" << text;
      EXPECT_TRUE(message.starts_with(path + ":") || message.starts_with("--set task.")) << message << "\n" << text;
      complaints.insert(kind_of(message));
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\n" << text;
    }
  });
  std::cout << cases << " files, " << loaded << " of them loaded, " << complaints.size() << " different complaints\n";
  EXPECT_GT(loaded, 0);
  EXPECT_GT(complaints.size(), 10u);
}

// The same without the model, which is compiled once: the text alone, a thousand times as often.
TEST(TaskFileFuzz, SectionsAreReadOrRefusedInOneLine) {
  struct Seed {
    std::string text;
    std::shared_ptr<mjModel> model;
    double timestep = model->opt.timestep;  // which each case changes
  };
  const TemporaryFolder folder;
  std::vector<Seed> seeds{{kTask, load_mujoco_model(folder.write("arm.xml", kModel)).model}};
  for (const std::string name : {"quad_link", "walker"}) {
    const std::string path = test::source_dir() + "/tasks/" + name + "/";
    seeds.push_back({read(path + "task.toml"), load_mujoco_model(path + name + ".xml").model});
  }
  int read_whole = 0;
  std::set<std::string> complaints;
  const std::uint32_t cases = test::fuzz(2000, pieces(), [&](test::Mutator& mutator, std::uint32_t number) {
    const Seed& seed = seeds[number % seeds.size()];
    seed.model->opt.timestep = seed.timestep;
    const std::string text = mutator.mutate(seed.text);
    try {
      const std::string origin = "task.toml";
      const toml::table document = parse_toml(text, origin);
      toml::table resolved;
      std::vector<std::string> limits;
      validate(read_task(Value(document, "", origin), seed.model, limits, resolved));
      static_cast<void>(parse_toml(write_toml(resolved), origin));
      ++read_whole;
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(test::is_one_line(message)) << message << "\n" << text;
      EXPECT_TRUE(message.starts_with("task.toml:")) << message << "\n" << text;
      complaints.insert(kind_of(message));
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\n" << text;
    }
  });
  std::cout << cases << " texts, " << read_whole << " of them read, " << complaints.size() << " different complaints\n";
  EXPECT_GT(read_whole, 0);
  EXPECT_GT(complaints.size(), 10u);
}

}  // namespace
}  // namespace kedge
