#include "kedge/core/parallel.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

constexpr Index n = 1000;

/// 1, fewer than, as many as, and more than the cores.
std::vector<int> thread_counts() { return {1, 2, 3, static_cast<int>(std::thread::hardware_concurrency()) + 6}; }

TEST(ParallelFor, VisitsEveryIndexOnce) {
  for (const int threads : thread_counts())
    for (const Index count : {Index{0}, Index{1}, Index{2}, n}) {
      std::vector<int> visits(static_cast<std::size_t>(count));
      parallel_for(count, threads, [&](Index i) { ++visits[static_cast<std::size_t>(i)]; });
      for (const int v : visits) EXPECT_EQ(v, 1);
    }
}

TEST(ParallelFor, RunsInOrderOnTheCallingThreadWithOneThread) {
  std::vector<Index> order;
  parallel_for(10, 1, [&](Index i, int worker) {
    EXPECT_EQ(worker, 0);
    order.push_back(i);
  });
  EXPECT_EQ(order, (std::vector<Index>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(ParallelFor, GivesNoWorkerTwoBodiesAtATime) {
  for (const int threads : thread_counts()) {
    const auto busy = std::make_unique<std::atomic<int>[]>(static_cast<std::size_t>(threads));
    parallel_for(n, threads, [&](Index, int worker) {
      ASSERT_GE(worker, 0);
      ASSERT_LT(worker, threads);
      EXPECT_EQ(busy[static_cast<std::size_t>(worker)].fetch_add(1), 0);
      std::this_thread::yield();
      busy[static_cast<std::size_t>(worker)].fetch_sub(1);
    });
  }
}

TEST(ParallelFor, NumbersTheWorkersOfANestedLoopOnItsOwn) {
  parallel_for(n, 4, [&](Index, int) {
    parallel_for(3, 1, [](Index, int worker) { EXPECT_EQ(worker, 0); });
    parallel_for(20, 2, [](Index, int worker) { EXPECT_LT(worker, 2); });
  });
}

TEST(ParallelFor, RethrowsAnExceptionAndStaysUsable) {
  for (const int threads : thread_counts()) {
    const auto work = [&] {
      parallel_for(n, threads, [](Index i) {
        if (i == 500) throw InputError("number 500");
      });
    };
    try {
      work();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const InputError& e) {
      EXPECT_STREQ(e.what(), "number 500");
    }
    std::atomic<Index> sum{0};
    parallel_for(n, threads, [&](Index i) { sum += i; });
    EXPECT_EQ(sum, n * (n - 1) / 2);
  }
}

TEST(ParallelFor, ShowsTheCallerWhatTheBodiesWrote) {  // also a race for the thread sanitizer to find
  for (int repetition = 0; repetition < 50; ++repetition) {
    std::vector<double> out(n);
    double factor = repetition;
    parallel_for(n, 4, [&](Index i) { out[static_cast<std::size_t>(i)] = factor * static_cast<double>(i); });
    factor = 0;
    for (Index i = 0; i < n; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], repetition * static_cast<double>(i));
  }
}

TEST(ParallelThenInOrder, FinishesEachInOrderAfterItIsPreparedAndWithinThePlaces) {  // also for the thread sanitizer
  for (const int threads : thread_counts())
    for (const Index count : {Index{0}, Index{1}, n}) {
      std::vector<Index> place(static_cast<std::size_t>(ahead(threads)), -1), order;
      const auto at = [&](Index i) -> Index& { return place[static_cast<std::size_t>(i) % place.size()]; };
      parallel_then_in_order(
          count, threads,
          [&](Index i) {
            EXPECT_EQ(at(i), -1);  // whoever had the place before is finished
            at(i) = i;
          },
          [&](Index i) {
            EXPECT_EQ(at(i), i);
            at(i) = -1;
            order.push_back(i);
          });
      ASSERT_EQ(order.size(), static_cast<std::size_t>(count));
      for (Index i = 0; i < count; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
    }
}

TEST(RequireThreads, SaysHowManyCanBeStarted) {
  require_threads(1);
  require_threads(5);
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizers' own memory does not fit into the limit, nor may a forked child start threads";
#endif
  // In a process of its own, which is left with little room for their stacks.
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    rlimit limit = {};
    ::getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{100} << 20);
    ::setrlimit(RLIMIT_AS, &limit);
    try {
      require_threads(900);
    } catch (const SystemError& error) {
      const std::string text = error.what();
      ::_exit(text.starts_with("900 threads cannot be started, but ") && text.find('\n') == std::string::npos ? 0 : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ParallelThenInOrder, RethrowsAnException) {
  for (const int threads : thread_counts())
    for (const bool early : {true, false}) {
      const auto fail = [](Index i, bool now) {
        if (now && i == 500) throw InputError("number 500");
      };
      EXPECT_THROW(parallel_then_in_order(
                       n, threads, [&](Index i) { fail(i, early); }, [&](Index i) { fail(i, !early); }),
                   InputError);
    }
}

}  // namespace
}  // namespace kedge
