#include "kedge/core/parallel.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace kedge {

namespace {

// The TBB library is not compiled for the thread sanitizer, so its synchronisation is invisible to it: name the two
// happens-before edges that parallel_for guarantees (caller -> body, body -> caller).
[[maybe_unused]] void publish([[maybe_unused]] void* edge) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(edge);
#endif
}
[[maybe_unused]] void observe([[maybe_unused]] void* edge) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(edge);
#endif
}

}  // namespace

void parallel_for(Index n, int threads, const std::function<void(Index)>& body) {
  if (threads <= 1 || n <= 1) {
    for (Index i = 0; i < n; ++i) body(i);
    return;
  }
  tbb::task_arena arena(threads);
  char begin = 0, end = 0;
  publish(&begin);
  arena.execute([&] {
    tbb::parallel_for(
        Index{0}, n,
        [&](Index i) {
          observe(&begin);
          body(i);
          publish(&end);
        },
        tbb::auto_partitioner{});
  });
  observe(&end);
}

int worker_index() {
  const int i = tbb::this_task_arena::current_thread_index();
  return i == tbb::task_arena::not_initialized ? 0 : i;
}

}  // namespace kedge
