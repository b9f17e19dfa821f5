// The network policy pi(a|s) = N(mu_theta(s), diag(sigma^2)), the same at every step [LevineKoltun2013, Sec. 6]: a
// `Network` mu and a standard deviation sigma = exp(log_std) for each action entry, whatever the state. With a clock of T
// steps the network has one more input, the last: t / T [Akrour2018, Sec. 7.3].
//
// The learned parameters are one vector theta [P]: the weights of the network, then log_std [da].
#pragma once

#include "kedge/math/diagonal_gaussians.h"
#include "kedge/policy/network.h"
#include "kedge/policy/policy.h"

namespace kedge {

/// Returns P, the length of theta, log_std included.
Index parameter_count(const NetworkShape& shape);

/// Returns `random_weights` followed by log_std. @param log_std [da]  @return theta [P]
VectorXd random_theta(const NetworkShape& shape, VectorIn log_std, Stream& random, double hidden = 0.3,
                      double output = 0.1);

class MlpGaussian final : public Policy {
 public:
  static constexpr const char* kKind = "mlp_gaussian";
  static constexpr const char* kSummary = "a ~ N(network(s), diag(sigma^2)), one neural network for all steps";

  MlpGaussian() = default;
  /// @param shape its inputs are the observation and, with a clock, the time; its outputs the action  @param theta [P]
  /// @param clock T of the input t / T; 0: no such input
  /// @throws InputError if a size, scale or number is impossible
  MlpGaussian(NetworkShape shape, VectorXd theta, int clock = 0);

  [[nodiscard]] const Network& network() const { return network_; }
  [[nodiscard]] const NetworkShape& shape() const { return network_.shape(); }
  [[nodiscard]] const VectorXd& theta() const { return theta_; }
  /// @param theta [P]  @throws InputError if the size is wrong or a number is not finite
  void set_theta(VectorXd theta);
  [[nodiscard]] auto log_std() const { return theta_.tail(action_dim()); }
  [[nodiscard]] const VectorXd& std() const { return std_; }  ///< sigma [da]

  [[nodiscard]] int clock() const { return clock_; }  ///< T of the input t / T; 0: no such input

  [[nodiscard]] int horizon() const override { return clock_ > 0 ? clock_ : kEndless; }
  [[nodiscard]] Index observation_dim() const override { return shape().inputs() - (clock_ > 0 ? 1 : 0); }
  [[nodiscard]] Index action_dim() const override { return shape().outputs(); }
  /// Allocates nothing if no layer, input included, is wider than 64.
  void mean(int t, VectorIn s, VectorOut a) const override;
  void sample(int t, VectorIn s, Stream& noise, VectorOut a) const override;
  [[nodiscard]] double log_prob(int t, VectorIn s, VectorIn a) const override;

  // What follows sees the inputs of the network, x: the observation s and, with a clock, t / T below it.

  /// Computes mu(x) and its Jacobian dmu/dx. @param a [da], out  @param J [da, ds], out
  void mean_and_jacobian(VectorIn s, VectorOut a, MatrixOut J) const { network_.output_and_jacobian(s, a, J); }

  /// @param s [ds, N]
  [[nodiscard]] NetworkInputs prepare(MatrixIn s) const { return network_.prepare(s); }

  /// @param s [ds, N]  @return mu [da, N]
  [[nodiscard]] MatrixXd means(MatrixIn s, int threads = 1) const { return means(prepare(s), threads); }
  [[nodiscard]] MatrixXd means(const NetworkInputs& s, int threads = 1) const { return network_.outputs(s, threads); }
  /// @param s [ds, N]  @param a [da, N]  @return log pi(a_n | s_n) [N], nats
  [[nodiscard]] VectorXd log_probs(MatrixIn s, MatrixIn a, int threads = 1) const;
  [[nodiscard]] VectorXd log_probs(const NetworkInputs& s, MatrixIn a, int threads = 1) const;

  /// Returns d/dtheta sum_n loss_n(mu(s_n)), as `Network::gradient`; the entries of log_std are zero. @return [P]
  [[nodiscard]] VectorXd gradient(const NetworkInputs& s, const Network::OutputGradient& output_gradient,
                                  int threads = 1) const;

  /// Returns N(mu(x_n), diag(sigma^2)) of every input. @return [da, N]
  [[nodiscard]] DiagonalGaussians actions(const NetworkInputs& s, int threads = 1) const {
    return {means(s, threads), std_.replicate(1, s.count)};
  }

  /// Returns F v, F the Fisher information of theta, mean over the inputs: of the network J' diag(sigma^-2) J, of log_std 2.
  /// It is the Hessian of the mean KL(pi || pi') by theta' at theta' = theta. @param v [P]  @return [P]
  [[nodiscard]] VectorXd fisher_product(const NetworkInputs& s, VectorIn v, int threads = 1) const;

  /// Returns d/dtheta sum_n w_n log pi(a_n | s_n), log_std included. @param s [ds, N]  @param a [da, N]  @param w [N]  @return [P]
  [[nodiscard]] VectorXd log_prob_gradient(MatrixIn s, MatrixIn a, VectorIn w, int threads = 1) const;
  [[nodiscard]] VectorXd log_prob_gradient(const NetworkInputs& s, MatrixIn a, VectorIn w, int threads = 1) const;

 private:
  [[nodiscard]] double log_density(VectorIn mu, VectorIn a) const;

  Network network_;
  int clock_ = 0;
  VectorXd theta_;
  VectorXd std_;
};

}  // namespace kedge
