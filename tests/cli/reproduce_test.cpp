// reproduce: a figure by one command, that can be stopped and repeated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <regex>
#include <thread>

#include "program.h"
#include "tests/support/csv.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::string figure(int iterations) {
  return "kedge = 1\ntitle = \"Small\"\ntask = \"double_link\"\nalgorithm = \"moto\"\nfirst_seed = 100\nset = "
         "[\"rollouts=6\", "
         "\"window=3\", \"task.horizon=25\", \"iterations=" +
         std::to_string(iterations) +
         "\"]\n[[run]]\nlabel = \"with\"\n[[run]]\nlabel = \"without entropy\"\nset = [\"entropy_constraint=false\"]\n"
         "[[claim]]\ntext = \"it pays\"\nsource = \"here\"\nkind = \"better\"\nrun = \"with\"\nthan = \"without "
         "entropy\"\n"
         "measure = \"final_return\"\n";
}

std::string sweep(int iterations) {
  return "kedge = 1\ntitle = \"Tiny\"\ntask = \"double_link\"\nalgorithm = \"moto\"\nseeds = 2\nset = [\"rollouts=6\", "
         "\"task.horizon=25\", \"iterations=" +
         std::to_string(iterations) +
         "\"]\n[search]\nmethod = \"grid\"\n[search.options]\nepsilon = [0.05]\n[rank]\nmeasure = \"final_return\"\n";
}

/// Iterations that no machine does before the test has done what it does meanwhile.
constexpr int kWithoutEnd = 1'000'000;

const std::vector<std::string> kCommand{"reproduce", "small.toml", "--seeds", "2", "--jobs", "2", "--out", "out"};

TEST(Reproduce, MakesAFigureAndKeepsExistingRuns) {
  const Scratch scratch;
  write(scratch.path() / "small.toml", figure(3));
  const Outcome first = run(kCommand, {.directory = scratch.path()});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("4 runs in out, 4 of them to do"));
  EXPECT_THAT(first.out, HasSubstr("too few seeds   it pays (here)"));
  for (const char* file :
       {"README.md", "curves.csv", "curves.svg", "curves.pdf", "curves_seconds.svg", "profile.svg", "profile.pdf",
        "verdicts.csv", "final.csv", "with/s100/policy.h5", "without_entropy/s101/policy.h5"})
    EXPECT_TRUE(fs::exists(scratch.path() / "out" / file)) << file;
  EXPECT_EQ(read(scratch.path() / "out/curves.pdf").substr(0, 5), "%PDF-");

  std::string page = read(scratch.path() / "out/README.md");
  page.replace(page.find(" --jobs 2 --out out"), 19, "");
  EXPECT_EQ(run({"reproduce", "small.toml", "--kept", "out/"}, {.directory = scratch.path()}).out, page);

  const std::string curves = read(scratch.path() / "out/curves.csv");
  const Outcome again = run(kCommand, {.directory = scratch.path()});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("4 runs in out, 0 of them to do"));
  EXPECT_EQ(read(scratch.path() / "out/curves.csv"), curves);

  // More iterations: every run goes on.
  write(scratch.path() / "small.toml", figure(5));
  EXPECT_THAT(run(kCommand, {.directory = scratch.path()}).out, HasSubstr("4 of them to do"));
  EXPECT_THAT(read(scratch.path() / "out/final.csv"), HasSubstr("\"with\",100,finished,5,30,"));

  // Another option: the runs that are there are others.
  std::string other = figure(5);
  other.replace(other.find("window=3"), 8, "window=2");
  write(scratch.path() / "small.toml", other);
  const Outcome refused = run(kCommand, {.directory = scratch.path()});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("out/with/s100: is another run than the figure says: an option differs"));
}

TEST(Reproduce, NamesAMissingGnuplotBeforeItTrains) {
  const Scratch scratch;
  write(scratch.path() / "small.toml", figure(3));
  const Outcome o = run(kCommand, {.directory = scratch.path(), .variables = {{"PATH", "/nowhere"}}});
  EXPECT_EQ(o.code, 3);
  EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
  EXPECT_THAT(o.err, HasSubstr("gnuplot, which draws out/curves.svg, cannot be run"));
  EXPECT_FALSE(fs::exists(scratch.path() / "out"));
}

TEST(Reproduce, DrawsPanelsAndThePathsOfTheRobots) {
  const Scratch scratch;
  write(scratch.path() / "small.toml",
        "kedge = 1\ntitle = \"Small\"\ntask = \"double_link\"\nx = \"iterations\"\npaths = true\n"
        "set = [\"iterations=3\", \"initial_iterations=5\", \"task.horizon=25\"]\n"
        "[[panel]]\ntitle = \"two units\"\nset = [\"hidden=2\"]\n[[panel]]\ntitle = \"three\"\nset = [\"hidden=3\"]\n"
        "[[run]]\nlabel = \"A\"\nalgorithm = \"vgps\"\n[[run]]\nlabel = \"B\"\nalgorithm = \"gps_is\"\n"
        "[[run]]\nlabel = \"C\"\nalgorithm = \"dagger\"\n[[run]]\nlabel = \"D\"\nalgorithm = \"cost_weighted\"\n");
  const Outcome made =
      run({"reproduce", "small.toml", "--seeds", "1", "--jobs", "2", "--out", "out"}, {.directory = scratch.path()});
  ASSERT_EQ(made.code, 0) << made.err;
  for (const char* file : {"paths.svg", "paths.pdf", "curves.svg", "curves_seconds.svg"})
    EXPECT_TRUE(fs::exists(scratch.path() / "out" / file)) << file;
  const std::string drawing = read(scratch.path() / "out/paths.svg");
  for (const char* text : {"two units", "three", "initial trajectory", ">A<", ">B<", ">C<", ">D<"})
    EXPECT_THAT(drawing, HasSubstr(text));
  EXPECT_THAT(read(scratch.path() / "out/README.md"), HasSubstr("![paths](paths.svg)"));
}

TEST(Reproduce, ContinuesAfterAnInterruptionToTheSameResult) {
  const Scratch scratch;
  write(scratch.path() / "small.toml", figure(kWithoutEnd));
  Process process(kCommand, {.directory = scratch.path()});
  const auto iterations = [&](const char* of_run) {
    const std::string metrics = read(scratch.path() / "out" / of_run / "metrics.csv");
    return static_cast<int>(std::count(metrics.begin(), metrics.end(), '\n')) - 1;
  };
  while (process.running() && iterations("with/s100") < 5) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  process.signal(SIGTERM);
  const Outcome stopped = process.wait();
  ASSERT_EQ(stopped.code, 130) << stopped.out << stopped.err;
  EXPECT_THAT(stopped.out, HasSubstr("To go on:\n  kedge reproduce small.toml --seeds 2 --jobs 2 --out out"));
  EXPECT_FALSE(fs::exists(scratch.path() / "out/without_entropy/s101/policy.h5"));

  write(scratch.path() / "small.toml",
        figure(std::max(iterations("with/s100"), iterations("without_entropy/s100")) + 5));
  ASSERT_EQ(run(kCommand, {.directory = scratch.path()}).code, 0);
  std::vector<std::string> whole = kCommand;
  whole.back() = "whole";
  ASSERT_EQ(run(whole, {.directory = scratch.path()}).code, 0);
  for (const char* file : {"with/s100/metrics.csv", "without_entropy/s101/metrics.csv", "final.csv"})
    EXPECT_EQ(read(scratch.path() / "out" / file), read(scratch.path() / "whole" / file)) << file;
}

TEST(Reproduce, InSharesMakesTheSameFigure) {
  const Scratch scratch;
  write(scratch.path() / "small.toml", figure(kWithoutEnd));
  const auto shared = [&](const std::string& share) {
    std::vector<std::string> command = kCommand;
    command.insert(command.end(), {"--shard", share});
    return command;
  };
  // One share is stopped in the middle of its first run, as a cluster does at its time limit.
  Process process(shared("2/3"), {.directory = scratch.path()});
  const fs::path begun = scratch.path() / "out/without_entropy/s100/metrics.csv";
  while (process.running() && read(begun).size() < 2000) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  process.signal(SIGTERM);
  const Outcome stopped = process.wait();
  ASSERT_EQ(stopped.code, 130) << stopped.out << stopped.err;
  EXPECT_THAT(stopped.out, HasSubstr("kedge reproduce small.toml --seeds 2 --jobs 2 --out out --shard 2/3"));
  EXPECT_FALSE(fs::exists(scratch.path() / "out/with"));

  const std::string metrics = read(begun);
  write(scratch.path() / "small.toml", figure(static_cast<int>(std::ranges::count(metrics, '\n')) + 5));
  const std::pair<const char*, const char*> shares[] = {{"3/3", "1 runs in out"}, {"1/3", "2 runs"}, {"2/3", "1 runs"}};
  for (const auto& [share, runs] : shares) {
    const Outcome o = run(shared(share), {.directory = scratch.path()});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr(runs));
    EXPECT_THAT(o.out,
                HasSubstr("the tables are made by\n  kedge reproduce small.toml --seeds 2 --jobs 2 --out out\n"));
    EXPECT_FALSE(fs::exists(scratch.path() / "out/final.csv"));
  }
  EXPECT_THAT(run(kCommand, {.directory = scratch.path()}).out, HasSubstr("4 runs in out, 0 of them to do"));
  std::vector<std::string> whole = kCommand;
  whole.back() = "whole";
  ASSERT_EQ(run(whole, {.directory = scratch.path()}).code, 0);
  for (const std::string of_run : {"with/s100", "with/s101", "without_entropy/s100", "without_entropy/s101"})
    for (const char* file : {"/metrics.csv", "/policy.h5"})
      EXPECT_EQ(read(scratch.path() / "out" / (of_run + file)), read(scratch.path() / "whole" / (of_run + file)));
  for (const char* file : {"final.csv", "verdicts.csv"})
    EXPECT_EQ(read(scratch.path() / "out" / file), read(scratch.path() / "whole" / file)) << file;

  // A node of the cluster had another MuJoCo: that is said, by the program and on the page.
  const char* said = "the runs are not of one program, so their last digits may differ: ";
  EXPECT_THAT(read(scratch.path() / "out/README.md"), Not(HasSubstr(said)));
  const fs::path of_run = scratch.path() / "out/with/s101/run.toml";
  write(of_run, std::regex_replace(read(of_run), std::regex("mujoco = \"[^\"]*\""), "mujoco = \"1.50\""));
  const Outcome mixed = run(kCommand, {.directory = scratch.path()});
  EXPECT_EQ(mixed.code, 0);
  EXPECT_THAT(mixed.err, HasSubstr(said));
  EXPECT_THAT(mixed.err, HasSubstr("1 by kedge"));
  EXPECT_THAT(mixed.err, HasSubstr("3 by kedge"));
  EXPECT_THAT(read(scratch.path() / "out/README.md"), HasSubstr(said));
  const Outcome compared = run({"compare", "out/with/s100", "out/with/s101"}, {.directory = scratch.path()});
  EXPECT_THAT(compared.err, HasSubstr(said));
}

TEST(Sweep, InSharesMakesTheSameTable) {
  const Scratch scratch;
  write(scratch.path() / "tiny.toml", sweep(3));
  for (const char* share : {"1/2", "2/2"})
    ASSERT_EQ(run({"sweep", "tiny.toml", "--out", "out", "--shard", share}, {.directory = scratch.path()}).code, 0);
  EXPECT_FALSE(fs::exists(scratch.path() / "out/sweep.csv"));
  for (const char* out : {"out", "whole"})
    ASSERT_EQ(run({"sweep", "tiny.toml", "--out", out}, {.directory = scratch.path()}).code, 0);
  EXPECT_EQ(read(scratch.path() / "out/sweep.csv"), read(scratch.path() / "whole/sweep.csv"));
}

/// Processes that still run (not those that wait to be buried) in this working directory.
int running_in(const fs::path& directory) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::error_code error;
    count += fs::read_symlink(entry.path() / "cwd", error) == directory && !read(entry.path() / "cmdline").empty();
  }
  return count;
}

/// Iterations of every run in a folder.
std::vector<int> iterations_in(const fs::path& folder) {
  std::vector<int> all;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename() != "metrics.csv") continue;
    const std::string metrics = read(it->path());
    all.push_back(static_cast<int>(std::count(metrics.begin(), metrics.end(), '\n')) - 1);
  }
  return all;
}

class KilledStudy : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(KilledStudy, LeavesNoProcessAndTheNextCallContinues) {
  const Scratch scratch;
  const auto write_both = [&](int iterations) {
    write(scratch.path() / "small.toml", figure(iterations));
    write(scratch.path() / "tune.toml", sweep(iterations));
  };
  write_both(kWithoutEnd);
  Process process(GetParam(), {.directory = scratch.path()});
  const auto begun = [&] {  // both jobs have completed iterations
    const std::vector<int> done = iterations_in(scratch.path() / "out");
    return std::count_if(done.begin(), done.end(), [](int n) { return n >= 3; }) >= 2;
  };
  while (process.running() && !begun()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ASSERT_TRUE(process.running());
  EXPECT_EQ(running_in(scratch.path()), 3);
  process.signal(SIGKILL);
  ASSERT_EQ(process.wait().code, 128 + SIGKILL);
  const auto killed = std::chrono::steady_clock::now();
  while (running_in(scratch.path()) > 0 && std::chrono::steady_clock::now() - killed < std::chrono::minutes(2))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(running_in(scratch.path()), 0);

  const std::vector<int> done = iterations_in(scratch.path() / "out");
  write_both(*std::max_element(done.begin(), done.end()) + 5);
  const Outcome next = run(GetParam(), {.directory = scratch.path()});
  EXPECT_EQ(next.code, 0) << next.out << next.err;
}

INSTANTIATE_TEST_SUITE_P(Verbs, KilledStudy,
                         testing::Values(kCommand,
                                         std::vector<std::string>{"sweep", "tune.toml", "--jobs", "2", "--out", "out"}),
                         [](const auto& instance) { return instance.index == 0 ? "reproduce" : "sweep"; });

TEST(Reproduce, WritesTablesThatReadBackWhateverTheTitle) {
  const Scratch scratch;
  std::string text = figure(2);
  text.replace(text.find("\"Small\""), 7, "'Small, \"quoted\" [Akrour2018, Fig. 1c]'");
  for (std::size_t at = 0; (at = text.find("\"with\"", at)) != std::string::npos;) text.replace(at, 6, "'GPS, 25 N m'");
  write(scratch.path() / "small.toml", text);
  const Outcome made = run(kCommand, {.directory = scratch.path()});
  ASSERT_EQ(made.code, 0) << made.err;
  int tables = 0;
  for (const auto& entry : fs::recursive_directory_iterator(scratch.path() / "out"))
    if (entry.path().extension() == ".csv") {
      ++tables;
      EXPECT_NO_THROW(EXPECT_GE(read_csv(read(entry.path())).size(), 1U)) << entry.path();
    }
  EXPECT_GE(tables, 3 + 4 * 3) << "of the figure; metrics, timings and steps of each run";
  const auto curves = read_csv(read(scratch.path() / "out/curves.csv"));
  EXPECT_EQ(curves[1][0], "Small, \"quoted\" [Akrour2018, Fig. 1c]");
  EXPECT_EQ(curves[1][1], "GPS, 25 N m");
}

TEST(Reproduce, RefusesRunsThatAreDamagedOrLonger) {
  const Scratch scratch;
  write(scratch.path() / "small.toml", figure(3));
  ASSERT_EQ(run(kCommand, {.directory = scratch.path()}).code, 0);
  const std::string page = read(scratch.path() / "out/README.md");
  const auto refused = [&](const std::string& why) {
    const Outcome o = run(kCommand, {.directory = scratch.path()});
    EXPECT_EQ(o.code, 2);
    EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
    EXPECT_THAT(o.err, HasSubstr(why));
    EXPECT_EQ(read(scratch.path() / "out/README.md"), page);
  };
  const fs::path of_run = scratch.path() / "out/with/s101";
  const auto metrics = read(of_run / "metrics.csv"), task = read(of_run / "task/task.toml"),
             checkpoint = read(of_run / "checkpoint.h5"), policy = read(of_run / "policy.h5");

  write(scratch.path() / "small.toml", figure(2));
  refused("out/with/s100: has 3 iterations, the figure says 2; remove it");
  write(scratch.path() / "small.toml", figure(3));

  fs::remove(of_run / "metrics.csv");
  refused("out/with/s101/metrics.csv: there is no such file");
  write(of_run / "metrics.csv", metrics);
  write(of_run / "task/task.toml", std::regex_replace(task, std::regex("horizon = 25"), "horizon = 24"));
  refused("out/with/s101/task: the run's copy of its task was changed");
  write(of_run / "task/task.toml", task);
  fs::remove(of_run / "policy.h5");
  refused("out/with/s101/policy.h5: there is no such file");
  write(of_run / "policy.h5", policy);
  write(of_run / "checkpoint.h5", checkpoint.substr(0, 1000));
  refused("out/with/s101/checkpoint.h5: is damaged");
  write(of_run / "checkpoint.h5", checkpoint);

  ASSERT_EQ(run(kCommand, {.directory = scratch.path()}).code, 0);
  EXPECT_EQ(read(scratch.path() / "out/README.md"), page);
}

TEST(Reproduce, CountsARunThatFailsAtOnceAsTheWorst) {
  const Scratch scratch;
  // Every rollout of the first label diverges.
  const std::string text =
      "kedge = 1\ntitle = \"Small\"\ntask = \"double_link\"\nalgorithm = \"gps\"\nset = [\"task.horizon=25\", "
      "\"iterations=2\", \"rollouts=10\"]\n[[run]]\nlabel = \"wild\"\nset = [\"task.start.qvel_spread=1e100\"]\n";
  write(scratch.path() / "small.toml", text + "[[run]]\nlabel = \"tame\"\n");
  const Outcome o = run(kCommand, {.directory = scratch.path()});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("2 runs failed"));
  EXPECT_THAT(read(scratch.path() / "out/README.md"), HasSubstr("| wild | 2 | -inf [-inf, -inf], -inf | 0 of 2 |"));
  EXPECT_THAT(read(scratch.path() / "out/final.csv"), HasSubstr("\"wild\",1,failed,0,0,,"));
  EXPECT_THAT(read(scratch.path() / "out/curves.svg"), HasSubstr("tame (2 seeds)"));

  write(scratch.path() / "small.toml", text);
  fs::remove_all(scratch.path() / "out");
  const Outcome nothing = run(kCommand, {.directory = scratch.path()});
  EXPECT_EQ(nothing.code, 3);
  EXPECT_THAT(nothing.err, HasSubstr("no run has completed an iteration; see out/wild/s0.log"));
}

TEST(Reproduce, LeavesOutTheCurvesOverSecondsWhereTimesAreLost) {
  const Scratch scratch;
  write(scratch.path() / "small.toml", figure(3));
  ASSERT_EQ(run(kCommand, {.directory = scratch.path()}).code, 0);
  const fs::path timings = scratch.path() / "out/with/s100/timings.csv", drawing = scratch.path() / "out/profile.pdf";
  write(timings, read(timings).substr(0, read(timings).find('\n') + 1));
  fs::remove(drawing);
  const Outcome o = run(kCommand, {.directory = scratch.path()});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(fs::exists(drawing));
}

TEST(Sweep, RanksTheConfigurations) {
  const Scratch scratch;
  write(scratch.path() / "tune.toml",
        "kedge = 1\ntitle = \"Tiny\"\ntask = \"double_link\"\nalgorithm = \"moto\"\nseeds = 2\nset = [\"rollouts=6\", "
        "\"task.horizon=25\", \"iterations=3\"]\n[search]\nmethod = \"grid\"\n[search.options]\nepsilon = [0.05, 0.1]\n"
        "[rank]\nmeasure = \"final_return\"\n");
  const std::vector<std::string> command{"sweep", "tune.toml", "--jobs", "2", "--out", "tuned"};
  const Outcome o = run(command, {.directory = scratch.path()});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("4 runs in tuned, 4 of them to do"));
  const std::string table = read(scratch.path() / "tuned/sweep.csv");
  EXPECT_THAT(table, HasSubstr("1,epsilon="));
  EXPECT_THAT(table, HasSubstr("2,epsilon="));
  EXPECT_EQ(read_csv(table).size(), 3U);
  EXPECT_THAT(run(command, {.directory = scratch.path()}).out, HasSubstr("0 of them to do"));
  EXPECT_EQ(read(scratch.path() / "tuned/sweep.csv"), table);
  EXPECT_EQ(run({"sweep", "none.toml"}, {.directory = scratch.path()}).code, 2);
}

TEST(Reproduce, ReplacesNoFileThatItDidNotWrite) {
  const Scratch scratch;
  const fs::path out = scratch.path() / "out";
  write(scratch.path() / "small.toml", figure(1));
  write(scratch.path() / "secret.txt", "mine");
  const auto refused = [&](const std::string& words) {
    const Outcome o = run(kCommand, {.directory = scratch.path()});
    EXPECT_EQ(o.code, 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr(words));
    EXPECT_EQ(o.out, "") << "before work starts";
  };
  write(out / "README.md", "my notes");
  refused("out/README.md: is not as kedge wrote it");
  EXPECT_EQ(read(out / "README.md"), "my notes");
  fs::remove(out / "README.md");
  fs::create_symlink("../secret.txt", out / "curves.csv");
  refused("out/curves.csv: is a symbolic link, and is not replaced");
  EXPECT_EQ(read(scratch.path() / "secret.txt"), "mine");
  fs::remove(out / "curves.csv");
  fs::create_directories(out / "with");
  fs::create_hard_link(scratch.path() / "secret.txt", out / "with/s100.log");
  refused("out/with/s100.log: is a file with another name too");
  EXPECT_EQ(read(scratch.path() / "secret.txt"), "mine");
  fs::remove(out / "with/s100.log");
  ASSERT_EQ(run(kCommand, {.directory = scratch.path()}).code, 0);
  ASSERT_EQ(run(kCommand, {.directory = scratch.path()}).code, 0) << "its own files are made anew";
  write(out / "final.csv", read(out / "final.csv") + "a remark\n");
  refused("out/final.csv: is not as kedge wrote it");
  write(scratch.path() / "table.toml",
        "kedge = 1\ntitle = \"t\"\ntask = \"double_link\"\nalgorithm = \"moto\"\nseeds = 1\nset = [\"iterations=1\"]\n"
        "[search]\nmethod = \"grid\"\noptions = { epsilon = [0.1] }\n[rank]\nmeasure = \"final_return\"\n");
  write(scratch.path() / "swept/sweep.csv", "mine");
  const Outcome sweep = run({"sweep", "table.toml", "--out", "swept"}, {.directory = scratch.path()});
  EXPECT_EQ(sweep.code, 2);
  EXPECT_THAT(sweep.err, HasSubstr("swept/sweep.csv: is not as kedge wrote it"));
}

TEST(Reproduce, GivesEveryRunAFolderOfItsOwnInItsFolder) {
  const Scratch scratch;
  const auto refused = [&](const std::string& a, const std::string& b, const std::string& words) {
    std::string text = figure(1);
    text.replace(text.find("\"with\"\n[[run]]"), 6, "\"" + a + "\"");
    text.replace(text.find("label = \"without entropy\""), 25, "label = \"" + b + "\"");
    write(scratch.path() / "small.toml", text.substr(0, text.find("[[claim]]")));
    const Outcome o = run(kCommand, {.directory = scratch.path()});
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_THAT(o.err, HasSubstr(words));
    EXPECT_FALSE(fs::exists(scratch.path() / "out"));
  };
  for (const char* label : {".", "..", ".hidden"}) refused(label, "b", "its folder would begin with a point");
  refused("README.md", "b", "its folder would be called as a file of results, README.md");
  refused("A!", "A?", "its folder would be that of run \"A!\" too, A_");
  refused(std::string(300, 'x'), "b", "its folder would have a name of more than 255 bytes");
}

TEST(Reproduce, NamesFiguresAndClaims) {
  const Scratch scratch;
  const Outcome list = run({"reproduce", "--list"}, {.directory = scratch.path()});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, HasSubstr("moto-fig1c: "));
  EXPECT_THAT(list.out, HasSubstr("claim: importance sampling speeds up learning much"));
}

TEST(Reproduce, RefusesMistakesInOneLine) {
  const Scratch scratch;
  const auto error = [&](const std::vector<std::string>& arguments) {
    const Outcome o = run(arguments, {.directory = scratch.path()});
    EXPECT_EQ(o.code, 2);
    EXPECT_EQ(o.error_lines().size(), 1U);
    return o.err;
  };
  EXPECT_THAT(error({"reproduce"}), HasSubstr("FIGURE is missing"));
  EXPECT_THAT(error({"reproduce", "moto-fig1"}), HasSubstr("did you mean \"moto-fig1b\"?"));
  EXPECT_THAT(error({"reproduce", "moto-fig1c", "--seeds", "0"}), HasSubstr("--seeds = 0, but must be"));
  EXPECT_THAT(error({"reproduce", "moto-fig1c", "--jobs", "many"}), HasSubstr("--jobs = many, but must be"));
  EXPECT_THAT(error({"reproduce", "moto-fig1c", "--shard", "5/4"}), HasSubstr("--shard: found \"5/4\", expected I/N"));
  EXPECT_THAT(error({"reproduce", "moto-fig1c", "--shard", "slurm"}), HasSubstr("SLURM_ARRAY_TASK_ID is not set"));
}

}  // namespace
}  // namespace kedge::test
