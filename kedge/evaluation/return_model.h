// A quadratic model of the return around a search distribution [Abdolmaleki2015, Sec. 4]: ridge regression on the orthonormal
// quadratic features of whitened parameters (hermite.h), or the Bayesian average over random projections of them.
//
// There are more features than samples, so the regression is solved for one number a sample: with features phi and weights
// w that sum to 1, the coefficients are sum_n a_n phi(z_n), and the products of features have a closed form,
//   phi(z)'phi(z') = z'z' + [ (z'z')^2 - |z|^2 - |z'|^2 + n ] / 2     (the constant, which is not penalised, left out).
#pragma once

#include <cstdint>
#include <optional>

#include "kedge/core/types.h"
#include "kedge/math/lq.h"

namespace kedge {

struct ReturnModelOptions {
  double ridge = 0.05;  ///< lambda > 0, on standardised returns: noise over prior variance of a coefficient

  /// Random projections that are averaged; 0: the model of all parameters.
  int projections = 0;
  int projected = 7;  ///< dimensions of a projection, >= 1
};

struct ReturnModel {
  Quadratic q;      ///< [n] R(z), to be maximised
  double r2 = 0.0;  ///< explained share of the weighted variance of the returns; 1 if they are equal
};

/// Fits the returns of weighted samples: minimises sum_n w_n (R_n - q(z_n))^2 / Var R + ridge |coefficients|^2. With
/// projections, q is the average of the models of P z, P ~ N(0, 1 / projected), each by its marginal likelihood where the
/// noise has the variance that makes `ridge` (1/4 of the returns', as the authors' code, for a prior variance of
/// 1 / (4 ridge N_eff)).
/// @param z [n, N]  @param returns [N]  @param weight [N] >= 0, sum 1
/// @param seed, iteration name the random numbers of the projections  @param threads changes no result
/// @return nullopt if a number is not finite
std::optional<ReturnModel> fit_return_model(MatrixIn z, VectorIn returns, VectorIn weight,
                                            const ReturnModelOptions& options, std::uint64_t seed, int iteration,
                                            int threads);

}  // namespace kedge
