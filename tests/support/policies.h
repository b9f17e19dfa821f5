// Examples of every kind of policy, for the laws that all of them keep.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <type_traits>
#include <vector>

#include "kedge/policy/kinds.h"
#include "tests/support/numbers.h"

namespace kedge::test {

/// Policies with two actions whose standard deviations are between 0.3 and 3.
inline std::vector<TvLinearGaussian> examples(std::type_identity<TvLinearGaussian>) {
  const MatrixXd K{{0.5, -1, 2}, {0, 0.25, -0.5}}, Sigma{{1.5, 0.4}, {0.4, 0.7}};
  return {TvLinearGaussian({make_linear_gaussian(K, VectorXd{{1, -2}}, Sigma),
                            make_linear_gaussian(-K, VectorXd{{0, 3}}, 0.5 * Sigma)}),
          TvLinearGaussian::constant(5, 1, VectorXd{{1, 2}}, VectorXd{{0.5, 2}})};
}

inline std::vector<MlpGaussian> examples(std::type_identity<MlpGaussian>) {
  std::vector<MlpGaussian> all;
  for (const auto& [hidden, activation, output_bias] :
       std::vector<std::tuple<std::vector<Index>, Activation, bool>>{{{4}, Activation::softplus, false},
                                                                     {{4, 3}, Activation::tanh, true},
                                                                     {{}, Activation::softplus, false},
                                                                     {{}, Activation::softplus, true}}) {
    Stream random(7, 0, 0, 0);
    const NetworkShape shape{.hidden = hidden,
                             .activation = activation,
                             .output_bias = output_bias,
                             .input_mean = VectorXd::LinSpaced(3, -1.0, 1.0),
                             .input_scale = VectorXd::Constant(3, 0.7),
                             .output_scale = VectorXd::Constant(2, 5.0)};
    all.emplace_back(shape, random_theta(shape, VectorXd{{-0.3, 0.4}}, random, 0.4, 0.9));
    NetworkShape clipped = shape;
    clipped.input_clip = 0.8;
    all.emplace_back(clipped, all.back().theta());
    all.emplace_back(shape, all.back().theta(), 7);  // the last input is the time
  }
  return all;
}

/// Two links without gravity whose inertia depends on the second angle.
inline void two_links(VectorIn q, VectorIn, VectorIn qdd, VectorOut a, MatrixOut inertia) {
  inertia << 2.0 + std::cos(q[1]), 0.5, 0.5, 1.0;
  a = inertia * qdd;
}

inline std::vector<DmpPolicy> examples(std::type_identity<DmpPolicy>) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<DmpPolicy> all;
  for (const double limit : {0.5, infinity}) {
    const MatrixXd movement{{0.1, 0.0, 0.5, -0.2, 3.0, -4.0}, {0.0, 0.4, -0.3, 0.0, -2.0, 1.0}};
    const Tracking tracking{
        {0, 2}, {3, 4}, VectorXd{{-limit, -2 * limit}}, VectorXd{{limit, 3.0}}, VectorXd{{0.5, 2.0}}};
    all.push_back(DmpPolicy::track(movement, std::make_shared<MovementBasis>(movement_basis(12, 0.05, 2)), tracking, 5,
                                   two_links));
  }
  return all;
}

inline std::vector<ContextualPolicy> examples(std::type_identity<ContextualPolicy>) {
  const Context linear{{4, 1}, VectorXd{{0.3, -1.0}}, VectorXd{{0.5, 2.0}}, false};
  Context squares = linear;
  squares.squares = true;
  Stream random(12, 0, 0, 0);
  const Controller gains = examples(std::type_identity<TvLinearGaussian>()).back();
  const Controller network = examples(std::type_identity<MlpGaussian>()).front();
  const Controller movement = examples(std::type_identity<DmpPolicy>()).back();
  return {ContextualPolicy(linear, random_matrix(4, 3, random), gains),
          ContextualPolicy(squares, random_matrix(24, 5, random), network),
          ContextualPolicy(squares, random_matrix(4, 5, random), movement)};
}

/// All of them.
template <class... P>
std::vector<AnyPolicy> all_examples(std::type_identity<std::variant<P...>>) {
  std::vector<AnyPolicy> all;
  const auto add = [&](const auto& policies) { all.insert(all.end(), policies.begin(), policies.end()); };
  (add(examples(std::type_identity<P>())), ...);
  return all;
}
inline std::vector<AnyPolicy> all_examples() { return all_examples(std::type_identity<AnyPolicy>()); }

}  // namespace kedge::test
