// Counts the allocations of the calling thread, `allocations`: operator new and Eigen both end in malloc, which is weak
// here, so that several sources of a test program may include it. KEDGE_COUNT_ALLOCATIONS is defined where it works: the
// sanitizers have a malloc of their own.
#pragma once

#include <cstddef>

namespace kedge::test {
inline thread_local long allocations = 0;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KEDGE_COUNT_ALLOCATIONS
extern "C" void* __libc_malloc(std::size_t);
extern "C" __attribute__((weak)) void* malloc(std::size_t size) {
  ++kedge::test::allocations;
  return __libc_malloc(size);
}
#endif
