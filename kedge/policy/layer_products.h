// The matrix products of a network's layers (network.h). A sum over a layer's inputs runs in their order, a sum over states in
// kLanes lanes, whatever the width of the processor's vectors.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

inline constexpr Index kStateBlock = 64;  ///< states of a block, one a lane

/// Computes z = W x + b for one input, one unit a lane. Entry by entry the same operations as `layer_block`.
/// @param W [rows, columns], rows a multiple of kLanes  @param b [rows]  @param x [columns]  @param z [rows], out
void layer_single(const MatrixXd& W, const VectorXd& b, const double* x, double* z);

/// Computes z_u = b_u + sum_j w(u, j) x_j for u = 0 ... rows-1 and a block of inputs, one a lane.
/// @param w w(u, j) = w[u row_step + j column_step]  @param b nullptr: zero
/// @param x [kStateBlock, columns]  @param z [kStateBlock, rows], out
void layer_block(const double* w, Index row_step, Index column_step, Index rows, Index columns, const double* b,
                 const double* x, double* z);

/// Adds sum_n delta_o,n x_j,n to sums(o, j), and sum_n delta_o,n to bias_sums(o), lane by lane.
/// @param delta [kStateBlock, rows]  @param x [kStateBlock, columns]
/// @param sums [kLanes, rows columns], column by column  @param bias_sums [kLanes, rows], or nullptr
void add_layer_gradient(const double* delta, const double* x, Index rows, Index columns, double* sums,
                        double* bias_sums);

}  // namespace kedge
