#include "kedge/core/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

std::string message_of(const Launch& launch) {
  try {
    Process process(launch);
  } catch (const SystemError& e) {
    return e.what();
  }
  return "nothing was thrown";
}

/// Processes that still run (not those that wait to be buried) with this word among their arguments.
int running_with(const std::string& word) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::string arguments = text_of(entry.path() / "cmdline");
    std::replace(arguments.begin(), arguments.end(), '\0', ' ');
    count += (" " + arguments).find(" " + word + " ") != std::string::npos;
  }
  return count;
}

/// Waits for a condition, as long as a busy machine takes.
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + 2min;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

class ProcessTest : public testing::Test {
 protected:
  ProcessTest() {
    std::string name = (fs::temp_directory_path() / "kedge-process-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
    folder_ = name;
  }
  ~ProcessTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(ProcessTest, PassesArgumentsAsTheyAreAndReturnsOutputAndExitCode) {
  Process process({.arguments = {"sh", "-c", "printf '%s|' \"$@\"; echo wrong >&2; exit 7", "sh", "a b", "", "$x\n"}});
  EXPECT_EQ(process.wait(), 7);
  EXPECT_EQ(process.output(), "a b||$x\n|");
  EXPECT_EQ(process.error_tail(), "wrong");
  EXPECT_EQ(process.exit_code(), 7);
}

TEST_F(ProcessTest, SendsInputLargerThanAPipe) {
  const std::string megabytes(3 << 20, 'x');
  Process process({.arguments = {"cat"}, .input = true});
  EXPECT_TRUE(process.write(megabytes));
  EXPECT_EQ(process.wait(), 0);
  EXPECT_TRUE(process.output() == megabytes);
}

TEST_F(ProcessTest, ReportsThatTheProgramClosedItsInput) {
  Process process({.arguments = {"true"}, .input = true});
  const std::string bytes(1 << 20, 'x');
  EXPECT_FALSE(process.write(bytes) && process.write(bytes)) << "and no SIGPIPE";
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(ProcessTest, HasNoInputUnlessAsked) {
  Process process({.arguments = {"cat"}});
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(ProcessTest, NamesTheProgramThatCannotBeRun) {
  EXPECT_EQ(message_of({.arguments = {"no-such-program"}}), "no-such-program cannot be run: No such file or directory");
  EXPECT_EQ(message_of({.arguments = {"/"}, .purpose = "which draws", .remedy = "install it"}),
            "/, which draws, cannot be run: Permission denied; install it");
}

TEST_F(ProcessTest, ShowsTheEndOfItsErrorsOnOneLine) {
  Process process({.arguments = {"sh", "-c", "for i in $(seq 1000); do echo line $i; done >&2"}});
  process.wait();
  EXPECT_LE(process.error_tail().size(), 403U);
  EXPECT_THAT(process.error_tail(), testing::EndsWith("line 999 line 1000"));
}

TEST_F(ProcessTest, AppendsOutputAndErrorsToALog) {
  const fs::path log = folder_ / "log";
  for (int i = 0; i < 2; ++i) {
    Process process({.arguments = {"sh", "-c", "echo out; echo err >&2"}, .log = log});
    EXPECT_EQ(process.wait(), 0);
  }
  EXPECT_EQ(text_of(log), "out\nerr\nout\nerr\n");
}

TEST_F(ProcessTest, WritesNoLogThatIsNotARegularFile) {
  const fs::path log = folder_ / "log", target = folder_ / "target";
  std::ofstream(target) << "mine";
  fs::create_symlink(target, log);
  EXPECT_THAT(message_of({.arguments = {"true"}, .log = log}), HasSubstr("log: cannot be written: "));
  EXPECT_EQ(text_of(target), "mine");
  fs::remove(log);
  ASSERT_EQ(::mkfifo(log.c_str(), 0600), 0);
  EXPECT_THAT(message_of({.arguments = {"true"}, .log = log}), HasSubstr("log: cannot be written: "));
  EXPECT_THAT(message_of({.arguments = {"true"}, .log = folder_ / "none" / "log"}),
              HasSubstr("log: cannot be written: No such file or directory"));
}

TEST_F(ProcessTest, LeavesNoDescriptorAndNoBlockedSignalToTheProgram) {
  const auto descriptors = [] {
    Process process({.arguments = {"sh", "-c", "ls /proc/self/fd"}});
    process.wait();
    return process.output();
  };
  const std::string before_others = descriptors();
  const Process another({.arguments = {"sleep", "1000"}, .input = true});
  EXPECT_EQ(descriptors(), before_others);

  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  Process process({.arguments = {"grep", "SigBlk", "/proc/self/status"}});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  process.wait();
  EXPECT_EQ(process.output(), "SigBlk:\t0000000000000000\n");
}

TEST_F(ProcessTest, EndsWhenAskedAndSaysBySignal) {
  Process process({.arguments = {"sleep", "1000"}});
  EXPECT_EQ(process.exit_code(), std::nullopt);
  EXPECT_EQ(process.wait_for(20ms), std::nullopt);
  process.terminate();
  EXPECT_EQ(process.wait(), 128 + SIGTERM);
}

TEST_F(ProcessTest, EndsWithItsObject) {
  { const Process process({.arguments = {"sleep", "1000.125"}}); }
  EXPECT_EQ(running_with("1000.125"), 0);
}

TEST_F(ProcessTest, StaysIfDetached) {
  {
    const Process process(
        {.arguments = {"sh", "-c", "sleep 0.2; echo done >" + (folder_ / "done").string()}, .detached = true});
  }
  EXPECT_TRUE(comes_true([&] { return text_of(folder_ / "done") == "done\n"; }));
}

/// A process of this test that starts `start` and then waits for its own end by kill -9, which comes after `life`.
template <class Start>
void kill_a_parent(std::chrono::microseconds life, const Start& start) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    start();
    ::_exit(1);
  }
  std::this_thread::sleep_for(life);
  ::kill(parent, SIGKILL);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
}

TEST_F(ProcessTest, EndsWhenItsParentIsKilled) {
  const std::string word = "1000.25";
  kill_a_parent(500ms, [&] {
    const Process first({.arguments = {"sleep", word}});
    const Process second({.arguments = {"sh", "-c", "trap '' TERM HUP INT; exec sleep " + word}});
    std::this_thread::sleep_for(1000s);
  });
  EXPECT_TRUE(comes_true([&] { return running_with(word) == 0; }));
}

TEST_F(ProcessTest, EndsHoweverEarlyItsParentIsKilled) {
  const std::string word = "1000.375";
  for (int i = 0; i < 200; ++i)
    kill_a_parent(std::chrono::microseconds(15 * i), [&] {
      std::vector<Process> all;
      for (;;) all.emplace_back(Launch{.arguments = {"sleep", word}});
    });
  EXPECT_TRUE(comes_true([&] { return running_with(word) == 0; }));
}

}  // namespace
}  // namespace kedge
