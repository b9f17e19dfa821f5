#include "kedge/math/vectors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwy/targets.h>

#include <cstdint>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

struct Kind {
  const char* name;
  std::int64_t targets;  ///< of Highway; better ones have lower bits
};
#if HWY_ARCH_X86
constexpr Kind kKinds[] = {
    {"avx512", HWY_AVX2 - 1}, {"avx2", HWY_AVX2}, {"portable", ~((std::int64_t{HWY_AVX2} << 1) - 1)}};
#else
constexpr Kind kKinds[] = {{"portable", ~std::int64_t{0}}};
#endif

/// The kinds that are compiled, that the processor has and that are not disabled, best first. The baseline always counts:
/// what is executing was compiled for it.
std::vector<Kind> enabled_kinds() {
  const std::int64_t targets = (hwy::SupportedTargets() & HWY_TARGETS) | HWY_STATIC_TARGET;
  std::vector<Kind> kinds;
  for (const Kind& kind : kKinds)
    if (kind.targets & targets) kinds.push_back(kind);
  return kinds;
}

std::vector<std::string> names(const std::vector<Kind>& kinds) {
  std::vector<std::string> result;
  for (const Kind& kind : kinds) result.emplace_back(kind.name);
  return result;
}

}  // namespace

std::vector<std::string> vector_kinds() {
  const std::string chosen = vectors_in_use();
  hwy::DisableTargets(0);
  const std::vector<std::string> all = names(enabled_kinds());
  use_vectors(chosen);
  return all;
}

std::string vectors_in_use() { return enabled_kinds().front().name; }

void use_vectors(const std::string& name) {
  hwy::DisableTargets(0);
  const std::vector<Kind> all = enabled_kinds();
  std::int64_t better = 0;
  for (const Kind& kind : all) {
    if (name == kind.name) return hwy::DisableTargets(better);
    better |= kind.targets;
  }
  throw InputError(fmt::format("vectors '{}' are not among those of this build and processor: {}", name,
                               fmt::join(names(all), ", ")));
}

}  // namespace kedge
