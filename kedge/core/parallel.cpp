#include "kedge/core/parallel.h"

#include <pthread.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

#include "kedge/core/errors.h"

// The thread sanitizer cannot see TBB's synchronisation: libtbb is not compiled for it. So this file is not either
// (CMakeLists.txt), and names the happens-before edges that TBB guarantees; the bodies that it runs are checked.
#if defined(KEDGE_NAME_EDGES)
#include <sanitizer/tsan_interface.h>
#endif

namespace kedge {

namespace {

[[maybe_unused]] void publish([[maybe_unused]] char& edge) {
#if defined(KEDGE_NAME_EDGES)
  __tsan_release(&edge);
#endif
}
[[maybe_unused]] void observe([[maybe_unused]] char& edge) {
#if defined(KEDGE_NAME_EDGES)
  __tsan_acquire(&edge);
#endif
}

/// Passes an edge at the end of a scope, whether it ends by an exception or not.
struct PublishAtEnd {
  char& edge;
  ~PublishAtEnd() { publish(edge); }
};
struct ObserveAtEnd {
  char& edge;
  ~ObserveAtEnd() { observe(edge); }
};

/// What a user's limit of processes counts besides the loops: the thread that waits for signals, and a process that reads a
/// file or compiles a model.
constexpr std::size_t kOthers = 2;

/// Starts as many threads at once as TBB and others will, and ends them: where TBB finds out that it cannot start a thread,
/// nobody can catch its exception, and the process dies.
/// @param count  of TBB, besides the calling thread
/// @throws SystemError if one cannot be started
void try_threads(std::size_t count) {
  std::latch all(1);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, tbb::global_control::active_value(tbb::global_control::thread_stack_size));
  const auto wait = [](void* latch) -> void* {
    static_cast<std::latch*>(latch)->wait();
    return nullptr;
  };
  std::vector<pthread_t> threads;
  int error = 0;
  while (error == 0 && threads.size() < count + kOthers)
    if (pthread_t thread = {}; (error = pthread_create(&thread, &attributes, wait, &all)) == 0)
      threads.push_back(thread);
  all.count_down();
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0)
    throw SystemError(fmt::format("{} threads cannot be started, but {}: {}", count + 1,
                                  std::max(threads.size(), kOthers) - kOthers + 1,
                                  std::generic_category().message(error)));
}

/// The arena for this many threads: made once, because making one costs more than many a loop. As many threads as were asked
/// for, even where there are fewer cores; TBB would warn on stderr and take fewer.
tbb::task_arena& arena_of(int threads) {
  static std::mutex guard;
  static auto& arenas = *new std::map<int, tbb::task_arena>;  // never destroyed: threads may outlive static objects
  static auto& allow = *new std::unique_ptr<tbb::global_control>;
  const std::lock_guard lock(guard);
  constexpr auto limit = tbb::global_control::max_allowed_parallelism;
  const auto wanted = static_cast<std::size_t>(threads);
  if (const auto found = arenas.find(threads); found != arenas.end()) return found->second;
  try_threads(wanted - 1);
  if (tbb::global_control::active_value(limit) < wanted) {
    allow.reset();  // of several limits the smallest holds
    allow = std::make_unique<tbb::global_control>(limit, wanted);
  }
  return arenas.try_emplace(threads, threads).first->second;
}

}  // namespace

void parallel_for(Index n, int threads, const std::function<void(Index, int)>& body) {
  if (threads <= 1 || n <= 1) {
    for (Index i = 0; i < n; ++i) body(i, 0);
    return;
  }
  char begin = 0, end = 0;                                     // caller -> body, body -> caller
  std::vector<char> edges(static_cast<std::size_t>(threads));  // body -> the next body of that worker
  const ObserveAtEnd from_bodies{end};
  publish(begin);
  const auto loop = [&] {
    tbb::parallel_for(
        Index{0}, n,
        [&](Index i) {
          const int worker = tbb::this_task_arena::current_thread_index();
          char& mine = edges[static_cast<std::size_t>(worker)];
          observe(begin);
          observe(mine);
          const PublishAtEnd to_next{mine}, to_caller{end};
          body(i, worker);
        },
        tbb::auto_partitioner{});
  };
  // Isolated: a body that waits for a loop of its own must not begin another body of this one, whose scratch it holds.
  arena_of(threads).execute([&] { tbb::this_task_arena::isolate(loop); });
}

void parallel_for(Index n, int threads, const std::function<void(Index)>& body) {
  parallel_for(n, threads, [&](Index i, int) { body(i); });
}

void parallel_then_in_order(Index n, int threads, const std::function<void(Index)>& prepare,
                            const std::function<void(Index)>& finish) {
  if (threads <= 1 || n <= 1) {
    for (Index i = 0; i < n; ++i) {
      prepare(i);
      finish(i);
    }
    return;
  }
  char begin = 0, end = 0, last = 0;  // caller -> prepare, either -> caller, finish -> finish
  const Index places = ahead(threads);
  std::vector<char> place(static_cast<std::size_t>(places));  // prepare(i) -> finish(i) -> prepare(i + places)
  const auto place_of = [&](Index i) -> char& { return place[static_cast<std::size_t>(i % places)]; };
  const ObserveAtEnd from_bodies{end};
  publish(begin);
  Index next = 0;
  const auto take = tbb::make_filter<void, Index>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& flow) {
    if (next == n) flow.stop();
    return next++;
  });
  const auto all = tbb::make_filter<Index, Index>(tbb::filter_mode::parallel, [&](Index i) {
    observe(begin);
    observe(place_of(i));
    const PublishAtEnd to_finish{place_of(i)}, to_caller{end};
    prepare(i);
    return i;
  });
  const auto in_order = tbb::make_filter<Index, void>(tbb::filter_mode::serial_in_order, [&](Index i) {
    observe(place_of(i));
    observe(last);
    const PublishAtEnd to_prepare{place_of(i)}, to_next{last}, to_caller{end};
    finish(i);
  });
  arena_of(threads).execute([&] {
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_pipeline(static_cast<std::size_t>(places), take & all & in_order); });
  });
}

void require_threads(int threads) {
  if (threads > 1) arena_of(threads);
}

}  // namespace kedge
