// A controller that is chosen once for each episode, by its initial state: what contextual search learns.
//
//   controller of the parameters  theta = B [1; phi(c)],   c = (x_0[entries] - mean) / scale,   phi = c, or c and c^2
//
// With it, the parameters by which the kinds of controllers are searched.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "kedge/policy/dmp.h"
#include "kedge/policy/mlp_gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// The policies that have parameters for a whole episode:
///   TvLinearGaussian  K, k [da, ds + 1], column by column, the same at all steps
///   MlpGaussian       the weights of the network
///   DmpPolicy         goals, goal velocities [da, 2]; if there are more, then all weights too [da, 2 + B]
using Controller = std::variant<TvLinearGaussian, MlpGaussian, DmpPolicy>;

inline const Policy& as_policy(const Controller& controller) {
  return std::visit([](const auto& c) -> const Policy& { return c; }, controller);
}

/// Returns the controller with other parameters, everything else as it was.
/// @param theta [P]  @param model makes the inverse dynamics; called for a DmpPolicy only
/// @throws InputError if P does not fit, a weight of a network is not finite, or there is no inverse dynamics
Controller with_parameters(const Controller& controller, VectorIn theta, const std::function<InverseDynamics()>& model);

/// The features of an initial state by which a controller is chosen.
struct Context {
  std::vector<Index> entry;  ///< [C] of x_0
  VectorXd mean, scale;      ///< [C] scale > 0
  bool squares = false;      ///< phi = (c, c^2), else c

  [[nodiscard]] Index features() const { return (squares ? 2 : 1) * static_cast<Index>(entry.size()); }  ///< F
  /// @param x0 [nx]  @return phi [F]  @throws InputError if x0 is too short
  [[nodiscard]] VectorXd of(VectorIn x0) const;
};

class ContextualPolicy final : public Policy {
 public:
  static constexpr const char* kKind = "contextual";
  static constexpr const char* kSummary = "a controller chosen for each episode by its initial state";

  ContextualPolicy() = default;
  /// @param map B [P, 1 + F]  @param middle the controller of B [1; 0], with which the policy acts where no episode begins
  /// @throws InputError if sizes do not agree, or a number is not finite
  ContextualPolicy(Context context, MatrixXd map, Controller middle);

  [[nodiscard]] const Context& context() const { return context_; }
  [[nodiscard]] const MatrixXd& map() const { return map_; }
  [[nodiscard]] const Controller& middle() const { return middle_; }

  [[nodiscard]] int horizon() const override { return as_policy(middle_).horizon(); }
  [[nodiscard]] Index observation_dim() const override { return as_policy(middle_).observation_dim(); }
  [[nodiscard]] Index action_dim() const override { return as_policy(middle_).action_dim(); }
  void mean(int t, VectorIn s, VectorOut a) const override { as_policy(middle_).mean(t, s, a); }
  void sample(int t, VectorIn s, Stream& noise, VectorOut a) const override {
    as_policy(middle_).sample(t, s, noise, a);
  }
  [[nodiscard]] double log_prob(int t, VectorIn s, VectorIn a) const override {
    return as_policy(middle_).log_prob(t, s, a);
  }
  [[nodiscard]] std::unique_ptr<Policy> for_episode(VectorIn x0,
                                                    const std::function<InverseDynamics()>& model) const override;

 private:
  Context context_;
  MatrixXd map_;
  Controller middle_;
};

}  // namespace kedge
