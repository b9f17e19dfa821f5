#include "kedge/pages/newest_replays.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

using namespace std::chrono_literals;
using Clock = NewestReplays::Clock;

constexpr Clock::time_point kNever = Clock::time_point::max();

FileStamp policy(std::uint64_t number) { return {.inode = number}; }

/// Asks until there is a result.
NewestReplays::Result wait(NewestReplays& replays, std::size_t run, const FileStamp& of,
                           Clock::time_point since = kNever) {
  for (int i = 0; i < 24000; ++i) {
    if (auto result = replays.ask(run, "run", of, since)) return *result;
    std::this_thread::sleep_for(5ms);
  }
  return {nullptr, "no result", false};
}

TEST(NewestReplays, MakesThePageOfAPolicyOnce) {
  std::atomic<int> made = 0;
  NewestReplays replays([&](const auto&, const auto&) { return std::to_string(++made); });
  EXPECT_EQ(*wait(replays, 0, policy(1)).page, "1");
  EXPECT_EQ(*wait(replays, 0, policy(1)).page, "1");
  EXPECT_EQ(*wait(replays, 0, policy(2)).page, "2");
  EXPECT_EQ(*wait(replays, 1, policy(2)).page, "3") << "of another run";
  EXPECT_EQ(*wait(replays, 0, policy(2)).page, "2");
}

TEST(NewestReplays, MakesOnePageForManyWhoAsk) {
  std::atomic<int> made = 0;
  std::atomic<bool> all_asked = false;
  NewestReplays replays([&](const auto&, const auto&) {
    while (!all_asked) std::this_thread::sleep_for(1ms);
    return std::to_string(++made);
  });
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(replays.ask(0, "run", policy(1), kNever));
  all_asked = true;
  EXPECT_EQ(*wait(replays, 0, policy(1)).page, "1");
}

TEST(NewestReplays, AnswersWherePoliciesComeFasterThanPages) {
  NewestReplays replays([](const auto&, const auto&) {
    std::this_thread::sleep_for(20ms);
    return std::string("page");
  });
  const Clock::time_point asked = Clock::now();
  std::uint64_t number = 0;
  while (number < 100000 && !replays.ask(0, "run", policy(++number), asked)) std::this_thread::sleep_for(1ms);
  EXPECT_LT(number, 100000U);
}

TEST(NewestReplays, SaysWhyThereIsNone) {
  NewestReplays replays(
      [](const std::filesystem::path&, const std::stop_token&) -> std::string { throw InputError("no policy"); });
  const auto wrong = wait(replays, 0, policy(1));
  EXPECT_EQ(wrong.page, nullptr);
  EXPECT_EQ(wrong.failure, "no policy");
  EXPECT_TRUE(wrong.asked_wrongly);
  NewestReplays failing(
      [](const std::filesystem::path&, const std::stop_token&) -> std::string { throw std::bad_alloc(); });
  EXPECT_FALSE(wait(failing, 0, policy(1)).asked_wrongly);
}

TEST(NewestReplays, EndsWhileAPageIsBeingMade) {
  std::atomic<bool> begun = false;
  NewestReplays replays([&](const auto&, const std::stop_token& stop) {
    begun = true;
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    return std::string();
  });
  EXPECT_FALSE(replays.ask(0, "run", policy(1), kNever));
  EXPECT_FALSE(replays.ask(1, "run", policy(1), kNever));
  while (!begun) std::this_thread::sleep_for(1ms);
}

}  // namespace
}  // namespace kedge
