// Random numbers as a pure function of (seed, iteration, rollout, step): no state is shared between threads, and no
// result depends on who drew first. Philox4x32-10 [Salmon2011] in counter mode; normals by Box-Muller, because
// std::normal_distribution differs between standard libraries.
#pragma once

#include <array>
#include <cstdint>

#include "kedge/core/types.h"

namespace kedge {

/// A stream of random numbers named by four integers. Two streams with different names are independent; the same
/// name always gives the same numbers.
class Stream {
 public:
  /// @param seed of the run  @param iteration, rollout, step  each < 2^32, name the stream within the run.
  Stream(std::uint64_t seed, std::uint32_t iteration, std::uint32_t rollout, std::uint32_t step);

  double uniform();          ///< in [0, 1), 53 bits
  double normal();           ///< N(0, 1)
  void normal(VectorOut z);  ///< every entry N(0, 1)
  std::uint64_t bits();      ///< 64 uniform bits

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 3> name_;
  std::uint32_t block_ = 0;
  std::array<std::uint64_t, 2> buffer_{};
  int left_ = 0;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

/// Philox4x32-10: the block cipher behind `Stream`, public for its known-answer test.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace kedge
