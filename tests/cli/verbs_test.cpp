// Every verb does what its help says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "program.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

/// Two finished runs that differ in their seed, one with another option; made once.
class Verbs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new Scratch;
    for (const auto& [name, seed, epsilon] : {std::tuple{"a", "1", "0.05"}, {"b", "2", "0.05"}, {"c", "1", "0.1"}}) {
      auto arguments = small_training(name);
      arguments.insert(arguments.end(), {"--seed", seed, "--set", std::string("epsilon=") + epsilon});
      const Outcome made = run(arguments, {.directory = scratch_->path()});
      ASSERT_EQ(made.code, 0) << made.err;
    }
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static Outcome kedge(const std::vector<std::string>& arguments) {
    return run(arguments, {.directory = scratch_->path()});
  }
  static fs::path path(const std::string& name) { return scratch_->path() / name; }

  static Scratch* scratch_;
};
Scratch* Verbs::scratch_ = nullptr;

TEST_F(Verbs, VersionNamesLibrariesAndCompiler) {
  const Outcome o = kedge({"--version"});
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.out, ContainsRegex("^kedge [0-9]+\\.[0-9]+\\.[0-9]+ \\(.*MuJoCo .*Eigen 3"));
  EXPECT_THAT(o.err, IsEmpty());
}

TEST_F(Verbs, HelpHasExamples) {
  EXPECT_THAT(kedge({"--help"}).out, HasSubstr("kedge train double_link"));
  for (const char* verb : {"list", "validate", "train", "resume", "evaluate", "demonstrate", "export", "compare"}) {
    const Outcome o = kedge({verb, "--help"});
    EXPECT_EQ(o.code, 0) << verb;
    EXPECT_THAT(o.out, HasSubstr(std::string("kedge ") + verb)) << verb;
    EXPECT_THAT(o.out, HasSubstr("Examples:")) << verb;
    EXPECT_THAT(o.err, IsEmpty()) << verb;
  }
}

TEST_F(Verbs, ListShowsTasksAlgorithmsAndPolicies) {
  const Outcome o = kedge({"list"});
  EXPECT_EQ(o.code, 0);
  for (const char* expected : {"double_link", "swimmer", "walker", "moto", "gps", "tv_linear_gaussian"})
    EXPECT_THAT(o.out, HasSubstr(expected));
  EXPECT_THAT(o.err, IsEmpty());
}

TEST_F(Verbs, ListOptionsShowsNameDefaultRangeAndMeaning) {
  const Outcome o = kedge({"list", "--options", "moto"});
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.out, HasSubstr("epsilon = 0.05    # a number > 0"));
  EXPECT_THAT(o.out, HasSubstr("one of none, time, iterations, time_and_iterations"));
  EXPECT_THAT(o.out, HasSubstr("Sec. 4.3.2"));
}

TEST_F(Verbs, TasksAreFoundInTheFoldersOfTheEnvironmentFirst) {
  fs::create_directory(path("mine"));
  fs::copy(fs::path(test::source_dir()) / "tasks" / "double_link", path("mine/other_link"),
           fs::copy_options::recursive);
  const Outcome o =
      run({"list"}, {.directory = scratch_->path(), .variables = {{"KEDGE_TASKS", path("mine").string()}}});
  EXPECT_THAT(o.out, HasSubstr("other_link"));
  EXPECT_THAT(o.out, HasSubstr("double_link"));
}

TEST_F(Verbs, ValidatePrintsTheParsedTask) {
  const Outcome o = kedge({"validate", "double_link"});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* expected :
       {"100 steps of 0.05 s = 5 s", "in [-25, 25]", "torque: quadratic of action:", "steps 80..99", "success", "ok\n"})
    EXPECT_THAT(o.out, HasSubstr(expected));
  const Outcome changed = kedge({"validate", "double_link", "--set", "actions.limit=10"});
  EXPECT_THAT(changed.out, HasSubstr("in [-10, 10]"));
  EXPECT_THAT(o.out, HasSubstr("mean 3.142, 0, 0, 0; standard deviation 0.01, 0.01, 0.01, 0.01\n"));
  // Of a larger state what is not 0, by name; what the policy does not see by its place.
  const Outcome tennis = kedge({"validate", "table_tennis"});
  EXPECT_THAT(tennis.out, HasSubstr("mean qpos:base_y 0.1, qpos:shoulder_yaw -0.7, "));
  EXPECT_THAT(tennis.out, HasSubstr(" 10, else 0; standard deviation 0\n"));
  const Outcome folder = kedge({"validate", test::source_dir() + "/tasks/double_link"});
  EXPECT_EQ(folder.code, 0) << folder.err;
}

TEST_F(Verbs, EvaluateSummarisesReturns) {
  const Outcome o = kedge({"evaluate", "a", "--rollouts", "10"});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* expected :
       {"10 rollouts with exploration noise", "mean", "std", "median", "min", "max", "success", "diverged"})
    EXPECT_THAT(o.out, HasSubstr(expected));
}

TEST_F(Verbs, EvaluateDependsOnTheSeedOnly) {
  const auto json = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"evaluate", "a", "--rollouts", "8", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return kedge(arguments).out;
  };
  const std::string one = json({"--threads", "1"});
  EXPECT_THAT(one, StartsWith("{"));
  EXPECT_THAT(one, HasSubstr("\"rollouts\": 8"));
  EXPECT_EQ(one, json({"--threads", "2"}));
  EXPECT_EQ(one, json({"--threads", "8"}));
  EXPECT_NE(one, json({"--seed", "2"}));
  EXPECT_NE(one, json({"--deterministic"}));
}

TEST_F(Verbs, EvaluateLeavesOutObservations) {
  const auto evaluate = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"evaluate", "a", "--rollouts", "8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return kedge(arguments);
  };
  const std::vector<std::string> blind{"--without", "qvel:shoulder", "--without", "qvel:elbow"};
  const Outcome text = evaluate(blind);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("a without qvel:shoulder, qvel:elbow on double_link: 8 rollouts"));
  const auto line = [](const std::string& out) { return out.substr(out.find('\n')); };
  EXPECT_NE(line(text.out), line(evaluate({}).out));
  const std::string json = evaluate({"--without", "qvel:shoulder", "--json"}).out;
  EXPECT_THAT(json, ContainsRegex("\"without\": \\[ *\n? *\"qvel:shoulder\""));
}

TEST_F(Verbs, EvaluateTakesAPolicyFileAndATask) {
  const Outcome in_run = kedge({"evaluate", "a/policy.h5", "--rollouts", "5", "--json"});
  EXPECT_EQ(in_run.code, 0) << in_run.err;
  EXPECT_EQ(in_run.out, kedge({"evaluate", "a", "--rollouts", "5", "--json"}).out);

  fs::copy_file(path("a/policy.h5"), path("alone.h5"));
  EXPECT_EQ(kedge({"evaluate", "alone.h5"}).code, 2);
  const Outcome o =
      kedge({"evaluate", "alone.h5", "--task", "double_link", "--set", "task.horizon=30", "--rollouts", "5", "--json"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, in_run.out);
}

TEST_F(Verbs, EvaluateWritesTrajectories) {
  const Outcome o = kedge({"evaluate", "a", "--rollouts", "5", "--trajectories", "t.h5"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(read(path("t.h5")), HasSubstr("observation"));
}

TEST_F(Verbs, DemonstrateWritesAWalkThatATaskCanRead) {
  const Outcome o = kedge({"demonstrate", "walker", "-o", "walk.h5"});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* expected :
       {"walker: 300 steps of 0.01 s = 3 s by the controller simbicon, gait walk\n", "  speed ", "target 1.3",
        "  height ", "  return ", "success      yes   no fall", "  replay ", "written to   walk.h5\n"})
    EXPECT_THAT(o.out, HasSubstr(expected));
  const Outcome again = kedge({"demonstrate", "walker", "--set",
                               "task.demonstration={ file = \"" + path("walk.h5").string() + "\" }", "-o", "again.h5"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("by the recording " + path("walk.h5").string()));
  EXPECT_EQ(read(path("again.h5")), read(path("walk.h5")));
  const Outcome shown = kedge({"validate", "walker"});
  EXPECT_THAT(shown.out, HasSubstr("  shown        300 steps by the controller simbicon, gait walk\n"));
}

TEST_F(Verbs, DemonstrateReplacesAFileOnlyByForce) {
  write(path("there.h5"), "mine");
  const Outcome o = kedge({"demonstrate", "swimmer", "-o", "there.h5"});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("there.h5: is there already; --force replaces it"));
  EXPECT_EQ(read(path("there.h5")), "mine");
  EXPECT_EQ(kedge({"demonstrate", "swimmer", "-o", "there.h5", "--force"}).code, 0);
  EXPECT_THAT(read(path("there.h5")), HasSubstr("trajectories"));
}

TEST_F(Verbs, DemonstrateTakesAnotherControllerAndOtherNumbers) {
  const Outcome o =
      kedge({"demonstrate", "swimmer", "--controller", "wave", "--set", "demonstration.lag=-1.5", "-o", "back.h5"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("by the controller wave"));
  EXPECT_THAT(o.out, ContainsRegex("speed .*mean -0\\.[0-9]+, target 0.6"));
  EXPECT_THAT(o.out, HasSubstr("success      no"));
  const Outcome link = kedge({"demonstrate", "double_link", "--controller", "wave", "-o", "link.h5"});
  EXPECT_EQ(link.code, 0) << link.err;
}

TEST_F(Verbs, CompareGroupsSeedsAndSeparatesOptions) {
  const Outcome o = kedge({"compare", "a", "b", "c", "a", "--partial", "--csv", "curves.csv", "--svg", "curves.svg"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("3 runs in 2 groups"));
  EXPECT_THAT(o.out, HasSubstr("moto epsilon=0.05  (2 seeds: 1, 2)"));
  EXPECT_THAT(o.out, HasSubstr("moto epsilon=0.1  (1 seed: 1)"));
  EXPECT_THAT(o.out, HasSubstr("final policies without noise"));

  const std::string csv = read(path("curves.csv"));
  EXPECT_THAT(csv, StartsWith("task,group,runs,iteration,rollouts,seconds,median,"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * 6);
  EXPECT_THAT(csv, HasSubstr("double_link,moto epsilon=0.05,2,5,36,"));
  const std::string svg = read(path("curves.svg"));
  EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_THAT(svg, HasSubstr("moto epsilon=0.1 (1 seed)"));
  const Outcome seconds = kedge({"compare", "a", "c", "--svg", "seconds.svg", "--x", "seconds"});
  EXPECT_EQ(seconds.code, 0) << seconds.err;
  EXPECT_THAT(read(path("seconds.svg")), HasSubstr("wall time, s"));
}

TEST_F(Verbs, CompareRefusesDamagedRunsOrLeavesThemOut) {
  const auto refused = [&](const std::string& run, const std::string& why) {
    const Outcome o = kedge({"compare", "a", run, "--svg", "refused.svg"});
    EXPECT_EQ(o.code, 2) << run;
    EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
    EXPECT_THAT(o.err, HasSubstr(why));
    EXPECT_FALSE(fs::exists(path("refused.svg")));
  };
  for (const char* name : {"cut", "lost_rows", "no_policy"})
    fs::copy(path("b"), path(name), fs::copy_options::recursive);
  fs::resize_file(path("cut/checkpoint.h5"), 1000);
  refused("cut", "cut/checkpoint.h5: is damaged");
  const std::string rows = read(path("lost_rows/metrics.csv"));
  write(path("lost_rows/metrics.csv"), rows.substr(0, rows.find('\n', rows.find('\n') + 1) + 1));
  refused("lost_rows", "lost_rows/metrics.csv: is damaged: it has 1 of 6 iterations");
  fs::remove(path("no_policy/policy.h5"));
  refused("no_policy", "no_policy/policy.h5: there is no such file");

  const Outcome o = kedge({"compare", "a", "cut", "--partial"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("1 run in 1 group"));
  EXPECT_THAT(o.err, HasSubstr("left out: cut"));
  EXPECT_EQ(o.error_lines().size(), 1U);
}

TEST_F(Verbs, CompareRefusesGroupsOfDifferentSeeds) {
  const Outcome o = kedge({"compare", "a", "c", "b"});
  EXPECT_EQ(o.code, 2);
  EXPECT_EQ(o.error_lines().size(), 1U);
  EXPECT_THAT(o.err, HasSubstr("'moto epsilon=0.1' has no run of seed 2, but 'moto epsilon=0.05' has"));
}

TEST_F(Verbs, CompareCountsEqualRunsOnce) {
  fs::copy(path("a"), path("twin"), fs::copy_options::recursive);
  const Outcome o = kedge({"compare", "a", "twin"});
  EXPECT_THAT(o.out, HasSubstr("1 run in 1 group"));
  EXPECT_THAT(o.err, HasSubstr("same options and seed 1 as a"));
}

TEST_F(Verbs, CompareWithoutGnuplotNamesIt) {
  const Outcome o =
      run({"compare", "a", "--svg", "x.svg"}, {.directory = scratch_->path(), .variables = {{"PATH", "/nowhere"}}});
  EXPECT_EQ(o.code, 3);
  EXPECT_THAT(o.err, HasSubstr("gnuplot"));
  EXPECT_EQ(o.error_lines().size(), 1U);
  EXPECT_FALSE(fs::exists(path("x.svg")));
}

}  // namespace
}  // namespace kedge::test
