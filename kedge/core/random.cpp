#include "kedge/core/random.h"

#include <cmath>
#include <numbers>

namespace kedge {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
  constexpr std::uint64_t m0 = 0xD2511F53, m1 = 0xCD9E8D57;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c[0], p1 = m1 * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

Stream::Stream(std::uint64_t seed, std::uint32_t iteration, std::uint32_t rollout, std::uint32_t step)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, name_{iteration, rollout, step} {}

std::uint64_t Stream::bits() {
  if (left_ == 0) {
    const auto r = philox({block_++, name_[0], name_[1], name_[2]}, key_);
    buffer_ = {(std::uint64_t{r[0]} << 32) | r[1], (std::uint64_t{r[2]} << 32) | r[3]};
    left_ = 2;
  }
  return buffer_[static_cast<std::size_t>(2 - left_--)];
}

double Stream::uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }

double Stream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));  // 1 - u is in (0, 1]
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

void Stream::normal(VectorOut z) {
  for (Index i = 0; i < z.size(); ++i) z[i] = normal();
}

}  // namespace kedge
