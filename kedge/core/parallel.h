// The only place with threads.
#pragma once

#include <functional>

#include "kedge/core/types.h"

namespace kedge {

/// Calls body(i) for i = 0 ... n-1 on up to `threads` threads, in any order; returns when all are done. `body` must
/// write only to places that belong to i, so that results do not depend on the number of threads. The first
/// exception is rethrown here. With threads = 1 everything happens on the calling thread, in order.
void parallel_for(Index n, int threads, const std::function<void(Index)>& body);

/// Index of the calling worker inside `parallel_for`, in [0, threads): selects its scratch memory.
int worker_index();

}  // namespace kedge
