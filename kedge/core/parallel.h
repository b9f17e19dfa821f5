// The only place with threads.
#pragma once

#include <functional>

#include "kedge/core/types.h"

namespace kedge {

/// Calls body(i, worker) for i = 0 ... n-1 on up to `threads` threads, in any order, and returns when all are done.
/// `worker` in [0, threads) selects scratch memory: no two bodies that run at the same time have the same one. `body`
/// writes its results only to places that belong to i, so that they do not depend on the number of threads. The first
/// exception is rethrown here. With threads = 1 everything happens on the calling thread, in order.
/// @throws SystemError if the threads cannot be started
void parallel_for(Index n, int threads, const std::function<void(Index i, int worker)>& body);

/// Calls body(i) in the same way, for a body without scratch memory.
void parallel_for(Index n, int threads, const std::function<void(Index i)>& body);

/// Calls prepare(i) on up to `threads` threads, beginning in the order i = 0 ... n-1, and finish(i) one at a time in that
/// order, each after its prepare(i), on any of the threads. prepare(i) begins after finish(i - ahead(threads)), so that
/// prepared results need that many places. Exceptions and threads = 1 as above.
void parallel_then_in_order(Index n, int threads, const std::function<void(Index)>& prepare,
                            const std::function<void(Index)>& finish);

/// Checks that loops on `threads` threads can start them. The threads start at the first loop.
/// @throws SystemError "N threads cannot be started, but M: <reason>"
void require_threads(int threads);

/// Returns the largest number of results that parallel_then_in_order prepares before it finishes the first of them.
constexpr Index ahead(int threads) { return threads <= 1 ? 1 : 2 * threads; }

}  // namespace kedge
