// The network policy pi(a|s) = N(mu_theta(s), diag(sigma^2)), the same at every step [LevineKoltun2013, Sec. 6]:
//
//   x_0 = (s - input_mean) / input_scale                      fixed, not learned
//   x_l = activation(W_l x_(l-1) + b_l)                       hidden layers l = 1 ... L-1
//   mu  = output_scale * (W_L x_(L-1) [+ b_L])                b_L only with output_bias
//   sigma = exp(log_std)
//
// All that is learned is one vector theta [P]: W_1 (column by column), b_1, W_2, b_2, ..., W_L, [b_L], log_std [da].
// Batched functions work on blocks of 64 states, one state a lane, and give each state the same bits as `mean`. Sums over
// states run in an order that depends on their number only.
#pragma once

#include <functional>
#include <vector>

#include "kedge/policy/policy.h"

namespace kedge {

enum class Activation { softplus, tanh };
const char* to_string(Activation activation);

/// What is fixed about a network. Its sizes: ds = input_mean.size(), da = output_scale.size().
struct Network {
  std::vector<Index> hidden = {10};  ///< units of each hidden layer, >= 1 each; empty: a linear policy
  Activation activation = Activation::softplus;
  bool output_bias = false;
  VectorXd input_mean;    ///< [ds]
  VectorXd input_scale;   ///< [ds] > 0
  VectorXd output_scale;  ///< [da] > 0

  [[nodiscard]] Index ds() const { return input_mean.size(); }
  [[nodiscard]] Index da() const { return output_scale.size(); }
};

/// P, the length of theta, log_std included.
Index parameter_count(const Network& network);

/// @return [P] 1 where theta holds an entry of a W_l, 0 at biases and log_std: what weight decay acts on
VectorXd weight_mask(const Network& network);

/// W_l, b_l ~ hidden N(0, 1) in hidden layers, W_L ~ output N(0, 1), b_L = 0.
/// @param log_std [da]  @return theta [P]
VectorXd random_theta(const Network& network, VectorIn log_std, Stream& random, double hidden = 0.3,
                      double output = 0.1);

/// States laid out for a network's batched functions, input map applied: worth keeping when many thetas meet the same states.
struct NetworkInputs {
  Index count = 0;  ///< N
  MatrixXd x;       ///< [64, ds ceil(N/64)] block by block, one state a row; surplus rows zero
};

class MlpGaussian final : public Policy {
 public:
  static constexpr Index kBlock = 64;  ///< states of a block

  MlpGaussian() = default;
  /// @param theta [P]
  /// @throws InputError if a size, scale or number is impossible
  MlpGaussian(Network network, VectorXd theta);

  [[nodiscard]] const Network& network() const { return network_; }
  [[nodiscard]] const VectorXd& theta() const { return theta_; }
  /// @param theta [P]  @throws InputError if the size is wrong or a number is not finite
  void set_theta(VectorXd theta);
  [[nodiscard]] auto log_std() const { return theta_.tail(action_dim()); }
  [[nodiscard]] const VectorXd& std() const { return std_; }  ///< sigma [da]

  [[nodiscard]] int horizon() const override { return kEndless; }
  [[nodiscard]] Index observation_dim() const override { return network_.ds(); }
  [[nodiscard]] Index action_dim() const override { return network_.da(); }
  /// Allocates nothing if no layer, input included, is wider than 64.
  void mean(int t, VectorIn s, VectorOut a) const override;
  void sample(int t, VectorIn s, Stream& noise, VectorOut a) const override;
  [[nodiscard]] double log_prob(int t, VectorIn s, VectorIn a) const override;

  /// mu(s) and its Jacobian dmu/ds. @param a [da], out  @param J [da, ds], out
  void mean_and_jacobian(VectorIn s, VectorOut a, Eigen::Ref<MatrixXd> J) const;
  [[nodiscard]] MatrixXd input_jacobian(VectorIn s) const;  ///< dmu/ds [da, ds]

  /// @param s [ds, N]
  [[nodiscard]] NetworkInputs prepare(MatrixIn s) const;

  /// @param s [ds, N]  @return mu [da, N]
  [[nodiscard]] MatrixXd means(MatrixIn s, int threads = 1) const;
  [[nodiscard]] MatrixXd means(const NetworkInputs& s, int threads = 1) const;
  /// @param s [ds, N]  @param a [da, N]  @return log pi(a_n | s_n) [N], nats
  [[nodiscard]] VectorXd log_probs(MatrixIn s, MatrixIn a, int threads = 1) const;
  [[nodiscard]] VectorXd log_probs(const NetworkInputs& s, MatrixIn a, int threads = 1) const;

  /// d/dtheta sum_n loss_n(mu(s_n)) in one pass; the entries of log_std are zero.
  /// @param output_gradient (first, mu, g): given mu of the states first ... first + count - 1, sets g = dloss/dmu; both
  ///   [count, da], one state a row. Called for one block of states at a time, from up to `threads` threads.
  /// @return [P]
  using OutputGradient = std::function<void(Index first, const Eigen::Ref<const MatrixXd>& mu, Eigen::Ref<MatrixXd> g)>;
  [[nodiscard]] VectorXd gradient(const NetworkInputs& s, const OutputGradient& output_gradient, int threads = 1) const;

  /// d/dtheta sum_n g_n' mu(s_n). @param s [ds, N]  @param g [da, N]  @return [P]
  [[nodiscard]] VectorXd backward(MatrixIn s, MatrixIn g, int threads = 1) const;
  /// d/dtheta sum_n w_n log pi(a_n | s_n), log_std included. @param s [ds, N]  @param a [da, N]  @param w [N]  @return [P]
  [[nodiscard]] VectorXd log_prob_gradient(MatrixIn s, MatrixIn a, VectorIn w, int threads = 1) const;
  [[nodiscard]] VectorXd log_prob_gradient(const NetworkInputs& s, MatrixIn a, VectorIn w, int threads = 1) const;

 private:
  struct Layer {
    Index in = 0, out = 0;
    MatrixXd W;  // [out rounded up to whole lanes, in], surplus rows zero
    VectorXd b;  // [out rounded up to whole lanes], zero without a bias
    bool bias = true;
  };
  struct Block;
  template <bool slopes>
  void forward(Block& block) const;
  [[nodiscard]] double log_density(VectorIn mu, VectorIn a) const;

  Network network_;
  VectorXd theta_;
  VectorXd std_;
  std::vector<Layer> layers_;
  Index widest_ = 0;
};

}  // namespace kedge
