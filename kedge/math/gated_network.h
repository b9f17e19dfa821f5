// A network of two hidden layers, each gated by the input, as a regression from x to y in single precision:
//
//   phi(v) = v / (1 + exp(-v))
//   h_1 = phi(W_1 x + b_1) * (V_1 x + c_1)        * entry by entry
//   h_2 = phi(W_2 h_1 + b_2) * (V_2 x + c_2)
//   y   = W_3 h_2 + W_s x + b_3
//
// Products of inputs, such as the sines and squared speeds of a chain of links, cost it fewer units than a plain network.
#pragma once

#include <vector>

#include "kedge/core/random.h"
#include "kedge/core/types.h"

namespace kedge {

using Eigen::MatrixXf;
using Eigen::VectorXf;

struct GatedShape {
  Index inputs = 0;   ///< >= 1
  Index units = 64;   ///< of each hidden layer, >= 1
  Index outputs = 0;  ///< >= 1
};

/// Returns P, the number of weights of a network.
Index weight_count(const GatedShape& shape);

/// Draws W_1, W_2, W_3 with standard deviation 1 / sqrt(columns), V_1, V_2 with half of that; c_1 = c_2 = 1, the rest is 0.
/// @return [P]
VectorXf random_weights(const GatedShape& shape, Stream& random);

/// Scratch memory of a batch on its way through a network. It is made once and used again.
struct GatedWork {
  MatrixXf x;                         ///< [inputs + 1, N] the inputs, and a row of ones
  MatrixXf skip;                      ///< [3 units, N] W_1 x + b_1, V_1 x + c_1, V_2 x + c_2
  MatrixXf phi1, h1, z2, phi2, h2;    ///< [units, N]
  MatrixXf y;                         ///< [outputs, N]
  MatrixXf slope1, slope2;            ///< [units, N] derivatives of phi
  MatrixXf d_skip, d_z2, d_h1, d_h2;  ///< derivatives of the loss
};

/// Computes y for a batch. @param weights [P]  @param x [inputs, N]  @param work  work.y is set
void outputs(const GatedShape& shape, const VectorXf& weights, const Eigen::Ref<const MatrixXf>& x, GatedWork& work);

/// Computes the derivative of a loss, given its derivatives for the outputs of the batch that `outputs` saw last.
/// @param dy [outputs, N]  @param gradient [P], out
void gradient(const GatedShape& shape, const VectorXf& weights, const MatrixXf& dy, GatedWork& work,
              VectorXf& gradient);

/// Returns dy/dx at one input. @param x [inputs]  @return [outputs, inputs]
MatrixXf jacobian(const GatedShape& shape, const VectorXf& weights, const VectorXf& x);

}  // namespace kedge
