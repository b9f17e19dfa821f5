// Says so where the processor lacks what the program was compiled for, before it meets the first instruction that it does
// not know. Compiled for every x86-64 processor, and run before all constructors, also
// those of shared libraries: MuJoCo's use AVX.
#include <unistd.h>

#ifdef KEDGE_NEEDS_AVX2
namespace {

void check_processor() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return;
  constexpr char text[] =
      "kedge: error: this processor has no AVX2; build kedge for older ones (cmake --preset portable)\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) < 0) ::_exit(4);
  ::_exit(3);
}

__attribute__((section(".preinit_array"), used)) void (*const before_constructors)() = check_processor;

}  // namespace
#endif
