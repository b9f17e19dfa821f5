#include "kedge/core/parallel.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <vector>

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

}  // namespace

void parallel_for(Index n, int threads, const std::function<void(Index)>& body) {
  if (threads <= 1 || n <= 1) {
    for (Index i = 0; i < n; ++i) body(i);
    return;
  }
  // As many threads as were asked for, even where there are fewer cores; TBB would warn on stderr and take fewer.
  const auto limit = tbb::global_control::max_allowed_parallelism;
  const std::size_t wanted = std::max(static_cast<std::size_t>(threads), tbb::global_control::active_value(limit));
  const tbb::global_control allow(limit, wanted);
  tbb::task_arena arena(threads);
  char begin = 0, end = 0;                                      // caller -> body, body -> caller
  std::vector<char> worker(static_cast<std::size_t>(threads));  // body -> the next body with that worker_index()
  const ObserveAtEnd from_bodies{end};
  publish(begin);
  arena.execute([&] {
    tbb::parallel_for(
        Index{0}, n,
        [&](Index i) {
          char& mine = worker[static_cast<std::size_t>(worker_index())];
          observe(begin);
          observe(mine);
          const PublishAtEnd to_next{mine}, to_caller{end};
          body(i);
        },
        tbb::auto_partitioner{});
  });
}

int worker_index() {
  const int i = tbb::this_task_arena::current_thread_index();
  return i == tbb::task_arena::not_initialized ? 0 : i;
}

}  // namespace kedge
