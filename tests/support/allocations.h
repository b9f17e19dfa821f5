// Counts the allocations of the calling thread, `allocations`: operator new and Eigen both end in malloc. Include it in one
// source of a test program. KEDGE_COUNT_ALLOCATIONS is defined where it works; the sanitizers have a malloc of their own.
#pragma once

#include <cstddef>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KEDGE_COUNT_ALLOCATIONS
extern "C" void* __libc_malloc(std::size_t);
namespace kedge::test {
inline thread_local long allocations = 0;
}
extern "C" void* malloc(std::size_t size) {
  ++kedge::test::allocations;
  return __libc_malloc(size);
}
#endif
