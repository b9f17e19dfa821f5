#include "kedge/run/option_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>

#include "kedge/algorithms/gps.h"
#include "kedge/algorithms/ilqr.h"
#include "kedge/algorithms/moto.h"
#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "kedge/files/toml_value.h"
#include "kedge/run/run_file.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

class OptionsFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "kedge-options-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path write(const std::string& text) {
    const fs::path file = folder_ / "moto.toml";
    std::ofstream(file) << text;
    return file;
  }
  fs::path folder_;
};

TEST(Options, StartAsTheStructsDefaults) {
  const MotoOptions a, b = options_as<MotoOptions>(named_options(MotoOptions{}));
  EXPECT_EQ(a.iterations, b.iterations);
  EXPECT_EQ(a.rollouts, b.rollouts);
  EXPECT_EQ(a.epsilon, b.epsilon);
  EXPECT_EQ(a.beta0, b.beta0);
  EXPECT_EQ(a.entropy_constraint, b.entropy_constraint);
  EXPECT_EQ(a.initial_std, b.initial_std);
  EXPECT_EQ(a.ridge, b.ridge);
  EXPECT_EQ(a.targets, b.targets);
  EXPECT_EQ(a.reuse, b.reuse);
  EXPECT_EQ(a.window, b.window);
  EXPECT_EQ(a.weight_cutoff, b.weight_cutoff);
  EXPECT_EQ(a.state_distribution, b.state_distribution);
  EXPECT_EQ(a.gamma, b.gamma);
}

struct Any {
  template <class T>
  operator T() const;  // NOLINT: stands for any initialiser
};
/// Can T be made from this many initialisers? Its number of fields is the largest.
template <class T, std::size_t... i>
constexpr bool made_from(std::index_sequence<i...>) {
  return requires { T{(static_cast<void>(i), Any{})...}; };
}

// A field that the description forgets would silently keep its default: as many options as the struct has fields.
TEST(Options, NameEveryFieldOfTheStruct) {
  static_assert(made_from<MotoOptions>(std::make_index_sequence<15>{}));
  static_assert(!made_from<MotoOptions>(std::make_index_sequence<16>{}));
  EXPECT_EQ(named_options(MotoOptions{}).size(), 15U);
  static_assert(made_from<GpsOptions>(std::make_index_sequence<13>{}));
  static_assert(!made_from<GpsOptions>(std::make_index_sequence<14>{}));
  EXPECT_EQ(named_options(GpsOptions{}).size(), 13U);
  static_assert(made_from<IlqrSolverOptions>(std::make_index_sequence<8>{}));  // one of them, `differences`, has three
  static_assert(!made_from<IlqrSolverOptions>(std::make_index_sequence<9>{}));
  EXPECT_EQ(named_options(IlqrOptions{}).size(), 13U);
}

TEST(Options, AreSetByText) {
  Options options = named_options(MotoOptions{});
  assign_option(options, "epsilon", "1");  // a whole number is a number
  assign_option(options, "rollouts", "7");
  assign_option(options, "reuse", "none");  // a bare word
  assign_option(options, "targets", "\"monte_carlo\"");
  assign_option(options, "entropy_constraint", "false");
  assign_option(options, "state_distribution", "forward");
  const MotoOptions moto = options_as<MotoOptions>(options);
  EXPECT_EQ(moto.epsilon, 1.0);
  EXPECT_EQ(moto.rollouts, 7);
  EXPECT_EQ(moto.reuse, Reuse::none);
  EXPECT_EQ(moto.targets, MotoOptions::Targets::monte_carlo);
  EXPECT_FALSE(moto.entropy_constraint);
  EXPECT_EQ(moto.state_distribution, MotoOptions::StateDistribution::forward);
}

TEST(Options, OfActionsAreReadBackAsWritten) {
  for (const char* text : {"0.5", "1", "25 %", "[0.5, \"25 %\"]", "{ hip = 0.5, \"a b\" = \"2.5 %\" }"}) {
    Options options = named_options(MotoOptions{}), again = options;
    assign_option(options, "initial_std", text);
    const OptionValue& value = option_value(options, "initial_std");
    assign_option(again, "initial_std", value_text(value));
    EXPECT_EQ(option_value(again, "initial_std"), value) << text << " is " << value_text(value);
  }
  Options options = named_options(MotoOptions{});
  assign_option(options, "initial_std", "{ hip = 0.5, knee = \"10 %\" }");
  const auto& numbers = std::get<ActionNumbers>(option_value(options, "initial_std"));
  EXPECT_EQ(numbers.name, (std::vector<std::string>{"hip", "knee"}));
  EXPECT_EQ(numbers.number[1].value, 0.1);
  EXPECT_TRUE(numbers.number[1].share && !numbers.number[0].share);
  for (const char* wrong :
       {"0", "-1", "true", "ten", "10 percent", "%", "10 % %", "[]", "{}", "[0.1, true]", "{ a = [1] }", "nan"})
    EXPECT_THAT(message([&] { assign_option(options, "initial_std", wrong); }),
                HasSubstr("initial_std: must be a number > 0"))
        << wrong;
}

TEST(Options, ThatAreWholeMayHaveAPoint) {
  Options options = named_options(MotoOptions{});
  assign_option(options, "rollouts", "10.0");
  EXPECT_EQ(options_as<MotoOptions>(options).rollouts, 10);
}

/// Checks one option of an algorithm around the ends of its range.
void expect_same_range(const Algorithm& algorithm, const Option& option) {
  const auto accepted_by_table = [&](const std::string& value) {
    Options all = algorithm.options();
    return message([&] { assign_option(all, option.name, value); }).empty();
  };
  const auto accepted_by_struct = [&](double value) {
    Options all = algorithm.options();
    for (Option& o : all) {
      if (o.name != option.name) continue;
      if (std::holds_alternative<double>(o.value)) o.value = value;
      if (std::holds_alternative<std::int64_t>(o.value)) o.value = static_cast<std::int64_t>(value);
    }
    return message([&] { algorithm.check(all); }).empty();
  };
  const bool whole = std::holds_alternative<std::int64_t>(option.value);
  if (!whole && !std::holds_alternative<double>(option.value)) return;
  const double tiny = whole ? 1 : 1e-9;
  for (const double edge : {option.range.low, option.range.high}) {
    if (!std::isfinite(edge) || edge > 1e9) continue;
    for (const double value : {edge - tiny, edge, edge + tiny}) {
      const std::string text = whole ? std::to_string(static_cast<long>(value)) : fmt::format("{}", value);
      EXPECT_EQ(accepted_by_table(text), accepted_by_struct(value)) << option.name << " = " << text;
    }
  }
}

// The table and `validate` of the struct must not disagree about what is allowed.
TEST(Options, AllowExactlyWhatTheStructAllows) {
  for (const Algorithm& algorithm : algorithms())
    for (const Option& option : algorithm.options()) {
      SCOPED_TRACE(algorithm.name);
      expect_same_range(algorithm, option);
    }
}

TEST(Options, RefuseWithPlaceValueAndRule) {
  Options options = named_options(MotoOptions{});
  const std::vector<std::pair<std::pair<std::string, std::string>, std::string>> wrong{
      {{"epsilon", "-1"}, "--set epsilon=-1: epsilon: must be a number > 0, but is the number -1"},
      {{"epsilon", "inf"}, "must be a number > 0, but is the number inf"},
      {{"epsilon", "nan"}, "must be a number > 0"},
      {{"epsilon", "big"}, "must be a number > 0, but is the text \"big\""},
      {{"epsilon", "true"}, "must be a number > 0, but is true"},
      {{"epsilon", "[1]"}, "must be a number > 0, but is an array of 1"},
      {{"rollouts", "2.5"}, "must be a whole number >= 2, but is the number 2.5"},
      {{"rollouts", "1"}, "must be a whole number >= 2, but is the number 1"},
      {{"rollouts", "99999999999"},
       "must be a whole number >= 2, of at most 2147483647, but is the number 99999999999"},
      {{"gamma", "1.5"}, "must be a number in [0, 1], but is the number 1.5"},
      {{"reuse", "tim"}, "must be one of none, time, iterations, time_and_iterations, but is the text \"tim\""},
      {{"entropy_constraint", "1"}, "must be true or false, but is the number 1"},
      {{"epsilom", "1"}, "did you mean \"epsilon\"?"},
      {{"zzzzzzzzzz", "1"}, "known: "},
      {{"record_updates", "true"}, "unknown"},
      {{"epsilon.x", "1"}, "must be a number > 0, but is a table"},
  };
  for (const auto& [set, expected] : wrong) {
    const std::string found = message([&] { assign_option(options, set.first, set.second); });
    EXPECT_THAT(found, HasSubstr(expected)) << set.first << "=" << set.second;
    EXPECT_EQ(found.find('\n'), std::string::npos);
  }
  EXPECT_EQ(options_as<MotoOptions>(options).epsilon, MotoOptions{}.epsilon) << "a refused value is not set";
}

TEST(Options, AssignmentNeedsKeyAndValue) {
  EXPECT_THAT(message([] { parse_assignment("epsilon"); }), HasSubstr("--set epsilon: must be KEY=VALUE"));
  EXPECT_THAT(message([] { parse_assignment("=3"); }), HasSubstr("must be KEY=VALUE"));
  const Assignment a = parse_assignment("task.text = a=b");
  EXPECT_EQ(a.key, "task.text");
  EXPECT_EQ(a.value, "a=b");
}

TEST_F(OptionsFile, NamesLineAndColumn) {
  Options options = named_options(MotoOptions{});
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"epsilon = 0.1\nrollouts = 0\n", "moto.toml:2:12: rollouts: must be a whole number >= 2, but is the number 0"},
      {"\nepsilonn = 0.1\n", "moto.toml:2:1: epsilonn: this key is unknown; did you mean \"epsilon\"?"},
      {"epsilon = \n", "moto.toml:1:"},
      {"epsilon = 1\nepsilon = 2\n", "not TOML"},
      {"[options]\nepsilon = -3\n", "moto.toml:2:11: options.epsilon"},
      {"options = 3\n", "must be a table, but is the number 3"},
  };
  for (const auto& [text, expected] : wrong)
    EXPECT_THAT(message([&] { read_options(options, write(text)); }), HasSubstr(expected)) << text;
  EXPECT_THAT(message([&] { read_options(options, folder_ / "none.toml"); }), HasSubstr("none.toml"));
}

TEST_F(OptionsFile, LaterSourcesWin) {
  Options options = named_options(MotoOptions{});
  read_options(options, write("epsilon = 0.2\nrollouts = 30\n"));
  read_options(options, write("rollouts = 40\n"));
  assign_option(options, "gamma", "0.5");
  const MotoOptions moto = options_as<MotoOptions>(options);
  EXPECT_EQ(moto.epsilon, 0.2);
  EXPECT_EQ(moto.rollouts, 40);
  EXPECT_EQ(moto.gamma, 0.5);
}

RunFile some_run() {
  RunFile run;
  run.algorithm = "moto";
  run.seed = 7;
  run.record_updates = true;
  run.task = "double_link";
  run.task_source = "/somewhere \"else\"/task.toml";
  run.task_overrides = {"actions.limit=10", "name=\"x\""};
  run.task_digest = "0123456789abcdef";
  run.options = named_options(MotoOptions{});
  run.versions = versions();
  return run;
}

TEST_F(OptionsFile, RunFileReadsBackAsItWasWritten) {
  RunFile run = some_run();
  assign_option(run.options, "epsilon", "0.1000000000000000055511151231257827");
  assign_option(run.options, "ridge", "1e-17");
  assign_option(run.options, "reuse", "none");
  std::ofstream(folder_ / "run.toml") << run_file_text(run);
  const RunFile back = read_run_file(folder_);
  EXPECT_EQ(run_file_text(back), run_file_text(run));
  EXPECT_EQ(options_digest(back), options_digest(run));
  EXPECT_EQ(options_as<MotoOptions>(back.options).epsilon, 0.1);
  EXPECT_EQ(back.task_source, run.task_source);
  EXPECT_EQ(back.task_overrides, run.task_overrides);

  // Its options are what --config reads.
  Options options = named_options(MotoOptions{});
  read_options(options, folder_ / "run.toml");
  EXPECT_EQ(options_as<MotoOptions>(options).ridge, 1e-17);
}

TEST_F(OptionsFile, RunFileRefusesWhatIsDamaged) {
  const std::string good = run_file_text(some_run());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"", "format: this key is missing"},
      {with("format = 1", "format = 2"), "format: must be 1, which this kedge reads, but is the number 2"},
      {with("format = 1", "format = '1'"), "but is the text"},
      {with("seed = 7", "seed = -7"), "seed: must be a whole number >= 0"},
      {with("seed = 7", "sead = 7"), "did you mean \"seed\""},
      {with("\"moto\"", "\"mota\""), "unknown algorithm 'mota'; did you mean \"moto\"?"},
      {with("epsilon = ", "epsilon = -"), "options.epsilon: must be a number > 0"},
      {with("record_updates = true", "record_updates = 1"), "must be true or false"},
      {with("digest = ", "digist = "), "did you mean \"digest\""},
      {with("[versions]", "[version]"), "did you mean \"versions\""},
      {good.substr(0, good.size() / 2), "run.toml"},
      {good + "\n\x01", "not TOML"},
  };
  for (const auto& [text, expected] : wrong) {
    std::ofstream(folder_ / "run.toml") << text;
    EXPECT_THAT(message([&] { read_run_file(folder_); }), HasSubstr(expected)) << text;
  }
}

// A run that was begun before an option existed: the option has its default, and the run goes on.
TEST_F(OptionsFile, RunFileMayBeOlderThanAnOption) {
  RunFile older = some_run();
  std::erase_if(older.options, [](const Option& option) { return option.name == "state_floor"; });
  std::ofstream(folder_ / "run.toml") << run_file_text(older);
  const RunFile read = read_run_file(folder_);
  EXPECT_EQ(read.options.size(), older.options.size() + 1);
  EXPECT_EQ(read.younger, std::set<std::string>{"state_floor"});
  EXPECT_EQ(options_digest(read), options_digest(older));
  EXPECT_NE(options_digest(read), options_digest(some_run()));
  std::ofstream(folder_ / "run.toml") << run_file_text(read);  // as `resume --iterations` writes it
  EXPECT_EQ(options_digest(read_run_file(folder_)), options_digest(older));
}

TEST(OptionsDigest, ChangesWithEveryOptionButTheNumberOfIterations) {
  const RunFile base = some_run();
  const std::vector<std::pair<std::string, std::string>> changes{{"rollouts", "21"},
                                                                 {"epsilon", "0.051"},
                                                                 {"beta0", "0.051"},
                                                                 {"entropy_constraint", "false"},
                                                                 {"initial_std", "5.5"},
                                                                 {"initial_mean", "demonstration"},
                                                                 {"state_floor", "0.1"},
                                                                 {"ridge", "0.002"},
                                                                 {"targets", "monte_carlo"},
                                                                 {"reuse", "none"},
                                                                 {"window", "6"},
                                                                 {"weight_cutoff", "0.002"},
                                                                 {"state_distribution", "forward"},
                                                                 {"gamma", "0.71"}};
  EXPECT_EQ(changes.size() + 1, base.options.size());
  for (const auto& [name, value] : changes) {
    RunFile other = base;
    assign_option(other.options, name, value);
    EXPECT_NE(options_digest(other), options_digest(base)) << name;
  }
  RunFile longer = base;
  assign_option(longer.options, "iterations", "500");
  EXPECT_EQ(options_digest(longer), options_digest(base));
}

}  // namespace
}  // namespace kedge
