#include "kedge/policy/layer_products.h"

#include <cassert>

#include "kedge/math/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kedge/policy/layer_products.cpp"
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
constexpr bool kManyRegisters = N == kLanes;  // AVX-512 has 32, the others have 16

/// Calls work.operator()<k>() for k = min(left, most) in 1 ... most: loops over tiles with their length known to the compiler.
template <int most, class F>
HWY_INLINE void up_to(Index left, const F& work) {
  if constexpr (most > 1)
    if (left < most) return up_to<most - 1>(left, work);
  work.template operator()<most>();
}

}  // namespace

void layer_single(const MatrixXd& W, const VectorXd& b, const double* x, double* z) {
  const Index vectors = W.rows() / N, columns = W.cols(), stride = W.rows();
  for (Index g = 0; g < vectors; g += 4)
    up_to<4>(vectors - g, [&]<int G>() HWY_ATTR {
      Vector sum[G];
      for (int i = 0; i < G; ++i) sum[i] = hn::LoadU(d, b.data() + (g + i) * N);
      const double* w = W.data() + g * N;
      for (Index j = 0; j < columns; ++j, w += stride) {
        const Vector xj = hn::Set(d, x[j]);
        for (int i = 0; i < G; ++i) sum[i] = hn::MulAdd(hn::LoadU(d, w + i * N), xj, sum[i]);
      }
      for (int i = 0; i < G; ++i) hn::StoreU(sum[i], d, z + (g + i) * N);
    });
}

void layer_block(const double* w, Index row_step, Index column_step, Index rows, Index columns, const double* b,
                 const double* x, double* z) {
  constexpr int K = kManyRegisters ? 4 : 2;  // 4 x K sums stay in registers
  for (Index u = 0; u < rows; u += 4)
    up_to<4>(rows - u, [&]<int U>() HWY_ATTR {
      for (Index first = 0; first < kStateBlock; first += K * N) {
        Vector sum[U][K];
        for (int i = 0; i < U; ++i)
          for (int k = 0; k < K; ++k) sum[i][k] = hn::Set(d, b ? b[u + i] : 0.0);
        for (Index j = 0; j < columns; ++j) {
          Vector xj[K];
          for (int k = 0; k < K; ++k) xj[k] = hn::LoadU(d, x + j * kStateBlock + first + k * N);
          const double* wj = w + u * row_step + j * column_step;
          for (int i = 0; i < U; ++i) {
            const Vector wij = hn::Set(d, wj[i * row_step]);
            for (int k = 0; k < K; ++k) sum[i][k] = hn::MulAdd(xj[k], wij, sum[i][k]);
          }
        }
        for (int i = 0; i < U; ++i)
          for (int k = 0; k < K; ++k) hn::StoreU(sum[i][k], d, z + (u + i) * kStateBlock + first + k * N);
      }
    });
}

void add_layer_gradient(const double* delta, const double* x, Index rows, Index columns, double* sums,
                        double* bias_sums) {
  constexpr int S = kManyRegisters ? 4 : 3;  // S x S sums stay in registers
  for (Index j = 0; j < columns; j += S)
    up_to<S>(columns - j, [&]<int J>() HWY_ATTR {
      for (Index o = 0; o < rows; o += S)
        up_to<S>(rows - o, [&]<int O>() HWY_ATTR {
          for (Index part = 0; part < kLanes; part += N) {  // of the virtual registers
            Vector sum[J][O];
            for (int c = 0; c < J; ++c)
              for (int i = 0; i < O; ++i) sum[c][i] = hn::Zero(d);
            for (Index k = part; k < kStateBlock; k += kLanes) {
              Vector delta_k[O];
              for (int i = 0; i < O; ++i) delta_k[i] = hn::LoadU(d, delta + (o + i) * kStateBlock + k);
              for (int c = 0; c < J; ++c) {
                const Vector x_k = hn::LoadU(d, x + (j + c) * kStateBlock + k);
                for (int i = 0; i < O; ++i) sum[c][i] = hn::MulAdd(delta_k[i], x_k, sum[c][i]);
              }
            }
            for (int c = 0; c < J; ++c)
              for (int i = 0; i < O; ++i) {
                double* all = sums + ((j + c) * rows + o + i) * kLanes + part;
                hn::StoreU(hn::Add(hn::LoadU(d, all), sum[c][i]), d, all);
              }
          }
        });
    });
  if (bias_sums)
    for (Index o = 0; o < rows; ++o)
      for (Index part = 0; part < kLanes; part += N) {
        Vector sum = hn::Zero(d);
        for (Index k = part; k < kStateBlock; k += kLanes)
          sum = hn::Add(sum, hn::LoadU(d, delta + o * kStateBlock + k));
        double* all = bias_sums + o * kLanes + part;
        hn::StoreU(hn::Add(hn::LoadU(d, all), sum), d, all);
      }
}

}  // namespace kedge::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kedge {

HWY_EXPORT(layer_single);
HWY_EXPORT(layer_block);
HWY_EXPORT(add_layer_gradient);

void layer_single(const MatrixXd& W, const VectorXd& b, const double* x, double* z) {
  assert(W.rows() % kLanes == 0);
  HWY_DYNAMIC_DISPATCH(layer_single)(W, b, x, z);
}

void layer_block(const double* w, Index row_step, Index column_step, Index rows, Index columns, const double* b,
                 const double* x, double* z) {
  HWY_DYNAMIC_DISPATCH(layer_block)(w, row_step, column_step, rows, columns, b, x, z);
}

void add_layer_gradient(const double* delta, const double* x, Index rows, Index columns, double* sums,
                        double* bias_sums) {
  HWY_DYNAMIC_DISPATCH(add_layer_gradient)(delta, x, rows, columns, sums, bias_sums);
}

}  // namespace kedge
#endif
