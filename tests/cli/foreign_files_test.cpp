// Whatever stands in the place of a file of a run, every verb says so in one line, soon, and changes nothing of anybody's.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <thread>

#include "kedge/files/hdf5.h"
#include "program.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using Words = std::vector<std::string>;

/// All that is in a folder: what it is, who may use it, its bytes or where it leads. Links are not followed.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const fs::file_status status = entry.symlink_status();
    std::string& text = all[entry.path().lexically_relative(folder).string()];
    text = fmt::format("{} {:o} ", static_cast<int>(status.type()), static_cast<unsigned>(status.permissions()));
    if (fs::is_symlink(status)) text += fs::read_symlink(entry.path()).string();
    if (fs::is_regular_file(status)) text += read(entry.path());
  }
  return all;
}

/// Runs the program; one that waits for something is killed after what even a busy machine does not take.
Outcome run_soon(const Words& arguments, const fs::path& directory, std::uint64_t address_space = 0) {
  Process process(arguments, {.directory = directory, .address_space = address_space});
  const auto start = std::chrono::steady_clock::now();
  while (process.running() && std::chrono::steady_clock::now() - start < std::chrono::minutes(2))
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  if (process.running()) process.signal(SIGKILL);
  return process.wait();
}

/// Puts something else in the place of a file. What was there is kept as `target`, outside the run.
void put(const std::string& kind, const fs::path& place, const fs::path& target) {
  const bool folder = fs::is_directory(place);
  if (kind == "unreadable") {
    fs::permissions(place, fs::perms::none);
    return;
  }
  fs::rename(place, target);
  if (kind == "link") fs::create_symlink(target, place);
  if (kind == "link to a folder") fs::create_directory_symlink(target.parent_path() / "home", place);
  if (kind == "link to nothing") fs::create_symlink("nothing", place);
  if (kind == "link to itself") fs::create_symlink(place.filename(), place);
  if (kind == "FIFO") {
    ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
  }
  if (kind == "hard link") fs::create_hard_link(target, place);
  if (kind == "other") folder ? write(place, "a file") : static_cast<void>(fs::create_directory(place));
  if (kind == "socket") {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string name = fmt::format("/proc/self/cwd/{}", fs::relative(place).string());
    ASSERT_LT(name.size(), sizeof address.sun_path);
    name.copy(static_cast<char*>(address.sun_path), name.size());
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(socket);
  }
}

class ForeignFiles : public testing::TestWithParam<std::string> {
 protected:
  ForeignFiles() {
    auto training = small_training("whole", 2);
    training.insert(training.end(), {"--record-updates", "-q"});
    EXPECT_EQ(run(training, {.directory = path()}).code, 0);
    write(path() / "home/thesis", "mine");
    write(path() / "home/inner/notes", "mine");
  }
  [[nodiscard]] const fs::path& path() const { return scratch_.path(); }
  /// A copy of the run, and nothing of an earlier one.
  void begin() const {
    fs::remove_all(path() / "run");
    fs::remove_all(path() / "target");
    fs::copy(path() / "whole", path() / "run", fs::copy_options::recursive);
  }

  Scratch scratch_;
};

TEST_P(ForeignFiles, InPlaceOfAnyFileOfARunAreRefusedByName) {
  const std::string& kind = GetParam();
  const std::vector<Words> verbs{{"resume", "run", "--iterations", "3"},
                                 {"train", "double_link", "--set", "task.horizon=30", "--set", "rollouts=6",
                                  "--iterations", "1", "--out", "run", "--force"},
                                 {"compare", "run"},
                                 {"evaluate", "run", "--rollouts", "2"}};
  for (const std::string file :
       {"run.toml", "metrics.csv", "timings.csv", "steps.csv", "warnings.csv", "events.out.tfevents.0.kedge",
        "policy.h5", "checkpoint.h5", "updates.h5", "written.csv", ".lock", "policies", "policies/00000.h5", "task",
        "task/task.toml", "task/model", "task/model/double_link.xml"})
    for (const Words& verb : verbs) {
      const bool writes = verb[0] == "resume" || verb[0] == "train";
      const bool folder = fs::is_directory(path() / "whole" / file);
      if (kind == "hard link" && folder) continue;  // there is none
      begin();
      put(kind, path() / "run" / file, path() / "target");
      const auto before = contents(path());
      const Outcome o = run_soon(verb, path());
      const std::string where = fmt::format("kedge {}: {} is a {}\n{}", fmt::join(verb, " "), file, kind, o.err);
      // Reading changes nothing, and some files are only read. Root reads and writes everything.
      const bool harmless = (kind == "hard link" && (!writes || file.find('/') != std::string::npos)) ||
                            (kind == "unreadable" && (::geteuid() == 0 || !writes));
      if (harmless && o.code == 0) {
        auto after = contents(path());
        if (writes) {
          EXPECT_EQ(after["target"], before.contains("target") ? before.at("target") : "") << where;
        } else {
          EXPECT_TRUE(after == before) << where;
        }
        continue;
      }
      EXPECT_THAT(o.code, testing::AnyOf(2, 3)) << where;
      EXPECT_EQ(o.error_lines().size(), 1U) << where;
      EXPECT_THAT(o.err, StartsWith("kedge: error: ")) << where;
      EXPECT_THAT(o.err, HasSubstr("run/" + file)) << where;
      EXPECT_TRUE(contents(path()) == before) << where;
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ForeignFiles,
                         testing::Values("link", "link to a folder", "link to nothing", "link to itself", "FIFO",
                                         "hard link", "other", "socket", "unreadable"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name) c = c == ' ' ? '_' : c;
                           return name;
                         });

class OwnFiles : public testing::Test {
 protected:
  [[nodiscard]] const fs::path& path() const { return scratch_.path(); }
  Scratch scratch_;
};

TEST_F(OwnFiles, InARunStayAndAreNamedWhenItIsReplaced) {
  ASSERT_EQ(run(small_training("run", 2), {.directory = path()}).code, 0);
  const std::map<std::string, std::string> mine{
      {"run/notes.txt", "1"}, {"run/plots/a.png", "2"}, {"run/policies/best.h5", "3"}, {"run/policies/mine/a", "4"}};
  for (const auto& [name, text] : mine) write(path() / name, text);
  ASSERT_EQ(run({"resume", "run", "--iterations", "3"}, {.directory = path()}).code, 0);
  for (const auto& [name, text] : mine) EXPECT_EQ(read(path() / name), text) << name;
  auto again = small_training("run", 1);
  again.emplace_back("--force");
  const Outcome o = run(again, {.directory = path()});
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.err, StartsWith("kedge: warning: run: left what is not of the run: policies/best.h5, policies/mine, "
                                "notes.txt, plots\n"));
  for (const auto& [name, text] : mine) EXPECT_EQ(read(path() / name), text) << name;
  EXPECT_EQ(run({"resume", "run", "--iterations", "2"}, {.directory = path()}).code, 0);
}

TEST_F(OwnFiles, UnderTheNamesOfARunAreNeverReplaced) {
  ASSERT_EQ(run(small_training("run", 2), {.directory = path()}).code, 0);
  for (const std::string name : {"run.toml", "metrics.csv", "policy.h5", "policies/00001.h5", "policies/00009.h5",
                                 "task/mine.xml", "task/task.toml", "task/model/double_link.xml"}) {
    fs::remove_all(path() / "copy");
    fs::copy(path() / "run", path() / "copy", fs::copy_options::recursive);
    write(path() / "copy" / name, "somebody's work");
    auto again = small_training("copy", 1);
    again.emplace_back("--force");
    const auto before = contents(path());
    const Outcome o = run(again, {.directory = path()});
    EXPECT_EQ(o.code, 2) << name;
    EXPECT_THAT(o.err, HasSubstr(fmt::format("copy/{}: is not as kedge wrote it: --force does not replace it", name)));
    EXPECT_TRUE(contents(path()) == before) << name;
  }
}

TEST_F(OwnFiles, AsOutputsAreReplacedWholeOrNotAtAll) {
  ASSERT_EQ(run(small_training("run", 2), {.directory = path()}).code, 0);
  const auto trajectories = [&](const std::string& file) {
    return run_soon({"evaluate", "run", "--rollouts", "2", "--trajectories", file}, path());
  };
  write(path() / "target.h5", "old");
  fs::create_symlink("target.h5", path() / "link.h5");
  fs::create_hard_link(path() / "target.h5", path() / "hard.h5");
  EXPECT_EQ(trajectories("hard.h5").code, 0);
  EXPECT_EQ(read(path() / "target.h5"), "old") << "the other name of a hard link keeps its bytes";
  EXPECT_EQ(trajectories("link.h5").code, 0);
  EXPECT_TRUE(fs::is_symlink(path() / "link.h5"));
  EXPECT_EQ(read(path() / "target.h5"), read(path() / "hard.h5"));

  fs::create_symlink("nothing", path() / "nowhere.h5");
  fs::create_directory(path() / "folder.h5");
  ASSERT_EQ(::mkfifo((path() / "pipe.h5").c_str(), 0600), 0);
  write(path() / "protected.h5", "old");
  fs::permissions(path() / "protected.h5", fs::perms::owner_read);
  const auto before = contents(path());
  for (const std::string file : {"nowhere.h5", "folder.h5", "pipe.h5", "protected.h5", "/dev/null", "absent/x.h5"})
    for (const Words& words :
         std::vector<Words>{{"evaluate", "run", "--rollouts", "1000000000", "--trajectories", file},
                            {"replay", "run", "-o", file},
                            {"replay", "run", "--png", file},
                            {"replay", "run", "--mp4", file},
                            {"compare", "run", "--csv", file},
                            {"compare", "run", "--svg", file},
                            {"compare", "run", "--html", file},
                            {"export", "run", "--format", "c", "-o", file},
                            {"demonstrate", "walker", "--force", "-o", file}}) {
      const Outcome o = run_soon(words, path());
      EXPECT_EQ(o.code, 2) << fmt::format("{}\n{}", fmt::join(words, " "), o.err);
      EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
      EXPECT_THAT(o.err, StartsWith(fmt::format("kedge: error: {}: cannot be written: ", file)));
      EXPECT_EQ(o.out, "") << "before work starts";
    }
  EXPECT_TRUE(contents(path()) == before);
}

TEST_F(OwnFiles, OfARunAreNoOutputsOfOtherVerbs) {
  ASSERT_EQ(run(small_training("run", 2), {.directory = path()}).code, 0);
  fs::create_symlink("run/metrics.csv", path() / "link.csv");
  fs::create_directory_symlink("run", path() / "other");
  const auto before = contents(path());
  for (const Words& words : std::vector<Words>{{"compare", "run", "--csv", "run/metrics.csv"},
                                               {"compare", "run", "--csv", "link.csv"},
                                               {"compare", "run", "--html", "other/timings.csv"},
                                               {"replay", "run", "-o", "run/task/task.toml"},
                                               {"replay", "run", "--png", "run/run.toml"},
                                               {"export", "run", "--format", "json", "-o", "run/checkpoint.h5"},
                                               {"export", "run", "--format", "json", "-o", "run/policies/00001.h5"},
                                               {"export", "run", "--format", "json", "-o", "run/policies/new.json"},
                                               {"evaluate", "run", "--trajectories", "run/policy.h5"},
                                               {"demonstrate", "walker", "--force", "-o", "run/policy.h5"}}) {
    const Outcome o = run_soon(words, path());
    EXPECT_EQ(o.code, 2) << fmt::format("{}", fmt::join(words, " "));
    EXPECT_THAT(o.err, HasSubstr("is a file of a run; choose another output"));
  }
  const Outcome same = run_soon({"compare", "run", "--csv", "x", "--html", "./x"}, path());
  EXPECT_EQ(same.code, 2);
  EXPECT_THAT(same.err, HasSubstr("./x: is the name of two outputs"));
  EXPECT_TRUE(contents(path()) == before);
  EXPECT_EQ(run_soon({"compare", "run", "--csv", "run/mine.csv"}, path()).code, 0) << "beside them is room";
}

TEST_F(OwnFiles, OfARunStayIfTheOneThatReplacesItIsRefused) {
  ASSERT_EQ(run(small_training("run", 2), {.directory = path()}).code, 0);
  const auto before = contents(path());
  for (const std::string from : {"run", "run/policy.h5", "run/policies/00001.h5"}) {
    auto again = small_training("run", 1);
    again.insert(again.end(), {"--force", "--from", from});
    const Outcome o = run(again, {.directory = path()});
    EXPECT_EQ(o.code, 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr("which --force replaces"));
  }
  for (const char* set : {"step=1e308", "epsilon=1e308", "beta0=1e308", "initial_std=[1e308, 1]"}) {
    Words words{"train", "double_link", "--set", "iterations=1", "--set",  "task.horizon=20",
                "--set", set,           "--out", "run",          "--force"};
    if (std::string(set).starts_with("step")) words.insert(words.end(), {"--algorithm", "random_search"});
    const Outcome o = run(words, {.directory = path()});
    EXPECT_EQ(o.code, 2) << set << o.out;
    EXPECT_EQ(o.error_lines().size(), 1U);
  }
  EXPECT_TRUE(contents(path()) == before);
}

TEST_F(OwnFiles, ElsewhereAreNotCarriedIntoRunsByATaskFile) {
  const fs::path task = fs::path(source_dir()) / "tasks/double_link";
  fs::create_directory(path() / "theirs");
  fs::copy(task, path() / "theirs/task", fs::copy_options::recursive);
  ASSERT_EQ(run_soon({"demonstrate", "walker", "-o", "walk.h5"}, path()).code, 0);
  std::string text = read(path() / "theirs/task/task.toml") + "\n[demonstration]\nfile = \"../../walk.h5\"\n";
  write(path() / "theirs/task/task.toml", text);
  const Outcome outside = run_soon({"validate", "theirs/task"}, path());
  EXPECT_EQ(outside.code, 2);
  EXPECT_THAT(outside.err, HasSubstr("walk.h5 is outside of "));
  text.replace(text.find("../../walk.h5"), 13, "link.h5");
  write(path() / "theirs/task/task.toml", text);
  fs::create_symlink("../../walk.h5", path() / "theirs/task/link.h5");
  EXPECT_THAT(run_soon({"validate", "theirs/task"}, path()).err, HasSubstr("link.h5 is outside of "));
  EXPECT_THAT(run_soon({"validate", "theirs/task", "--set", "task.demonstration.file=\"../../walk.h5\""}, path()).err,
              HasSubstr("walk.h5: has the states "))
      << "the user named it: it is read, and does not fit";
}

TEST_F(OwnFiles, ThatAreNoFilesAreReadByNoVerb) {
  ASSERT_EQ(run(small_training("run", 1), {.directory = path()}).code, 0);
  ASSERT_EQ(::mkfifo((path() / "pipe").c_str(), 0600), 0);
  for (const std::string file : {"pipe", "/dev/zero", "."})
    for (const Words& words : std::vector<Words>{
             {"init", file, "--out", "starter"},
             {"train", file},
             {"train", "double_link", "--from", file},
             {"validate", file},
             {"train", "double_link", "--config", file},
             {"evaluate", file, "--task", "double_link"},
             {"replay", file, "--task", "double_link", "-o", "page.html"},
             {"reproduce", file},
             {"sweep", file},
             {"resume", file},
             {"compare", file},
             {"demonstrate", "walker", "-o", "x.h5", "--set",
              fmt::format("demonstration={{ file = \"{}\" }}", file == "pipe" ? (path() / file).string() : file)}}) {
      const Outcome o = run_soon(words, path());
      EXPECT_EQ(o.code, 2) << fmt::format("{}\n{}", fmt::join(words, " "), o.err);
      EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
    }
}

TEST_F(OwnFiles, AreSafeFromATrainingWhoseDirectoryIsTakenAway) {
  auto training = small_training("run", 100000);
  training.emplace_back("-q");
  Process process(training, {.directory = path()});
  while (process.running() && !fs::exists(path() / "run/checkpoint.h5")) ::usleep(1000);
  fs::create_directory(path() / "home");
  write(path() / "home/run.toml", "mine");
  const auto before = contents(path() / "home");
  fs::rename(path() / "run", path() / "moved");
  fs::create_directory_symlink("home", path() / "run");
  ::usleep(100'000);
  EXPECT_TRUE(process.running());
  for (std::error_code busy; fs::exists(path() / "moved");)
    fs::remove_all(path() / "moved", busy);  // it is being written
  const Outcome o = process.wait();
  EXPECT_EQ(o.code, 3);
  EXPECT_THAT(o.err, testing::EndsWith("kedge: error: run: was deleted meanwhile\n"));
  EXPECT_TRUE(contents(path() / "home") == before);
}

TEST_F(OwnFiles, AreNotPromisedAResumeOnceTheRunIsGone) {
  auto training = small_training("run", 100000);
  training.emplace_back("-q");
  Process process(training, {.directory = path()});
  while (process.running() && !fs::exists(path() / "run/checkpoint.h5")) ::usleep(1000);
  fs::remove(path() / "run/run.toml");
  fs::remove(path() / "run/metrics.csv");
  const Outcome o = process.wait();
  EXPECT_EQ(o.code, 3);
  EXPECT_THAT(o.err, testing::EndsWith("kedge: error: run/metrics.csv: was deleted meanwhile\n"));
}

TEST_F(OwnFiles, StayIfThereIsNoRoomForThreads) {
  auto training = small_training("run", 2);
  training[std::distance(training.begin(), std::find(training.begin(), training.end(), "--threads")) + 1] = "512";
  const Outcome o = run_soon(training, path(), 400'000 * 1024ULL);
  EXPECT_EQ(o.code, 3);
  EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
  EXPECT_THAT(o.err, StartsWith("kedge: error: 512 threads cannot be started, but "));
  EXPECT_FALSE(fs::exists(path() / "run"));
}

TEST_F(OwnFiles, ThatWereAlteredAndSealedAnewEndInOneLine) {
  ASSERT_EQ(run(small_training("run", 2), {.directory = path()}).code, 0);
  for (const std::string name : {"checkpoint.h5", "policy.h5"}) {
    fs::remove_all(path() / "copy");
    fs::copy(path() / "run", path() / "copy", fs::copy_options::recursive);
    std::string bytes = read(path() / "run" / name);
    bytes.resize(bytes.size() - hdf5::seal("").size());
    bytes.replace(bytes.find("GCOL") + 16 + 8, 8, "\xff\xff\xff\x7f\xff\xff\xff\x7f");  // the length of the first text
    write(path() / "copy" / name, hdf5::seal(bytes));
    for (const Words& words : std::vector<Words>{
             {"resume", "copy", "--iterations", "3"}, {"compare", "copy"}, {"replay", "copy", "-o", "page.html"}}) {
      if (name == "policy.h5" && words[0] == "resume") continue;      // it is written anew from the checkpoint
      if (name == "checkpoint.h5" && words[0] == "replay") continue;  // it is not read
      const auto before = contents(path());
      const Outcome o = run(words, {.directory = path()});
      EXPECT_EQ(o.code, 2) << words[0] << "\n" << o.err;
      EXPECT_EQ(o.error_lines().size(), 1U) << o.err;
      EXPECT_THAT(o.err, HasSubstr("copy/" + name + ": "));
      EXPECT_TRUE(contents(path()) == before);
    }
  }
}

}  // namespace
}  // namespace kedge::test
