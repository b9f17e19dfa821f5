#include "kedge/math/tile_density.h"

#include "kedge/math/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kedge/math/tile_density.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kedge::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Double = hn::CappedTag<double, kLanes>;
using Vector = hn::Vec<Double>;
constexpr Double d{};
constexpr Index N = hn::MaxLanes(d);
constexpr Index kPart = 4 * N;  // samples whose sums are in registers together
static_assert(kTile % kPart == 0);

/// The affine map of a component: z = W x - b.
struct Map {
  Index n;
  const double *W, *b;
};

/// Adds z_i^2 to q for the rows i = first ... first + R - 1 of z = W x - b and kPart samples.
/// @param tile the first of the samples: [kTile, n]  @param q [kPart]
template <int R>
void add_squares(const Map& map, const double* tile, Index first, double* q) {
  const double* W = map.W + first;
  Vector z[R][4];
  for (int r = 0; r < R; ++r)
    for (int l = 0; l < 4; ++l) z[r][l] = hn::Set(d, -map.b[first + r]);
  Vector x[4];  // loaded one column ahead: GCC would otherwise load it again for each of the R rows
  const auto load = [&](Index j) HWY_ATTR {
    for (int l = 0; l < 4; ++l) x[l] = hn::LoadU(d, tile + j * kTile + l * N);
  };
  const auto add = [&](int r, Index j) HWY_ATTR {
    const Vector W_rj = hn::Set(d, W[r + j * map.n]);
    for (int l = 0; l < 4; ++l) z[r][l] = hn::MulAdd(W_rj, x[l], z[r][l]);
  };
  load(0);
  for (Index j = 0; j <= first; ++j) {
    for (int r = 0; r < R; ++r) add(r, j);
    load(j + 1 < map.n ? j + 1 : j);
  }
  for (int s = 1; s < R; ++s) {  // W is lower triangular
    for (int r = s; r < R; ++r) add(r, first + s);
    if (s + 1 < R) load(first + s + 1);
  }
  for (int l = 0; l < 4; ++l) {
    Vector sum = hn::LoadU(d, q + l * N);
    for (int r = 0; r < R; ++r) sum = hn::MulAdd(z[r][l], z[r][l], sum);
    hn::StoreU(sum, d, q + l * N);
  }
}

/// Whether the squares q of every sample are so many already that log z is below what is needed.
bool beyond(const double* q, double log_normaliser, const double* needed) {
  for (Index l = 0; l < kTile; l += N) {
    const Vector enough = hn::Mul(hn::Set(d, 2.0), hn::Sub(hn::Set(d, log_normaliser), hn::LoadU(d, needed + l)));
    if (!hn::AllTrue(d, hn::Gt(hn::LoadU(d, q + l), enough))) return false;
  }
  return true;
}

}  // namespace

bool log_density(Index n, const double* W, const double* b, double log_normaliser, const double* tile,
                 const double* needed, double* log_z) {
  const Map map{n, W, b};
  alignas(64) double q[kTile] = {};
  bool complete = true;
  for (Index i = 0; complete && i < n; i += 2) {  // two rows at a time: their sums hide each other's latency
    for (Index part = 0; part < kTile; part += kPart)
      if (i + 1 < n)
        add_squares<2>(map, tile + part, i, q + part);
      else
        add_squares<1>(map, tile + part, i, q + part);
    if (i == 0 || i == n / 4 * 2) complete = !beyond(q, log_normaliser, needed);
  }
  for (Index l = 0; l < kTile; l += N)
    hn::StoreU(hn::NegMulAdd(hn::Set(d, 0.5), hn::LoadU(d, q + l), hn::Set(d, log_normaliser)), d, log_z + l);
  return complete;
}

}  // namespace kedge::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kedge {

HWY_EXPORT(log_density);

bool log_density(const Whitening& component, const double* tile, const TileArray& needed, double* log_z) {
  return HWY_DYNAMIC_DISPATCH(log_density)(component.dim(), component.W.data(), component.b.data(),
                                           component.log_normaliser, tile, needed.data(), log_z);
}

}  // namespace kedge
#endif
