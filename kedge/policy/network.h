// A fully connected network y(x) with fixed linear maps of its inputs and outputs, for batches and for single inputs:
//
//   x_0 = (x - input_mean) / input_scale                      fixed, not learned; within +-input_clip, if that is > 0
//   x_l = activation(W_l x_(l-1) + b_l)                       hidden layers l = 1 ... L-1
//   y   = output_scale * (W_L x_(L-1) [+ b_L])                b_L only with output_bias
//
// The learned parameters are one vector of weights [P]: W_1 (column by column), b_1, W_2, b_2, ..., W_L, [b_L].
// Batched functions work on blocks of 64 inputs, one input a lane, and give each input the same bits as `output`. Sums
// over inputs run in an order that depends on their number only.
#pragma once

#include <functional>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/core/types.h"

namespace kedge {

enum class Activation { softplus, tanh };
const char* to_string(Activation activation);

/// The fixed part of a network.
struct NetworkShape {
  std::vector<Index> hidden = {10};  ///< units of each hidden layer, >= 1 each; empty: a linear function
  Activation activation = Activation::softplus;
  bool output_bias = false;
  VectorXd input_mean;    ///< [inputs]
  VectorXd input_scale;   ///< [inputs] > 0
  VectorXd output_scale;  ///< [outputs] > 0
  double input_clip = 0;  ///< bound on |x_0|; 0: none

  [[nodiscard]] Index inputs() const { return input_mean.size(); }
  [[nodiscard]] Index outputs() const { return output_scale.size(); }
};

/// Returns P, the number of weights and biases.
Index weight_count(const NetworkShape& shape);

/// Returns the entries that weight decay acts on: 1 for every entry of a W_l, 0 for every bias. @return [P]
VectorXd weight_mask(const NetworkShape& shape);

/// Draws W_l, b_l ~ hidden N(0, 1) in hidden layers and W_L ~ output N(0, 1), b_L = 0. @return [P]
/// @throws InputError if the shape is impossible
VectorXd random_weights(const NetworkShape& shape, Stream& random, double hidden = 0.3, double output = 0.1);

/// Draws W_l with rows of norm 1, in the last layer of norm `output`, directions uniform; b_l = 0. @return [P]
/// @throws InputError if the shape is impossible
VectorXd unit_weights(const NetworkShape& shape, Stream& random, double output);

/// Draws W_l whose columns (rows, if it has fewer) are orthogonal and of norm `hidden`, in the last layer of norm `output`, uniformly among all
/// such; b_l = 0. @return [P]
/// @throws InputError if the shape is impossible
VectorXd orthogonal_weights(const NetworkShape& shape, Stream& random, double hidden, double output);

/// Returns the weights that make a network with other input maps the same function, where neither cuts its inputs.
/// @param weights [P] with the maps of `shape`  @param mean, scale [inputs] the other maps  @return [P]
VectorXd weights_for_inputs(const NetworkShape& shape, VectorXd weights, VectorIn mean, VectorIn scale);

/// Inputs laid out for the batched functions, with the input map applied. Keep them to evaluate many weights on the same
/// inputs.
struct NetworkInputs {
  Index count = 0;  ///< N
  MatrixXd x;       ///< [64, inputs ceil(N/64)] block by block, one input a row; surplus rows zero
};

class Network {
 public:
  static constexpr Index kBlock = 64;  ///< inputs of a block

  Network() = default;
  /// Makes a network whose weights are all zero.
  /// @throws InputError if a size, scale or number is impossible
  explicit Network(NetworkShape shape);

  [[nodiscard]] const NetworkShape& shape() const { return shape_; }
  [[nodiscard]] const VectorXd& weights() const { return weights_; }
  /// Replaces the weights. @param weights [P]  @throws InputError if the size is wrong or a number is not finite
  void set_weights(VectorXd weights);

  /// Computes y(x). Allocates nothing if no layer, input included, is wider than 64.
  /// @param x [inputs]  @param y [outputs], out
  void output(VectorIn x, VectorOut y) const;
  /// Computes y(x) and its Jacobian. @param x [inputs]  @param y [outputs], out  @param J [outputs, inputs] dy/dx, out
  void output_and_jacobian(VectorIn x, VectorOut y, MatrixOut J) const;

  /// Returns inputs in the layout of the batched functions. @param x [inputs, N]
  [[nodiscard]] NetworkInputs prepare(MatrixIn x) const;

  /// Returns y(x) of every input. @return [outputs, N]
  [[nodiscard]] MatrixXd outputs(const NetworkInputs& x, int threads = 1) const;

  /// Sets g = dloss/dy for the inputs first ... first + count - 1, given their outputs y; both [count, outputs], one input
  /// a row.
  using OutputGradient = std::function<void(Index first, const Eigen::Ref<const MatrixXd>& y, Eigen::Ref<MatrixXd> g)>;

  /// Returns d/dweights sum_n loss_n(y(x_n)), computed in one pass.
  /// @param output_gradient called for one block of inputs at a time, from up to `threads` threads  @return [P]
  [[nodiscard]] VectorXd gradient(const NetworkInputs& x, const OutputGradient& output_gradient, int threads = 1) const;

  /// sum_n J_n' diag(weight) J_n v with J_n = dy(x_n)/dweights: a product of the Gauss-Newton matrix.
  /// @param v [P]  @param weight [outputs]  @return [P]
  [[nodiscard]] VectorXd gauss_newton_product(const NetworkInputs& x, VectorIn v, VectorIn weight,
                                              int threads = 1) const;

 private:
  struct Layer {
    Index in = 0, out = 0;
    MatrixXd W;  // [out rounded up to whole lanes, in], surplus rows zero
    VectorXd b;  // [out rounded up to whole lanes], zero without a bias
    bool bias = true;
  };
  struct Block;
  using OutputDelta = std::function<void(Index first, Index count, Block& block)>;
  void forward(Block& block, bool slopes) const;
  [[nodiscard]] VectorXd back_propagated(const NetworkInputs& x, const OutputDelta& output_delta, int threads) const;

  NetworkShape shape_;
  VectorXd weights_;
  std::vector<Layer> layers_;
  Index widest_ = 0;
};

}  // namespace kedge
