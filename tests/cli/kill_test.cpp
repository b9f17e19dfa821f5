// SIGKILL at random moments: nothing that was completed is lost, and the end is the same to the last byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <random>
#include <thread>

#include "program.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;

using Arguments = std::vector<std::string>;
class Kill : public testing::TestWithParam<Arguments> {};

TEST_P(Kill, AtTenRandomMomentsAndResumedEqualsTheWholeRun) {
  const Scratch scratch;
  const int iterations = 120;
  const auto training = [&](const std::string& out) {
    auto arguments = small_training(out, iterations);
    arguments.push_back("--record-updates");
    arguments.insert(arguments.end(), GetParam().begin(), GetParam().end());
    return arguments;
  };
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run(training("whole"), {.directory = scratch.path()}).code, 0);
  const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  // Ten deaths: some while a process starts, most while it writes, after a row more than there was. How long the whole
  // run took only spreads the moments: the machine may be busier or idler by now.
  std::mt19937 random(20161122);  // the moments are not reproducible anyway
  const auto size = [&] {
    std::error_code none;
    const auto bytes = fs::file_size(scratch.path() / "killed/metrics.csv", none);
    return none ? 0 : bytes;
  };
  bool begun = false;
  int killed = 0, attempts = 0;
  Outcome last;
  while (attempts++ < 200) {
    const auto arguments = begun ? std::vector<std::string>{"resume", "killed"} : training("killed");
    Process process(arguments, {.directory = scratch.path()});
    if (killed < 10) {
      for (const auto before = size(); killed % 3 != 0 && size() <= before && process.running();)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const double wait = whole / 40 * std::uniform_real_distribution<>(0, 1)(random);
      std::this_thread::sleep_for(std::chrono::duration<double>(wait));
      if (process.running()) {
        process.signal(SIGKILL);
        ++killed;
      }
    }
    last = process.wait();
    begun = fs::exists(scratch.path() / "killed/run.toml");
    if (!begun) fs::remove_all(scratch.path() / "killed");  // died before its first file
    if (last.code == 0) break;
    ASSERT_EQ(last.code, 128 + SIGKILL) << last.err;
  }
  EXPECT_EQ(last.code, 0);
  EXPECT_GE(killed, 5) << "the run ended before it could be killed";
  for (const char* file : {"metrics.csv", "policy.h5", "checkpoint.h5", "updates.h5", "run.toml"})
    EXPECT_TRUE(read(scratch.path() / "whole" / file) == read(scratch.path() / "killed" / file)) << file;
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Kill,
                         testing::Values(Arguments{}, Arguments{"--algorithm", "gps", "--set", "rollouts=8"}),
                         [](const auto& instance) { return instance.index == 0 ? "moto" : "gps"; });

}  // namespace
}  // namespace kedge::test
