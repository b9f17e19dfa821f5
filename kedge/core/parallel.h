// The only place with threads.
#pragma once

#include <functional>

#include "kedge/core/types.h"

namespace kedge {

/// Calls body(i) for i = 0 ... n-1 on up to `threads` threads, in any order; returns when all are done. `body` must
/// write only to places that belong to i, so that results do not depend on the number of threads. The first
/// exception is rethrown here. With threads = 1 everything happens on the calling thread, in order.
void parallel_for(Index n, int threads, const std::function<void(Index)>& body);

/// prepare(i) on up to `threads` threads, beginning in the order i = 0 ... n-1; finish(i) one at a time in that order, each
/// after its prepare(i), on any of the threads. prepare(i) begins after finish(i - ahead(threads)), so that what is prepared
/// needs that many places. Exceptions and threads = 1 as above.
void parallel_then_in_order(Index n, int threads, const std::function<void(Index)>& prepare,
                            const std::function<void(Index)>& finish);

/// How many numbers parallel_then_in_order may prepare before the first of them is finished.
constexpr Index ahead(int threads) { return threads <= 1 ? 1 : 2 * threads; }

/// Index of the calling worker inside `parallel_for`, in [0, threads): selects its scratch memory.
int worker_index();

}  // namespace kedge
