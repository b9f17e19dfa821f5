// Says so where the processor lacks what the program was compiled for, before it meets the first instruction that it does
// not know. Compiled for every x86-64 processor, and run before the constructors of all other files.
#include <unistd.h>

#ifdef KEDGE_NEEDS_AVX2
namespace {

__attribute__((constructor(101))) void check_processor() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return;
  constexpr char text[] =
      "kedge: error: this processor has no AVX2; build kedge for older ones (cmake --preset portable)\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) < 0) ::_exit(4);
  ::_exit(3);
}

}  // namespace
#endif
