#include "kedge/math/gram.h"

#include <algorithm>
#include <cstring>

namespace kedge {

GramAccumulator::GramAccumulator(Index features)
    : features_(features), phi_(MatrixXd::Zero(kBlock, (features + kTile - 1) / kTile * kTile)) {
  const auto tiles = static_cast<std::size_t>(phi_.cols() / kTile);
  sum_.assign(tiles * (tiles + 1) / 2 * kTile * kTile, Lanes{});
}

void GramAccumulator::add(Index count) {
  phi_.bottomRows(kBlock - count).setZero();
  const auto load = [](const double* p) {
    Lanes v;
    std::memcpy(&v, p, sizeof v);
    return v;
  };
  Lanes* sum = sum_.data();
  for (Index i = 0; i < phi_.cols(); i += kTile) {
    for (Index j = 0; j <= i; j += kTile, sum += kTile * kTile) {
      const double *a = phi_.data() + i * kBlock, *b = phi_.data() + j * kBlock;
      Lanes s00{}, s01{}, s02{}, s03{}, s10{}, s11{}, s12{}, s13{}, s20{}, s21{}, s22{}, s23{}, s30{}, s31{}, s32{},
          s33{};
      for (Index k = 0; k < kBlock; k += 8) {
        const Lanes b0 = load(b + k), b1 = load(b + kBlock + k), b2 = load(b + 2 * kBlock + k),
                    b3 = load(b + 3 * kBlock + k);
        const Lanes a0 = load(a + k), a1 = load(a + kBlock + k), a2 = load(a + 2 * kBlock + k),
                    a3 = load(a + 3 * kBlock + k);
        s00 += a0 * b0, s01 += a0 * b1, s02 += a0 * b2, s03 += a0 * b3;
        s10 += a1 * b0, s11 += a1 * b1, s12 += a1 * b2, s13 += a1 * b3;
        s20 += a2 * b0, s21 += a2 * b1, s22 += a2 * b2, s23 += a2 * b3;
        s30 += a3 * b0, s31 += a3 * b1, s32 += a3 * b2, s33 += a3 * b3;
      }
      sum[0] += s00, sum[1] += s01, sum[2] += s02, sum[3] += s03;
      sum[4] += s10, sum[5] += s11, sum[6] += s12, sum[7] += s13;
      sum[8] += s20, sum[9] += s21, sum[10] += s22, sum[11] += s23;
      sum[12] += s30, sum[13] += s31, sum[14] += s32, sum[15] += s33;
    }
  }
}

MatrixXd GramAccumulator::gram() const {
  MatrixXd g(features_, features_);
  const Lanes* sum = sum_.data();
  for (Index i = 0; i < phi_.cols(); i += kTile)
    for (Index j = 0; j <= i; j += kTile, sum += kTile * kTile)
      for (Index r = i; r < std::min(i + kTile, features_); ++r)
        for (Index c = j; c < std::min({j + kTile, r + 1, features_}); ++c) {
          const Lanes& s = sum[(r - i) * kTile + (c - j)];
          g(r, c) = g(c, r) = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
        }
  return g;
}

}  // namespace kedge
