// A movement primitive (movement.h) tracked by a linear controller with inverse dynamics:
//
//   a = clip( k_t + K_t s ),   k_t + K_t s = a_ref(t) + M(t) [ w^2 (y - q) + 2 w (y' - q') ]
//
// a_ref(t) is the action that moves the model along the reference, M(t) = da/dq'' its inertia there, w = min(10/s, 0.5 / step)
// the frequency of the controller. q, q' are entries of the observation. What costs see is the clipped action.
#pragma once

#include <memory>
#include <vector>

#include "kedge/policy/movement.h"
#include "kedge/policy/policy.h"

namespace kedge {

/// How a movement is followed.
struct Tracking {
  std::vector<Index> position, velocity;  ///< [da] entries of s: q and q' of the coordinate that each action drives
  VectorXd low, high;                     ///< [da] limits of the action, may be infinite
  VectorXd std;                           ///< [da] > 0 exploration noise, after the limits
};

class DmpPolicy final : public Policy {
 public:
  static constexpr const char* kKind = "dmp";
  static constexpr const char* kSummary = "a movement primitive with a goal that moves, tracked by inverse dynamics";

  DmpPolicy() = default;
  /// A policy as it was saved.
  /// @param movement [da, 4 + B]  @param step control step, s  @param K [T] [da, ds]  @param k [da, T]
  /// @throws InputError if sizes do not agree, or a number is not finite
  DmpPolicy(MatrixXd movement, double step, Tracking tracking, std::vector<MatrixXd> K, MatrixXd k);

  /// Returns the policy that tracks a movement. Where the model fails or the movement is not finite, its actions are NaN.
  /// @param movement [da, 4 + B]  @param ds size of the observation  @param model not empty
  static DmpPolicy track(MatrixXd movement, std::shared_ptr<const MovementBasis> basis, Tracking tracking, Index ds,
                         const InverseDynamics& model);

  [[nodiscard]] const MatrixXd& movement() const { return movement_; }  ///< [da, 4 + B] parameters
  [[nodiscard]] const std::shared_ptr<const MovementBasis>& basis() const { return basis_; }
  [[nodiscard]] const Tracking& tracking() const { return tracking_; }
  [[nodiscard]] const std::vector<MatrixXd>& K() const { return K_; }  ///< [T] [da, ds]
  [[nodiscard]] const MatrixXd& k() const { return k_; }               ///< [da, T]
  [[nodiscard]] bool finite() const;

  [[nodiscard]] int horizon() const override { return static_cast<int>(K_.size()); }
  [[nodiscard]] Index observation_dim() const override { return K_.empty() ? 0 : K_[0].cols(); }
  [[nodiscard]] Index action_dim() const override { return k_.rows(); }
  void mean(int t, VectorIn s, VectorOut a) const override;
  void sample(int t, VectorIn s, Stream& noise, VectorOut a) const override;
  [[nodiscard]] double log_prob(int t, VectorIn s, VectorIn a) const override;

 private:
  MatrixXd movement_;
  std::shared_ptr<const MovementBasis> basis_;
  Tracking tracking_;
  std::vector<MatrixXd> K_;
  MatrixXd k_;
};

}  // namespace kedge
