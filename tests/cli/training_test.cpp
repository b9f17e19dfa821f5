// train and resume: what is written, what is printed, and that nothing depends on threads or interruptions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "program.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void expect_same_run(const fs::path& a, const fs::path& b) {
  for (const char* file : {"metrics.csv", "policy.h5"}) {
    const std::string left = read(a / file), right = read(b / file);
    EXPECT_FALSE(left.empty()) << a / file;
    EXPECT_TRUE(left == right) << file << " of " << a << " and " << b << " differ";
  }
}

/// Iterations that no machine does before the test has done what it does meanwhile.
constexpr int kWithoutEnd = 1'000'000;

/// Rows of metrics.csv that are complete.
int rows(const fs::path& run) {
  const std::string text = read(run / "metrics.csv");
  return std::max(0, static_cast<int>(std::count(text.begin(), text.end(), '\n')) - 1);
}

/// Waits until the run has completed this many iterations, or ended.
void wait_for_rows(Process& process, const fs::path& run, int n) {
  while (process.running() && rows(run) < n) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

TEST(Train, WritesTheRunAndNamesTheNextCommands) {
  const Scratch scratch;
  const Outcome o = run(small_training("run"), {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  for (const char* file : {"run.toml", "metrics.csv", "timings.csv", "policy.h5", "checkpoint.h5", "task/task.toml",
                           "task/model/double_link.xml"})
    EXPECT_TRUE(fs::exists(scratch.path() / "run" / file)) << file;
  EXPECT_EQ(rows(scratch.path() / "run"), 6);
  EXPECT_THAT(o.out, HasSubstr("iteration 6/6"));
  EXPECT_THAT(o.out, HasSubstr("reached, without exploration noise, 20 rollouts"));
  for (const char* next : {"kedge evaluate run", "kedge compare run", "kedge resume run"})
    EXPECT_THAT(o.out, HasSubstr(next));
  EXPECT_THAT(o.out, Not(HasSubstr("\r"))) << "a pipe gets plain lines";
  EXPECT_THAT(o.out, Not(HasSubstr("\033")));
}

TEST(Train, PipedProgressIsAboutTenLines) {
  const Scratch scratch;
  const Outcome o = run(small_training("run", 40), {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  int lines = 0;
  for (std::size_t at = 0; (at = o.out.find("  iteration ", at)) != std::string::npos; ++at) ++lines;
  EXPECT_GE(lines, 10);
  EXPECT_LE(lines, 12);
}

TEST(Train, OnATerminalUpdatesOneLine) {
  const Scratch scratch;
  const Outcome o = run(small_training("run", 40), {.directory = scratch.path(), .terminal = true});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("\r\033[Kdouble_link moto seed 1  [############] 40/40  0 s left  return mean"));
  EXPECT_THAT(o.out, HasSubstr(" left"));
  EXPECT_THAT(o.out, Not(HasSubstr("iteration 40/40")));
  // Up to the end of training there is no line break: one line.
  EXPECT_THAT(o.out.substr(0, o.out.find("40/40")), Not(HasSubstr("\n")));
}

TEST(Train, OffersToPlayOnlyWhatTheBrowserCanSimulate) {
  const Scratch scratch;
  for (const auto& [task, next] : {std::pair{"double_link", "kedge replay run -o page.html --play "},
                                   std::pair{"table_tennis", "kedge replay run -o page.html  "}}) {
    const Outcome o =
        run({"train", task, "--iterations", "0", "--out", "run", "--force"}, {.directory = scratch.path()});
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr(next));
    const bool play = std::string(next).ends_with("--play ");
    EXPECT_EQ(run({"replay", "run", "-o", "page.html", "--play"}, {.directory = scratch.path()}).code, play ? 0 : 2);
  }
}

TEST(Train, ShowsTheWholeStateToAnAlgorithmThatNeedsIt) {
  const Scratch scratch;
  // The task's own observation leaves out what its world adds to the state.
  const Outcome o = run({"train", "table_tennis", "--algorithm", "ilqr", "--iterations", "0", "--out", "run"},
                        {.directory = scratch.path()});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(run({"evaluate", "run", "--rollouts", "1"}, {.directory = scratch.path()}).code, 0);
  EXPECT_THAT(run({"validate", "table_tennis"}, {.directory = scratch.path()}).out, HasSubstr("ilqr           ready"));
}

TEST(Train, EndsWithNumericalFailureAndKeepsTheLastGoodPolicy) {
  const Scratch scratch;
  // Steps of twenty seconds: every rollout diverges.
  auto arguments = small_training("run", 5);
  arguments.insert(arguments.end(), {"--set", "task.control_step=20", "--set", "task.substeps=1"});
  const Outcome o = run(arguments, {.directory = scratch.path()});
  EXPECT_EQ(o.code, 3) << o.out;
  std::vector<std::string> lines = o.error_lines();
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.back(), StartsWith("kedge: error: numerical failure after 0 iterations: "));
  EXPECT_THAT(lines.back(), HasSubstr("the last good policy is run/policy.h5"));
  lines.pop_back();
  EXPECT_THAT(lines, Each(StartsWith("kedge: warning: "))) << "of the unit";
  EXPECT_THAT(o.err, HasSubstr("20 ms are 0.02"));
  EXPECT_TRUE(fs::exists(scratch.path() / "run/policy.h5"));

  const Outcome again = run({"resume", "run"}, {.directory = scratch.path()});
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, HasSubstr("ended by numerical failure"));
  const Outcome evaluation = run({"evaluate", "run", "--rollouts", "3"}, {.directory = scratch.path()});
  EXPECT_EQ(evaluation.code, 3);
  EXPECT_THAT(evaluation.err, HasSubstr("all 3 rollouts diverged"));
  EXPECT_EQ(evaluation.error_lines().size(), 1U);
}

TEST(Train, TimesOfEveryAlgorithmHaveTheirPhases) {
  const Scratch scratch;
  for (const char* algorithm : {"moto", "gps", "ilqr"}) {
    const Outcome o = run({"train", "double_link", "--quiet", "--algorithm", algorithm, "--set", "task.horizon=20",
                           "--iterations", "2", "--out", algorithm},
                          {.directory = scratch.path()});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(read(scratch.path() / algorithm / "timings.csv"),
                ContainsRegex("^iteration(,[a-z_]+)+\n0(,[0-9.e-]+)+\n1(,[0-9.e-]+)+\n$"));
  }
  EXPECT_EQ(run({"compare", "moto", "ilqr"}, {.directory = scratch.path()}).code, 0);
}

TEST(Train, SaysThatItConverged) {
  const Scratch scratch;
  const Outcome o = run({"train", "double_link", "--algorithm", "ilqr", "--set", "task.horizon=20", "--out", "run"},
                        {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, ContainsRegex("\nafter [0-9]+ iterations converged: cost [0-9.]+, "));
}

TEST(Train, QuietPrintsNothing) {
  const Scratch scratch;
  const Outcome o = run(with(small_training("run"), {"--quiet"}), {.directory = scratch.path()});
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.out, IsEmpty());
}

TEST(Train, ChoosesAFreeDirectoryAndOverwritesNothing) {
  const Scratch scratch;
  const std::vector<std::string> arguments{"train",        "double_link", "--set",  "task.horizon=30",
                                           "--iterations", "0",           "--seed", "5"};
  EXPECT_EQ(run(arguments, {.directory = scratch.path()}).code, 0);
  EXPECT_EQ(run(arguments, {.directory = scratch.path()}).code, 0);
  EXPECT_TRUE(fs::exists(scratch.path() / "runs/double_link-moto-s5/run.toml"));
  EXPECT_TRUE(fs::exists(scratch.path() / "runs/double_link-moto-s5-2/run.toml"));

  EXPECT_EQ(run(small_training("run", 2), {.directory = scratch.path()}).code, 0);
  const std::string before = read(scratch.path() / "run/metrics.csv");
  const Outcome refused = run(small_training("run", 3), {.directory = scratch.path()});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(refused.error_lines().size(), 1U);
  EXPECT_EQ(read(scratch.path() / "run/metrics.csv"), before);
  EXPECT_EQ(run(with(small_training("run", 3), {"--force"}), {.directory = scratch.path()}).code, 0);
  EXPECT_EQ(rows(scratch.path() / "run"), 3);
}

TEST(Train, OptionsComeFromDefaultsTaskConfigAndSetInThisOrder) {
  const Scratch scratch;
  fs::copy(fs::path(test::source_dir()) / "tasks/double_link", scratch.path() / "link");
  write(scratch.path() / "link/moto.toml", "epsilon = 0.2\nrollouts = 6\ngamma = 0.3\n");
  write(scratch.path() / "my.toml", "rollouts = 7\ngamma = 0.4\niterations = 9\n");
  const Outcome o =
      run({"train", "link", "--config", "my.toml", "--set", "gamma=0.6", "--iterations", "1", "--out", "run"},
          {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string file = read(scratch.path() / "run/run.toml");
  for (const char* line : {"epsilon = 0.2\n", "rollouts = 7\n", "gamma = 0.6", "iterations = 1\n", "beta0 = 0.05\n"})
    EXPECT_THAT(file, HasSubstr(line));
}

TEST(Train, ChangesTheTaskWithSet) {
  const Scratch scratch;
  const Outcome o =
      run(with(small_training("run", 1), {"--set", "task.actions.limit=10"}), {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(read(scratch.path() / "run/run.toml"), HasSubstr("actions.limit=10"));
  EXPECT_THAT(run({"validate", "run/task"}, {.directory = scratch.path()}).out, HasSubstr("in [-10, 10]"));
}

TEST(Train, DoesNotDependOnThreads) {
  const Scratch scratch;
  for (const char* threads : {"1", "2", "8"}) {
    auto arguments = small_training(threads, 10);
    *(std::find(arguments.begin(), arguments.end(), "--threads") + 1) = threads;
    ASSERT_EQ(run(arguments, {.directory = scratch.path()}).code, 0);
  }
  expect_same_run(scratch.path() / "1", scratch.path() / "2");
  expect_same_run(scratch.path() / "1", scratch.path() / "8");
}

TEST(Train, DependsOnTheSeed) {
  const Scratch scratch;
  for (const char* seed : {"1", "2"})
    ASSERT_EQ(run(with(small_training(seed, 2), {"--seed", seed}), {.directory = scratch.path()}).code, 0);
  EXPECT_NE(read(scratch.path() / "1/metrics.csv"), read(scratch.path() / "2/metrics.csv"));
}

TEST(Train, IsRepeatedFromTheRunDirectoryAlone) {
  const Scratch scratch;
  ASSERT_EQ(run(with(small_training("run", 4), {"--seed", "9"}), {.directory = scratch.path()}).code, 0);
  const Outcome again =
      run({"train", "task", "--algorithm", "moto", "--seed", "9", "--config", "run.toml", "--out", "../again"},
          {.directory = scratch.path() / "run"});
  ASSERT_EQ(again.code, 0) << again.err;
  expect_same_run(scratch.path() / "run", scratch.path() / "again");
}

TEST(Train, WithGpsIsTheSameForAnyNumberOfThreadsAndWhenResumed) {
  const Scratch scratch;
  const auto training = [](const std::string& out, int iterations) {
    return with(small_training(out, iterations),
                {"--algorithm", "gps", "--set", "rollouts=8", "--set", "prior=gmm", "--set", "clusters=3", "--set",
                 "adapt_step=true", "--record-updates"});
  };
  ASSERT_EQ(run(training("whole", 6), {.directory = scratch.path()}).code, 0);
  ASSERT_EQ(run(training("part", 2), {.directory = scratch.path()}).code, 0);
  const Outcome on = run({"resume", "part", "--iterations", "6", "--threads", "8"}, {.directory = scratch.path()});
  ASSERT_EQ(on.code, 0) << on.err;
  expect_same_run(scratch.path() / "whole", scratch.path() / "part");
  EXPECT_TRUE(read(scratch.path() / "whole/updates.h5") == read(scratch.path() / "part/updates.h5"));
  const Outcome evaluation = run({"evaluate", "part", "--rollouts", "3"}, {.directory = scratch.path()});
  EXPECT_EQ(evaluation.code, 0) << evaluation.err;

  const Outcome other = run({"train", "double_link", "--algorithm", "gps", "--set", "reuse=none"}, {});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("reuse: this key is unknown"));
}

class Interrupt : public testing::TestWithParam<int> {};

TEST_P(Interrupt, SavesTheStateAndResumeEndsAsIfNothingHadHappened) {
  const Scratch scratch;
  Process process(small_training("stopped", kWithoutEnd), {.directory = scratch.path()});
  wait_for_rows(process, scratch.path() / "stopped", 5);
  process.signal(GetParam());
  const Outcome o = process.wait();
  EXPECT_EQ(o.code, 130) << o.err;
  EXPECT_THAT(o.out, HasSubstr("kedge resume stopped"));

  const int iterations = rows(scratch.path() / "stopped") + 5;
  ASSERT_LT(iterations, kWithoutEnd);
  const Outcome resumed = run({"resume", "stopped", "--threads", "2", "--iterations", std::to_string(iterations)},
                              {.directory = scratch.path()});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  ASSERT_EQ(run(small_training("whole", iterations), {.directory = scratch.path()}).code, 0);
  expect_same_run(scratch.path() / "whole", scratch.path() / "stopped");
}
INSTANTIATE_TEST_SUITE_P(Signals, Interrupt, testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST(Train, PrintsIntoNoFileOfItsRunWhereTheStandardStreamsAreClosed) {
  const Scratch scratch;
  ASSERT_EQ(run(small_training("whole"), {.directory = scratch.path()}).code, 0);
  for (const std::vector<int>& closed : std::vector<std::vector<int>>{{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}}) {
    fs::remove_all(scratch.path() / "run");
    const bool unheard = std::ranges::find(closed, 1) != closed.end();
    EXPECT_EQ(run(small_training("run"), {.directory = scratch.path(), .closed = closed}).code, unheard ? 3 : 0);
    for (const char* file : {"metrics.csv", "policy.h5", "checkpoint.h5", "warnings.csv", "steps.csv", "written.csv"})
      EXPECT_TRUE(read(scratch.path() / "whole" / file) == read(scratch.path() / "run" / file))
          << file << " with " << testing::PrintToString(closed) << " closed";
    EXPECT_EQ(read(scratch.path() / "run/.lock").size(), read(scratch.path() / "whole/.lock").size());
  }
  EXPECT_EQ(run({"validate", "nothing"}, {.closed = {2}}).code, 2);
  EXPECT_EQ(run({"validate", "nothing"}, {.full = {2}}).code, 2);
  EXPECT_EQ(run(small_training("warned"), {.directory = scratch.path(), .full = {2}}).code, 0);
}

TEST(Train, GoesOnWhereNobodyReadsWhatItPrints) {
  const Scratch scratch;
  ASSERT_EQ(run(small_training("whole", 20), {.directory = scratch.path()}).code, 0);
  const Outcome o = run(small_training("run", 20), {.directory = scratch.path(), .unread = true});
  EXPECT_EQ(o.code, 0) << "no signal, no failure";
  EXPECT_THAT(o.err, testing::Not(HasSubstr("error")));
  expect_same_run(scratch.path() / "whole", scratch.path() / "run");
}

TEST(Program, SaysThatItsOutputCannotBeWrittenUnlessNobodyReadsIt) {
  const Outcome full = run({"list"}, {.full = {1}});
  EXPECT_EQ(full.code, 3);
  EXPECT_EQ(full.err, "kedge: error: standard output cannot be written\n");
  const Outcome unread = run({"list"}, {.unread = true});
  EXPECT_EQ(unread.code, 0);
  EXPECT_EQ(unread.err, "");
  EXPECT_EQ(run({"validate", "nothing"}, {.unread = true}).code, 2) << "its own error counts";
}

TEST(Resume, ExtendsAFinishedRun) {
  const Scratch scratch;
  ASSERT_EQ(run(small_training("long", 8), {.directory = scratch.path()}).code, 0);
  ASSERT_EQ(run(small_training("short", 3), {.directory = scratch.path()}).code, 0);
  const Outcome finished = run({"resume", "short"}, {.directory = scratch.path()});
  EXPECT_EQ(finished.code, 2);
  EXPECT_THAT(finished.err, HasSubstr("all 3 iterations are done"));
  const Outcome o = run({"resume", "short", "--iterations", "8"}, {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  expect_same_run(scratch.path() / "long", scratch.path() / "short");
}

TEST(Resume, WorksWhateverThePathOfTheTaskIs) {
  const Scratch scratch;
  for (const std::string name : {"a\nb", "a \"quoted\" \\ task", "\xc3\xa4"}) {
    fs::remove_all(scratch.path() / "run");
    fs::copy(fs::path(test::source_dir()) / "tasks/double_link", scratch.path() / name);
    std::vector<std::string> arguments = small_training("run", 1);
    arguments[1] = name;
    arguments.insert(arguments.end(), {"--set", "task.actions.limit=[10,\n10]"});
    ASSERT_EQ(run(arguments, {.directory = scratch.path()}).code, 0) << name;
    const Outcome o = run({"resume", "run", "--iterations", "2"}, {.directory = scratch.path()});
    EXPECT_EQ(o.code, 0) << name << o.err;
  }
  fs::copy(fs::path(test::source_dir()) / "tasks/double_link", scratch.path() / "\xff");
  std::vector<std::string> arguments = small_training("none", 1);
  arguments[1] = "\xff";
  const Outcome o = run(arguments, {.directory = scratch.path()});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("the path, or what --set says of the task, is not UTF-8"));
  EXPECT_FALSE(fs::exists(scratch.path() / "none"));
}

TEST(Resume, ReplacesNoRunTomlThatSomebodyEdited) {
  const Scratch scratch;
  ASSERT_EQ(run(small_training("run", 1), {.directory = scratch.path()}).code, 0);
  const std::string edited = read(scratch.path() / "run/run.toml") + "# my notes\n";
  write(scratch.path() / "run/run.toml", edited);
  const std::string lock = read(scratch.path() / "run/.lock"), metrics = read(scratch.path() / "run/metrics.csv");
  const Outcome o = run({"resume", "run", "--iterations", "2"}, {.directory = scratch.path()});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("run/run.toml: is not as kedge wrote it and is not replaced"));
  EXPECT_EQ(read(scratch.path() / "run/run.toml"), edited);
  EXPECT_EQ(read(scratch.path() / "run/metrics.csv"), metrics);
  EXPECT_EQ(read(scratch.path() / "run/.lock"), lock) << "a refused resume signs nothing";
}

TEST(Resume, NeedsNeitherTheTaskNorThePlaceThatTheRunBeganWith) {
  const Scratch scratch;
  fs::copy(fs::path(test::source_dir()) / "tasks/double_link", scratch.path() / "link");
  std::vector<std::string> whole = small_training("whole", 6), part = small_training("part", 3);
  whole[1] = part[1] = "link";
  ASSERT_EQ(run(whole, {.directory = scratch.path()}).code, 0);
  ASSERT_EQ(run(part, {.directory = scratch.path()}).code, 0);
  fs::remove_all(scratch.path() / "link");
  fs::rename(scratch.path() / "part", scratch.path() / "moved");
  const Outcome o = run({"resume", "moved", "--iterations", "6"}, {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  expect_same_run(scratch.path() / "whole", scratch.path() / "moved");
  EXPECT_EQ(run({"evaluate", "moved", "--rollouts", "2"}, {.directory = scratch.path()}).code, 0);
}

TEST(Resume, TwoProcessesDoNotWriteOneRun) {
  const Scratch scratch;
  Process process(small_training("run", kWithoutEnd), {.directory = scratch.path()});
  wait_for_rows(process, scratch.path() / "run", 2);
  const Outcome second = run({"resume", "run"}, {.directory = scratch.path()});
  EXPECT_EQ(second.code, 2);
  EXPECT_EQ(second.error_lines().size(), 1U);
  process.signal(SIGINT);
  EXPECT_EQ(process.wait().code, 130);
}

TEST(FullDisk, IsReportedInOneLineAndTheRunContinuesWhenThereIsSpace) {
  const Scratch scratch;
  const int iterations = 40;
  ASSERT_EQ(run(small_training("whole", iterations), {.directory = scratch.path()}).code, 0);
  const auto size = fs::file_size(scratch.path() / "whole/metrics.csv");
  // The limit strikes one file or another, depending on how they grow.
  for (const std::uint64_t limit : {size / 4, size * 3 / 4, std::uint64_t{1} << 15, std::uint64_t{1} << 16}) {
    const std::string name = "limit" + std::to_string(limit);
    const Outcome o = run(small_training(name, iterations), {.directory = scratch.path(), .largest_file = limit});
    EXPECT_EQ(o.code, 3) << limit << ": " << o.err;
    const auto lines = o.error_lines();
    ASSERT_FALSE(lines.empty());
    EXPECT_THAT(lines.back(), testing::StartsWith("kedge: error: "));
    EXPECT_EQ(
        std::count_if(lines.begin(), lines.end(), [](const std::string& l) { return l.starts_with("kedge: error"); }),
        1);
    const Outcome resumed = run({"resume", name}, {.directory = scratch.path()});
    if (resumed.code == 2) {
      // It struck before there was anything to go on from.
      EXPECT_THAT(resumed.err, HasSubstr("run.toml")) << limit;
      continue;
    }
    ASSERT_EQ(resumed.code, 0) << limit << ": " << resumed.err;
    expect_same_run(scratch.path() / "whole", scratch.path() / name);
  }
}

TEST(Train, SaysThatADirectoryCannotBeWritten) {
  if (geteuid() == 0) {
    // Root may write everywhere, but not below a file.
    const Scratch scratch;
    write(scratch.path() / "file", "");
    const Outcome o = run(small_training("file/run", 1), {.directory = scratch.path()});
    EXPECT_EQ(o.code, 2) << o.err;
    EXPECT_EQ(o.error_lines().size(), 1U);
    const Outcome proc = run(small_training("/proc/kedge/run", 1), {.directory = scratch.path()});
    EXPECT_EQ(proc.code, 2) << proc.err;
    EXPECT_EQ(proc.error_lines().size(), 1U);
    return;
  }
  const Scratch scratch;
  fs::permissions(scratch.path(), fs::perms::owner_read | fs::perms::owner_exec);
  const Outcome o = run(small_training("run", 1), {.directory = scratch.path()});
  EXPECT_EQ(o.code, 2) << o.err;
  EXPECT_EQ(o.error_lines().size(), 1U);
  fs::permissions(scratch.path(), fs::perms::owner_all);
}

TEST(Train, LeavesNothingWhereItsThreadsCannotBeStarted) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user, whose processes have a limit";
  const Scratch scratch;
  fs::permissions(scratch.path(), fs::perms::all);
  fs::copy(source_dir() + "/tasks/double_link", scratch.path() / "task");  // where that user can read it
  const fs::path library = fs::canonical(KEDGE_MUJOCO_LIBRARY);
  fs::copy(library, scratch.path() / library.filename());
  std::vector<std::string> training = small_training("run", 1);
  *std::ranges::find(training, "double_link") = "task";
  *(std::ranges::find(training, "--threads") + 1) = "4";
  for (int processes = 2; processes <= 8; ++processes) {
    const Outcome o = run(training, {.directory = scratch.path(),
                                     .variables = {{"LD_LIBRARY_PATH", scratch.path().string()}},
                                     .processes = static_cast<std::uint64_t>(processes)});
    EXPECT_THAT(o.code, testing::AnyOf(0, 3)) << o.err;
    EXPECT_EQ(fs::exists(scratch.path() / "run"), o.code == 0) << processes << ": " << o.err;
    if (o.code == 3) {
      EXPECT_THAT(o.err, HasSubstr("4 threads cannot be started, but "));
    }
    fs::remove_all(scratch.path() / "run");
  }
}

}  // namespace
}  // namespace kedge::test
